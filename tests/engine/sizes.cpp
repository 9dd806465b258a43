// What is too large fails alone, by a reason that says so.
#include "engine/support.hpp"
#include "pawl/error.hpp"
#include "pawl/forwarding_store.hpp"
#include "printing.hpp"
#include "stores/common/change_size.hpp"

#include <stdexcept>

BOOST_AUTO_TEST_SUITE(sizes)

using namespace engine_test;
using enum light;

namespace {

constexpr std::size_t most = 400;

std::string large()
{
    return std::string(1000, 'x');
}

pawl::step<off> finish(lamp_run&)
{
    co_return pawl::to<off>;
}

lamp_builder draft()
{
    lamp_builder b{"lamps"};
    b.step<green>(finish);
    b.callback<red, yellow>("wake", finish);
    b.start<red>().start<yellow>().start<green>();
    b.end<off>();
    return b;
}

struct sized_world : world {
    sized_world() { options.max_object_size = most; }

    /// The run that began in red has failed, once; another one has not noticed.
    void expect_too_large(lamps& c)
    {
        const auto run = wait_for(c.async_trigger("a", lamp{}, {.start = red}));
        settle();
        advance(1h);
        const auto left = state_of(c, run);
        BOOST_TEST(left.state == pawl::run_state::paused);
        BOOST_TEST(left.reason.find("max_object_size is 400") != std::string::npos, left.reason);
        BOOST_TEST(left.reason.find(" bytes") != std::string::npos, left.reason);
        BOOST_TEST(left.object.trail.empty());
        const auto other = wait_for(c.async_trigger("b", lamp{}, {.start = green}));
        settle();
        BOOST_TEST(state_of(c, other).status == off);
    }
};

/// Takes no change with an object that is marked; says how large the batches were.
struct small_store : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;

    asio::awaitable<std::vector<pawl::apply_result>>
    apply(std::span<const pawl::change> batch) override
    {
        std::size_t bytes = 0;
        bool refused = false;
        for (const auto& each : batch) {
            bytes += pawl::core::change_size(each);
            const auto* step = std::get_if<pawl::transition>(&each);
            refused =
                refused || (step && step->next.object.find("unstorable") != std::string::npos);
        }
        ++calls;
        if (refused)
            throw pawl::error(pawl::errc::too_large, "the row has no room");
        if (batch.size() > 1)
            largest = std::max(largest, bytes);
        auto results = co_await inner().apply(batch);
        co_return results;
    }

    int calls = 0;
    std::size_t largest = 0; ///< of batches of more than one change
};

} // namespace

BOOST_AUTO_TEST_CASE(an_object_that_a_handler_leaves_too_large_fails_the_attempt_for_good)
{
    using body = pawl::step<off> (*)(lamp_run&);
    const std::pair<const char*, body> cases[] = {
        {"a step",
         [](lamp_run& run) -> pawl::step<off> {
             run.object().trail.push_back(large());
             co_return pawl::to<off>;
         }},
        {"a checkpoint",
         [](lamp_run& run) -> pawl::step<off> {
             run.object().trail.push_back(large());
             co_await run.checkpoint();
             co_return pawl::to<off>;
         }},
        {"an effect",
         [](lamp_run& run) -> pawl::step<off> {
             co_await run.once("a", large);
             co_return pawl::to<off>;
         }},
        {"effects together",
         [](lamp_run& run) -> pawl::step<off> {
             for (int i = 0; i < 5; ++i)
                 co_await run.once("e" + std::to_string(i), [] { return std::string(150, 'x'); });
             co_return pawl::to<off>;
         }},
    };
    for (const auto& [name, run] : cases)
        BOOST_TEST_CONTEXT(name)
        {
            sized_world w;
            auto b = draft();
            b.step<red>(run).retry({.max_attempts = 5});
            auto c = w.start(std::move(b).build());
            w.expect_too_large(c);
        }
}

BOOST_AUTO_TEST_CASE(a_timeout_that_leaves_the_object_too_large_fails_for_good)
{
    sized_world w;
    auto b = draft();
    b.timeout<red>(1min, [](lamp_run& run) -> pawl::step<off> {
        run.object().trail.push_back(large());
        co_return pawl::to<off>;
    });
    auto c = w.start(std::move(b).build());
    w.expect_too_large(c);
}

BOOST_AUTO_TEST_CASE(what_a_scrubber_leaves_too_large_is_removed)
{
    sized_world w;
    auto b = draft();
    b.scrub([](lamp& object) { object.trail.push_back(large()); });
    auto c = w.start(std::move(b).build());
    const auto run = w.wait_for(c.async_trigger("a", lamp{3, {"secret"}}, {.start = green}));
    w.settle();
    w.wait_for(c.async_delete_data(run, "asked"));
    w.settle();
    const auto left = w.state_of(c, run);
    BOOST_TEST(left.state == pawl::run_state::data_deleted);
    BOOST_TEST(left.object.trail.empty());
}

BOOST_AUTO_TEST_CASE(a_change_that_the_store_refuses_for_its_size_fails_alone)
{
    world w;
    const auto small = std::make_shared<small_store>(w.store);
    w.store = small;
    auto b = draft();
    b.step<red>([](lamp_run& run) -> pawl::step<off> {
        if (run.foreign_id() == "7")
            run.object().trail.push_back("unstorable");
        co_return pawl::to<off>;
    });
    auto c = w.start(std::move(b).build());
    std::vector<pawl::run_id> runs;
    for (int i = 0; i < 20; ++i)
        asio::co_spawn(w.io, c.async_trigger(std::to_string(i), lamp{}, {.start = red}),
                       [&](const std::exception_ptr&, pawl::run_id run) { runs.push_back(run); });
    w.settle();
    BOOST_REQUIRE(runs.size() == 20u);
    const auto calls = small->calls;
    w.advance(30min);                  // an error's pause lasts an hour
    BOOST_TEST(small->calls == calls); // nothing is tried for ever
    for (const auto run : runs) {
        const auto left = w.state_of(c, run);
        if (left.foreign_id != "7") {
            BOOST_TEST(left.status == off);
            continue;
        }
        BOOST_TEST(left.state == pawl::run_state::paused);
        BOOST_TEST(left.reason.find("the row has no room") != std::string::npos, left.reason);
        BOOST_TEST(left.object.trail.empty());
    }
    BOOST_TEST((w.error_of(c.async_trigger("large", lamp{1, {"unstorable"}}, {.start = green})) ==
                pawl::errc::too_large));
}

BOOST_AUTO_TEST_CASE(a_batch_is_bounded_in_bytes)
{
    world w;
    w.options.max_batch_bytes = 3000;
    const auto small = std::make_shared<small_store>(w.store);
    w.store = small;
    auto c = w.start(draft().build());
    for (int i = 0; i < 20; ++i)
        asio::co_spawn(
            w.io,
            c.async_trigger(std::to_string(i), lamp{1, {std::string(i == 3 ? 9000 : 900, 'x')}},
                            {.start = green}),
            [](const std::exception_ptr& failure, pawl::run_id) { BOOST_TEST(!failure); });
    w.settle();
    BOOST_TEST(small->largest > 1000u);
    BOOST_TEST(small->largest <= 3000u);
    BOOST_TEST(w.wait_for(c.async_list({.states = {{pawl::run_state::completed}}})).runs.size() ==
               20u);
}

BOOST_AUTO_TEST_SUITE_END()
