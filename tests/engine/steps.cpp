// Steps: a run goes through its statuses without waiting, failures are retried by policy and
// counted in the record, and every kind of failure ends in a defined state.
#include "engine/support.hpp"
#include "printing.hpp"

BOOST_AUTO_TEST_SUITE(steps)

using namespace engine_test;
using enum light;

namespace {

pawl::step<yellow> to_yellow(lamp_run& run)
{
    run.object().trail.push_back("red");
    co_return pawl::to<yellow>;
}

pawl::step<green> to_green(lamp_run& run)
{
    run.object().trail.push_back("yellow");
    co_return pawl::to<green>;
}

pawl::step<off> to_off(lamp_run& run)
{
    run.object().trail.push_back("green");
    co_return pawl::to<off>;
}

pawl::workflow<lamp, light> three_steps()
{
    lamp_builder b{"lamps"};
    b.step<red>(to_yellow);
    b.step<yellow>(to_green);
    b.step<green>(to_off);
    b.end<off>();
    return std::move(b).build();
}

/// Fails as long as the object's value is above the attempt's number.
pawl::step<off> fails_at_first(lamp_run& run)
{
    if (run.attempt() <= run.object().value) {
        run.object().trail.push_back("of a failed attempt");
        throw std::runtime_error("attempt " + std::to_string(run.attempt()));
    }
    run.object().trail.push_back("attempt " + std::to_string(run.attempt()));
    co_return pawl::to<off>;
}

lamp_builder failing(pawl::retry_policy policy)
{
    lamp_builder b{"lamps"};
    b.step<red>(fails_at_first).retry(std::move(policy));
    b.end<off>();
    return b;
}

} // namespace

