// A store that fails at random, before and after it has done its work, under runs that wait, fail
// and are called back: nothing is lost, and nothing is done twice.
#include "engine/faulty_store.hpp"
#include "printing.hpp"

#include <random>

BOOST_AUTO_TEST_SUITE(store_chaos)

using namespace engine_test;
using enum light;

namespace {

/// Five statuses, two of which wait for a callback; each step fails now and then.
pawl::workflow<lamp, light> eventful(faulty_world& w)
{
    lamp_builder b{"lamps"};
    const auto note = [](lamp_run& run, const char* name) {
        run.object().trail.emplace_back(name);
    };
    b.step<red>([note](lamp_run& run) -> pawl::step<yellow> {
        note(run, "red");
        co_return pawl::to<yellow>;
    });
    b.callback<yellow>("go", [note](lamp_run& run, int) -> pawl::step<green> {
        note(run, "yellow");
        co_return pawl::to<green>;
    });
    b.step<green>([note, clock = w.clock.get()](lamp_run& run) -> pawl::step<off> {
         note(run, "green");
         co_await wait_on(*clock, 100ms);
         co_await run.checkpoint();
         if (run.attempt() == 1)
             throw std::runtime_error("the first attempt");
         note(run, "green again");
         co_return pawl::to<off>;
     }).retry({.initial = 1s, .max_attempts = 0});
    b.end<off>();
    return std::move(b).build();
}

asio::awaitable<void> insist(lamps client, std::string id, pawl::clock* clock, int* finished)
{
    pawl::run_id run;
    for (bool done = false; !done;) {
        try {
            run = co_await client.async_trigger(id, lamp{}, {.idempotency_key = "start"},
                                                asio::use_awaitable);
            co_await client.async_call(run, "go", 1, {.idempotency_key = "go"},
                                       asio::use_awaitable);
            const auto end = co_await client.async_await(run, {off}, asio::use_awaitable);
            done = end.status == off;
        } catch (const pawl::system_error& e) {
            BOOST_TEST(e.code() == pawl::errc::store_unavailable, e.code().message());
        }
        if (!done)
            co_await wait_on(*clock, 300ms);
    }
    ++*finished;
}

} // namespace

BOOST_AUTO_TEST_CASE(whatever_fails_at_random_nothing_is_lost_or_done_twice)
{
    constexpr int runs = 20;
    for (unsigned seed = 1; seed <= 20; ++seed) {
        faulty_world w;
        std::mt19937 random{seed};
        auto client = w.start(eventful(w));
        w.faults->fails = [&random](const std::string&) {
            const auto draw = random() % 10;
            return draw < 2 ? fault::refused : draw < 4 ? fault::answer_lost : fault::none;
        };
        int finished = 0;
        for (int i = 0; i < runs; ++i)
            asio::co_spawn(w.io, insist(client, std::to_string(i), w.clock.get(), &finished),
                           [](const std::exception_ptr& e) { BOOST_TEST(!e); });
        w.advance_until([&] { return finished == runs; });
        w.repair();
        const std::vector<std::string> statuses{"started", "moved", "moved", "completed"};
        for (int i = 0; i < runs; ++i) {
            const auto found =
                w.wait_for(client.async_find_latest(std::to_string(i), asio::use_awaitable));
            BOOST_REQUIRE(found.has_value());
            std::vector<std::string> kinds;
            std::uint64_t version = 0;
            for (const auto& each :
                 w.wait_for(client.async_history(found->id, 0, 1000, asio::use_awaitable))) {
                BOOST_TEST(each.version == ++version);
                const auto kind = to_string(each.kind);
                if (kind == "started" || kind == "moved" || kind == "completed")
                    kinds.push_back(kind);
            }
            BOOST_TEST(kinds == statuses, boost::test_tools::per_element());
            BOOST_TEST(found->object.trail.front() == "red");
            BOOST_TEST(found->object.trail.at(1) == "yellow");
            BOOST_TEST(found->object.trail.back() == "green again");
        }
    }
}

BOOST_AUTO_TEST_SUITE_END()
