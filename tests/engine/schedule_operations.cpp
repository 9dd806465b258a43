// What operators do with schedules.
#include "pawl/schedule_operations.hpp"

#include "engine/support.hpp"
#include "pawl/schedule.hpp"
#include "printing.hpp"

BOOST_AUTO_TEST_SUITE(schedule_operations)

using namespace engine_test;
using enum light;
using strings = std::vector<std::string>;

namespace {

struct scheduled_world : world {
    std::optional<lamps> client;
    std::optional<pawl::schedules<lamp, light>> plan;

    scheduled_world()
    {
        lamp_builder b{"lamps"};
        b.step<red>([](lamp_run& run) -> pawl::step<off> {
            if (run.object().value < 0)
                co_return pawl::skip();
            co_return pawl::to<off>;
        });
        b.end<off>();
        client = start(std::move(b).build());
        plan.emplace(*client);
    }
    ~scheduled_world()
    {
        plan.reset();
        client.reset();
    }

    pawl::schedule_operations ops() { return pawl::schedule_operations{engine->operations()}; }

    std::size_t runs() { return wait_for(client->async_list({.limit = 100})).runs.size(); }
};

} // namespace

BOOST_AUTO_TEST_CASE(a_schedule_fires_when_it_is_asked)
{
    scheduled_world w;
    w.wait_for(w.plan->async_set("nightly", lamp{}, {.when = "0 3 * * *"}));
    const auto asked = pawl::change_request{.by = {"ada"}, .idempotency_key = "k"};
    const auto fired = w.wait_for(w.ops().async_fire("lamps", "nightly", asked));
    w.settle();
    BOOST_TEST((fired.outcome == pawl::message_outcome::handled));
    BOOST_TEST(w.runs() == 1);
    const auto again = w.wait_for(w.ops().async_fire("lamps", "nightly", asked));
    w.settle();
    BOOST_TEST(again.message == fired.message);
    BOOST_TEST(w.runs() == 1);
    const auto info = w.wait_for(w.plan->async_list()).front();
    BOOST_TEST(info.fired == 1);
    BOOST_TEST(info.next_slot.has_value());
    w.advance_until([&] { return w.runs() == 2; }); // its slot comes all the same
    const auto audit = w.wait_for(w.engine->operations().async_audit());
    BOOST_TEST_REQUIRE(audit.entries.size() == 3);
    BOOST_TEST(audit.entries[0].action == "fire");
    BOOST_TEST(audit.entries[0].workflow == "lamps");
    BOOST_TEST(audit.entries[0].target == "nightly");
}

BOOST_AUTO_TEST_CASE(a_fire_that_overlaps_is_skipped)
{
    scheduled_world w;
    w.wait_for(w.plan->async_set("nightly", lamp{-1, {}}, {.when = "0 3 * * *"}));
    for (int i = 0; i < 2; ++i) {
        w.wait_for(w.ops().async_fire("lamps", "nightly", {}));
        w.advance(1s);
    }
    BOOST_TEST(w.runs() == 1);
    BOOST_TEST(w.wait_for(w.plan->async_list()).front().skipped == 1);
}

BOOST_AUTO_TEST_CASE(a_paused_or_unknown_schedule_does_not_fire)
{
    scheduled_world w;
    w.wait_for(w.plan->async_set("nightly", lamp{}, {.when = "0 3 * * *"}));
    w.wait_for(w.plan->async_pause("nightly"));
    BOOST_TEST(w.error_of(w.ops().async_fire("lamps", "nightly", {})) ==
               pawl::errc::already_paused);
    BOOST_TEST(w.error_of(w.ops().async_fire("lamps", "other", {})) == pawl::errc::not_found);
    BOOST_TEST(w.wait_for(w.ops().async_slots("lamps", "nightly")).empty());
    BOOST_TEST(w.runs() == 0);
}

BOOST_AUTO_TEST_CASE(the_next_slots_are_those_that_fire)
{
    for (const std::string& when : {"0 3 * * *", "@every 90m"}) {
        scheduled_world w;
        w.wait_for(w.plan->async_set("often", lamp{}, {.when = when}));
        const auto slots = w.wait_for(w.ops().async_slots("lamps", "often", 3));
        BOOST_TEST_REQUIRE(slots.size() == 3);
        for (std::size_t i = 0; i < 3; ++i) {
            w.advance_until([&] { return w.runs() == i + 1; }, 100h);
            BOOST_TEST((w.wait_for(w.plan->async_list()).front().last_slot == slots[i]));
        }
    }
    scheduled_world w;
    BOOST_TEST(w.error_of(w.ops().async_slots("lamps", "often", 0)) ==
               pawl::errc::invalid_argument);
}

BOOST_AUTO_TEST_SUITE_END()