BOOST_AUTO_TEST_CASE(a_run_goes_straight_through_and_no_time_passes)
{
    world w;
    auto client = w.start(three_steps());
    const auto before = w.clock->now();
    const auto run = w.wait_for(client.async_trigger("a", lamp{}, {}, asio::use_awaitable));
    w.settle();
    const auto end = w.state_of(client, run);
    BOOST_TEST(end.status == off);
    BOOST_TEST(end.state == pawl::run_state::completed);
    BOOST_TEST(end.version == 4u);
    const std::vector<std::string> trail{"red", "yellow", "green"};
    BOOST_TEST(end.object.trail == trail, boost::test_tools::per_element());
    BOOST_TEST((w.clock->now() == before));
    const std::vector<std::string> kinds{"started", "moved", "moved", "completed"};
    BOOST_TEST(w.kinds_of(client, run) == kinds, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(failed_attempts_are_counted_and_spaced_and_leave_nothing_in_the_object)
{
    world w;
    auto client = w.start(failing({.initial = 5s, .multiplier = 2, .jitter = 0}).build());
    const auto run =
        w.wait_for(client.async_trigger("a", lamp{.value = 2}, {}, asio::use_awaitable));
    w.settle();
    auto now = w.state_of(client, run);
    BOOST_TEST(now.attempt == 1);
    BOOST_TEST(now.last_error == "attempt 1");
    BOOST_TEST(now.state == pawl::run_state::running);
    w.advance(4999ms);
    BOOST_TEST(w.state_of(client, run).attempt == 1);
    w.advance(1ms);
    BOOST_TEST(w.state_of(client, run).attempt == 2);
    w.advance(9999ms);
    BOOST_TEST(w.state_of(client, run).attempt == 2);
    w.advance(1ms);
    now = w.state_of(client, run);
    BOOST_TEST(now.status == off);
    BOOST_TEST(now.attempt == 0);
    BOOST_TEST(now.last_error == "");
    const std::vector<std::string> trail{"attempt 3"};
    BOOST_TEST(now.object.trail == trail, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(attempts_survive_a_restart)
{
    world w;
    auto client =
        w.start(failing({.initial = 5s, .multiplier = 1, .jitter = 0, .max_attempts = 3}).build());
    const auto run =
        w.wait_for(client.async_trigger("a", lamp{.value = 9}, {}, asio::use_awaitable));
    w.settle();
    w.stop();
    client =
        w.start(failing({.initial = 5s, .multiplier = 1, .jitter = 0, .max_attempts = 3}).build());
    w.advance(5s);
    BOOST_TEST(w.state_of(client, run).attempt == 2);
    w.advance(5s);
    BOOST_TEST(w.state_of(client, run).state == pawl::run_state::paused);
}

BOOST_AUTO_TEST_CASE(used_up_attempts_pause_with_the_reason_and_resume_a_bounded_number_of_times)
{
    world w;
    auto b = failing({.initial = 1s, .multiplier = 1, .jitter = 0, .max_attempts = 2});
    b.auto_resume(1h, 2);
    auto client = w.start(std::move(b).build());
    const auto run =
        w.wait_for(client.async_trigger("a", lamp{.value = 99}, {}, asio::use_awaitable));
    w.advance(1s);
    auto now = w.state_of(client, run);
    BOOST_TEST(now.state == pawl::run_state::paused);
    BOOST_TEST(now.reason == "attempt 2");
    for (int resumes = 0; resumes < 2; ++resumes) {
        w.advance(1h);
        BOOST_TEST(w.state_of(client, run).state == pawl::run_state::running);
        w.advance(1s);
        BOOST_TEST(w.state_of(client, run).state == pawl::run_state::paused);
    }
    w.advance(24h);
    now = w.state_of(client, run);
    BOOST_TEST(now.state == pawl::run_state::paused);
    BOOST_TEST(!now.wake_at.has_value());
}

BOOST_AUTO_TEST_CASE(an_error_that_must_not_be_repeated_is_not)
{
    world w;
    auto client = w.start(failing({.permanent = [](const std::exception_ptr&) {
                              return true;
                          }}).build());
    const auto run =
        w.wait_for(client.async_trigger("a", lamp{.value = 1}, {}, asio::use_awaitable));
    w.settle();
    BOOST_TEST(w.state_of(client, run).state == pawl::run_state::paused);
}

namespace {

pawl::step<off> throws_an_int(lamp_run&)
{
    throw 7;
    co_return pawl::to<off>;
}

pawl::step<off> ends(lamp_run&)
{
    co_return pawl::to<off>;
}

} // namespace

BOOST_AUTO_TEST_CASE(used_up_attempts_may_lead_to_a_status_instead)
{
    world w;
    lamp_builder b{"lamps"};
    b.step<red>(throws_an_int).retry({.max_attempts = 1}).on_exhausted<broken>();
    b.step<broken>(ends);
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto run = w.wait_for(client.async_trigger("a", lamp{}, {}, asio::use_awaitable));
    w.settle();
    BOOST_TEST(w.state_of(client, run).status == off);
    const auto history = w.wait_for(client.async_history(run, 0, 100, asio::use_awaitable));
    BOOST_REQUIRE(history.size() == 3u);
    BOOST_TEST(history[1].to == static_cast<int>(broken));
}

namespace {

struct slow_step {
    pawl::clock* clock;
    pawl::duration span;

    pawl::step<off> operator()(lamp_run& run) const { return body(run, clock, span); }

    static pawl::step<off> body(lamp_run& run, pawl::clock* clock, pawl::duration span)
    {
        run.object().value = 1;
        co_await wait_on(*clock, span);
        co_return pawl::to<off>;
    }
};

} // namespace

BOOST_AUTO_TEST_CASE(an_attempt_past_its_limit_is_cancelled_and_counts)
{
    world w;
    lamp_builder b{"lamps"};
    b.step<red>(slow_step{w.clock.get(), 1h})
        .attempt_timeout(10s)
        .retry({.initial = 1s, .multiplier = 1, .jitter = 0, .max_attempts = 2});
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto run = w.wait_for(client.async_trigger("a", lamp{}, {}, asio::use_awaitable));
    w.advance(10s);
    auto now = w.state_of(client, run);
    BOOST_TEST(now.attempt == 1);
    BOOST_TEST(now.last_error.find("limit") != std::string::npos);
    BOOST_TEST(now.object.value == 0);
    w.advance(1s);
    w.advance(10s);
    BOOST_TEST(w.state_of(client, run).state == pawl::run_state::paused);
}

namespace {

/// Ignores its cancellation, as a step does that waits for something that cannot be cancelled.
pawl::step<off> stubborn(lamp_run&, pawl::clock* clock)
{
    const auto executor = co_await asio::this_coro::executor;
    const auto timer = clock->make_timer(executor);
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(
        [](auto handler, pawl::timer* t) { t->wait(1h, std::move(handler)); }, asio::use_awaitable,
        timer.get());
    co_return pawl::to<off>;
}

} // namespace

BOOST_AUTO_TEST_CASE(a_step_that_ignores_cancellation_does_not_hold_its_run)
{
    world w;
    w.options.cancellation_grace = 5s;
    lamp_builder b{"lamps"};
    b.step<red>([clock = w.clock.get()](lamp_run& run) { return stubborn(run, clock); })
        .attempt_timeout(10s)
        .retry({.initial = 60s, .multiplier = 1, .jitter = 0});
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto run = w.wait_for(client.async_trigger("a", lamp{}, {}, asio::use_awaitable));
    w.advance(10s);
    BOOST_TEST(w.state_of(client, run).attempt == 0);
    w.advance(5s);
    BOOST_TEST(w.state_of(client, run).attempt == 1);
    w.wait_for(client.async_cancel(run, "enough", asio::use_awaitable));
    BOOST_TEST(w.state_of(client, run).state == pawl::run_state::cancelled);
    // The first attempt ends at last, and its result is dropped.
    w.advance(2h);
    const auto now = w.state_of(client, run);
    BOOST_TEST(now.state == pawl::run_state::cancelled);
    BOOST_TEST(now.status == red);
}

namespace {

pawl::step<off> polls(lamp_run& run)
{
    if (++run.object().value < 3)
        co_return pawl::repeat_after(10s);
    co_return pawl::to<off>;
}

} // namespace

BOOST_AUTO_TEST_CASE(repeat_after_saves_the_object_and_waits)
{
    world w;
    lamp_builder b{"lamps"};
    b.step<red>(polls);
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto run = w.wait_for(client.async_trigger("a", lamp{}, {}, asio::use_awaitable));
    w.settle();
    BOOST_TEST(w.state_of(client, run).object.value == 1);
    w.advance(10s);
    BOOST_TEST(w.state_of(client, run).object.value == 2);
    BOOST_TEST(w.state_of(client, run).status == red);
    w.advance(10s);
    BOOST_TEST(w.state_of(client, run).status == off);
}

BOOST_AUTO_TEST_CASE(a_hundred_repeats_keep_their_order)
{
    world w;
    lamp_builder b{"lamps"};
    b.step<red>([](lamp_run& run) -> pawl::step<off> {
        run.object().trail.push_back(std::to_string(run.object().value++));
        if (run.object().value < 100)
            co_return pawl::repeat_after(0s);
        co_return pawl::to<off>;
    });
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto run = w.wait_for(client.async_trigger("a", lamp{}, {}, asio::use_awaitable));
    w.settle();
    const auto end = w.state_of(client, run);
    BOOST_TEST(end.status == off);
    BOOST_REQUIRE(end.object.trail.size() == 100u);
    for (std::size_t i = 0; i < 100; ++i)
        BOOST_TEST(end.object.trail[i] == std::to_string(i));
}

BOOST_AUTO_TEST_CASE(handlers_may_cancel_finish_and_pause)
{
    world w;
    lamp_builder b{"lamps"};
    b.step<red>([](lamp_run& run) -> pawl::step<off> {
        const int wish = run.object().value;
        run.object().trail.push_back("saved");
        if (wish == 1)
            co_return pawl::cancel("not wanted");
        if (wish == 2)
            co_return pawl::finish("good enough");
        if (wish == 3) {
            run.object().value = 4;
            co_return pawl::pause("look at this");
        }
        co_return pawl::to<off>;
    });
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto cancelled =
        w.wait_for(client.async_trigger("a", lamp{.value = 1}, {}, asio::use_awaitable));
    const auto finished =
        w.wait_for(client.async_trigger("b", lamp{.value = 2}, {}, asio::use_awaitable));
    const auto paused =
        w.wait_for(client.async_trigger("c", lamp{.value = 3}, {}, asio::use_awaitable));
    w.settle();
    BOOST_TEST(w.state_of(client, cancelled).state == pawl::run_state::cancelled);
    BOOST_TEST(w.state_of(client, cancelled).reason == "not wanted");
    BOOST_TEST(w.state_of(client, cancelled).object.trail.size() == 1u);
    BOOST_TEST(w.state_of(client, finished).state == pawl::run_state::completed);
    BOOST_TEST(w.state_of(client, finished).status == red);
    BOOST_TEST(w.state_of(client, paused).state == pawl::run_state::paused);
    w.advance(48h);
    BOOST_TEST(w.state_of(client, paused).state == pawl::run_state::paused);
    w.wait_for(client.async_resume(paused, {}, asio::use_awaitable));
    w.settle();
    BOOST_TEST(w.state_of(client, paused).status == off);
}

BOOST_AUTO_TEST_CASE(an_effect_is_recorded_once_and_survives_the_attempt)
{
    world w;
    int charged = 0;
    lamp_builder b{"lamps"};
    b.step<red>([&charged](lamp_run& run) -> pawl::step<off> {
         const auto receipt = co_await run.once("charge", [&charged] { return ++charged; });
         if (run.attempt() < 3)
             throw std::runtime_error("after the charge");
         run.object().value = receipt;
         co_return pawl::to<off>;
     }).retry({.initial = 1s, .multiplier = 1, .jitter = 0});
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto run = w.wait_for(client.async_trigger("a", lamp{}, {}, asio::use_awaitable));
    w.advance(1s);
    w.advance(1s);
    const auto end = w.state_of(client, run);
    BOOST_TEST(end.status == off);
    BOOST_TEST(end.object.value == 1);
    BOOST_TEST(charged == 1);
}

BOOST_AUTO_TEST_CASE(lag_delays_the_first_attempt)
{
    world w;
    lamp_builder b{"lamps"};
    b.step<red>(ends).start_delay(1h);
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto run = w.wait_for(client.async_trigger("a", lamp{}, {}, asio::use_awaitable));
    w.advance(59min);
    BOOST_TEST(w.state_of(client, run).status == red);
    w.advance(1min);
    const auto end = w.state_of(client, run);
    BOOST_TEST(end.status == off);
    BOOST_TEST((end.updated_at - end.created_at == 1h));
}

BOOST_AUTO_TEST_SUITE_END()
