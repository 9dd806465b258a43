// A wall clock that somebody sets back or forward while runs wait: nothing is lost, nothing happens
// twice, no run is stuck, and what is measured in spans goes on.
#include "engine/faulty_store.hpp"

#include "pawl/sqlite.hpp"
#include "pawl/testing/harness.hpp"
#include "printing.hpp"

#include <boost/test/data/test_case.hpp>

BOOST_AUTO_TEST_SUITE(clocks)

using namespace engine_test;
using enum light;

namespace {

using pawl::testing::harness;

enum class backend { memory, sqlite };

std::ostream& operator<<(std::ostream& out, backend which)
{
    return out << (which == backend::memory ? "memory" : "sqlite");
}

const auto backends = boost::unit_test::data::make({backend::memory, backend::sqlite});

constexpr int slow = 9;

/// Fails twice; before that, one that is slow waits for longer than an attempt may take.
struct fail_twice {
    std::shared_ptr<pawl::clock> clock;

    pawl::step<yellow> operator()(lamp_run& run) const
    {
        if (run.object().value == slow && run.attempt() == 1)
            co_await wait_on(*clock, 10h);
        if (run.attempt() <= 2)
            throw std::runtime_error("busy");
        co_return pawl::to<yellow>;
    }
};

pawl::step<green> time_out(lamp_run& run)
{
    run.object().trail.push_back("timed out");
    co_return pawl::to<green>;
}

pawl::step<green, off> come_again(lamp_run& run)
{
    run.object().trail.push_back("came");
    if (run.object().trail.size() < 4)
        co_return pawl::repeat_after(4min);
    co_return pawl::to<off>;
}

/// red, with back-off → yellow, until a timeout → green, which comes again twice → off.
pawl::workflow<lamp, light> waiting_everywhere(std::shared_ptr<pawl::clock> clock)
{
    lamp_builder b{"lamps"};
    b.step<red>(fail_twice{std::move(clock)})
        .retry({.initial = 10s, .multiplier = 1, .jitter = 0})
        .attempt_timeout(5s);
    b.timeout<yellow>(10min, time_out);
    b.step<green>(come_again);
    b.end<off>();
    return std::move(b).build();
}

/// Runs that wait in each way, then the clock is set.
struct clock_stage {
    explicit clock_stage(backend which)
    {
        pawl::testing::harness_options options;
        options.engine.clock = clock;
        if (which == backend::sqlite) {
            options.engine.store = pawl::open_sqlite(":memory:");
            options.real_time_timeout = 5s;
        }
        lamps.emplace(waiting_everywhere(clock), std::move(options));
        repeating = lamps->trigger("repeating");
        lamps->await(repeating, {green});
        armed = lamps->trigger("armed");
        lamps->await(armed, {yellow});
        backing_off = lamps->trigger("backing off");
        running = lamps->trigger("running", lamp{slow, {}});
    }

    auto status(pawl::run_id run) { return lamps->find(run).status; }

    /// Each is at its end, and came there as if nobody had touched the clock.
    void check_ends()
    {
        using enum pawl::event_kind;
        lamps->advance(45min);
        const std::vector wanted{started, attempt_failed, attempt_failed, moved,
                                 moved,   repeated,       repeated,       completed};
        for (const auto run : {repeating, armed, backing_off, running}) {
            const auto end = lamps->find(run);
            BOOST_TEST(end.status == off);
            BOOST_TEST(end.object.trail ==
                           (std::vector<std::string>{"timed out", "came", "came", "came"}),
                       boost::test_tools::per_element());
            std::vector<pawl::event_kind> kinds;
            for (const auto& each : lamps->history(run))
                kinds.push_back(each.kind);
            BOOST_TEST((kinds == wanted), lamps->describe(run));
        }
    }

    std::shared_ptr<pawl::testing::manual_clock> clock =
        std::make_shared<pawl::testing::manual_clock>();
    std::optional<harness<lamp, light>> lamps;
    pawl::run_id repeating, armed, backing_off, running;
};

} // namespace

BOOST_DATA_TEST_CASE(one_that_is_set_back_puts_off_what_waits_for_a_time_and_nothing_else, backends)
{
    clock_stage at{sample};
    at.clock->step(-20min);
    at.lamps->advance(5s);
    BOOST_TEST(at.lamps->find(at.running).attempt == 1); // its limit is a span
    BOOST_TEST(at.lamps->find(at.running).last_error == "the attempt took longer than its limit");

    // What begins now waits by the new time.
    const auto fresh = at.lamps->trigger("fresh");
    at.lamps->advance(20s);
    BOOST_TEST(at.status(fresh) == yellow);
    BOOST_TEST(at.status(at.running) == yellow);
    BOOST_TEST(at.status(at.repeating) == green);
    BOOST_TEST(at.status(at.armed) == yellow);
    BOOST_TEST(at.status(at.backing_off) == red);

    at.lamps->advance(10min);
    BOOST_TEST(at.status(fresh) == green);
    BOOST_TEST(at.status(at.armed) == yellow);
    at.check_ends();
}

BOOST_DATA_TEST_CASE(one_that_is_set_forward_ends_the_waits_that_it_has_passed, backends)
{
    clock_stage at{sample};
    at.clock->step(1h);
    at.lamps->advance(4s);
    BOOST_TEST(at.lamps->find(at.running).attempt == 0);
    at.lamps->advance(1s);
    BOOST_TEST(at.lamps->find(at.running).attempt == 1);
    at.lamps->advance(1min + 20s); // a sleep, then what still waits for a span
    BOOST_TEST(at.lamps->find(at.repeating).object.trail.size() == 3u);
    BOOST_TEST(at.status(at.armed) == green);
    BOOST_TEST(at.status(at.backing_off) == yellow);
    at.lamps->advance(8min + 20s);
    BOOST_TEST(at.status(at.repeating) == off);
    BOOST_TEST(at.status(at.armed) == off);
    BOOST_TEST(at.status(at.backing_off) == yellow);
    at.check_ends();
}

BOOST_DATA_TEST_CASE(a_restart_finds_the_time_as_it_is, backends)
{
    clock_stage at{sample};
    at.clock->step(-20min);
    at.lamps->restart();
    at.clock->step(5min);
    at.lamps->restart();
    at.lamps->advance(1min);
    BOOST_TEST(at.status(at.armed) == yellow);
    at.check_ends();
}

BOOST_AUTO_TEST_CASE(one_that_is_set_past_a_deadline_interrupts_the_step_that_runs)
{
    world w;
    lamp_builder b{"lamps"};
    b.step<red>([clock = w.clock](lamp_run&) -> pawl::step<off> {
        co_await wait_on(*clock, 10h);
        co_return pawl::to<off>;
    });
    b.timeout<red>(2h, time_out);
    b.step<green>([](lamp_run&) -> pawl::step<off> { co_return pawl::to<off>; });
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto run = w.wait_for(client.async_trigger("a", lamp{}, {}, asio::use_awaitable));
    w.settle();
    w.clock->step(-1h);
    w.advance(2h);
    BOOST_TEST(w.state_of(client, run).status == red);
    w.clock->step(3h);
    w.advance(1min);
    BOOST_TEST(w.state_of(client, run).status == off);
    BOOST_TEST(w.state_of(client, run).object.trail == std::vector<std::string>{"timed out"},
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(one_that_is_set_back_after_a_store_has_failed_holds_up_no_run)
{
    faulty_world w;
    lamp_builder b{"lamps"};
    b.step<red>([](lamp_run&) -> pawl::step<off> { co_return pawl::to<off>; }).start_delay(10s);
    b.end<off>();
    w.fail({"due"});
    auto client = w.start(std::move(b).build());
    w.settle();
    w.repair();
    w.clock->step(-1h);
    const auto run = w.wait_for(client.async_trigger("a", lamp{}, {}, asio::use_awaitable));
    w.advance(10s);
    w.advance(1s);
    BOOST_TEST(w.state_of(client, run).status == off);
}

BOOST_AUTO_TEST_SUITE_END()
