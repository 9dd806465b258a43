// Timeouts belong to one visit of one run: they fire on time, interrupt a running step, fall away
// when the run leaves, and each does only its own work.
#include "engine/support.hpp"
#include "printing.hpp"

BOOST_AUTO_TEST_SUITE(timeouts)

using namespace engine_test;
using enum light;

namespace {

template <auto To>
pawl::step<To> go(lamp_run& run)
{
    run.object().trail.push_back("went");
    co_return pawl::to<To>;
}

pawl::step<red> back_to_red(lamp_run&)
{
    co_return pawl::to<red>;
}

pawl::step<yellow> forward(lamp_run&, int)
{
    co_return pawl::to<yellow>;
}

pawl::run_id trigger(world& w, lamps& client, lamp object = {}, std::string foreign_id = "a")
{
    const auto run =
        w.wait_for(client.async_trigger(std::move(foreign_id), object, {}, asio::use_awaitable));
    w.settle();
    return run;
}

} // namespace

BOOST_AUTO_TEST_CASE(fires_once_at_its_time_and_changes_the_object)
{
    world w;
    lamp_builder b{"lamps"};
    b.timeout<red>(1h, go<off>);
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto run = trigger(w, client);
    w.advance(1h - 1us);
    BOOST_TEST(w.state_of(client, run).status == red);
    w.advance(1us);
    const auto end = w.state_of(client, run);
    BOOST_TEST(end.status == off);
    BOOST_TEST(end.object.trail.size() == 1u);
}

BOOST_AUTO_TEST_CASE(fires_after_a_restart_that_slept_over_it)
{
    world w;
    const auto definition = [] {
        lamp_builder b{"lamps"};
        b.timeout<red>(1h, go<off>);
        b.end<off>();
        return std::move(b).build();
    };
    auto client = w.start(definition());
    const auto run = trigger(w, client);
    w.stop();
    w.clock->advance(5h);
    client = w.start(definition());
    w.settle();
    BOOST_TEST(w.state_of(client, run).status == off);
}

BOOST_AUTO_TEST_CASE(a_passed_time_fires_at_once_and_none_never)
{
    world w;
    lamp_builder b{"lamps"};
    b.timeout<red>(
        [](const lamp_run& run) -> std::optional<pawl::time_point> {
            if (run.object().value == 0)
                return std::nullopt;
            return run.now() - 1h;
        },
        go<off>);
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto never = trigger(w, client, lamp{.value = 0}, "never");
    const auto past = trigger(w, client, lamp{.value = 1}, "past");
    BOOST_TEST(w.state_of(client, past).status == off);
    w.advance(1000h);
    BOOST_TEST(w.state_of(client, never).status == red);
    BOOST_TEST(!w.state_of(client, never).wake_at.has_value());
}

BOOST_AUTO_TEST_CASE(several_of_one_status_are_independent)
{
    world w;
    lamp_builder b{"lamps"};
    b.timeout<red>("first", 1h, [](lamp_run& run) -> pawl::step<off> {
        run.object().trail.push_back("at one");
        co_return pawl::repeat_after(24h);
    });
    b.timeout<red>("second", 2h, go<off>);
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto run = trigger(w, client);
    w.advance(1h);
    auto now = w.state_of(client, run);
    BOOST_TEST(now.status == red);
    BOOST_TEST(now.object.trail.size() == 1u);
    w.advance(59min);
    BOOST_TEST(w.state_of(client, run).status == red);
    w.advance(1min);
    now = w.state_of(client, run);
    BOOST_TEST(now.status == off);
    BOOST_TEST(now.object.trail.size() == 2u);
}

BOOST_AUTO_TEST_CASE(skipping_ends_a_timeout)
{
    world w;
    int fired = 0;
    lamp_builder b{"lamps"};
    b.timeout<red>(1h, [&fired](lamp_run&) -> pawl::step<off> {
        ++fired;
        co_return pawl::skip();
    });
    b.callback<red>("go", [](lamp_run&, int) -> pawl::step<off> { co_return pawl::to<off>; });
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto run = trigger(w, client);
    w.advance(1h);
    w.advance(100h);
    BOOST_TEST(fired == 1);
    BOOST_TEST(!w.state_of(client, run).wake_at.has_value());
}

BOOST_AUTO_TEST_CASE(a_deadline_of_an_earlier_visit_does_not_fire_in_a_later_one)
{
    world w;
    lamp_builder b{"lamps"};
    b.callback<red>("forward", forward);
    b.timeout<red>(1h, go<off>);
    b.step<yellow>(back_to_red).start_delay(30min);
    b.start<red>();
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto run = trigger(w, client);
    w.advance(50min);
    w.wait_for(client.async_call(run, "forward", 1, {}, asio::use_awaitable));
    w.advance(30min); // back in red, 80 minutes after the start
    BOOST_TEST(w.state_of(client, run).status == red);
    w.advance(59min);
    BOOST_TEST(w.state_of(client, run).status == red);
    w.advance(1min);
    BOOST_TEST(w.state_of(client, run).status == off);
}

BOOST_AUTO_TEST_CASE(a_timeout_of_a_former_run_does_not_touch_the_next_one)
{
    world w;
    lamp_builder b{"lamps"};
    b.timeout<red>(1h, go<off>);
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto first = trigger(w, client);
    w.advance(30min);
    w.wait_for(client.async_cancel(first, "replaced", asio::use_awaitable));
    const auto second = trigger(w, client);
    w.advance(30min);
    BOOST_TEST(w.state_of(client, second).status == red);
    BOOST_TEST(w.state_of(client, first).state == pawl::run_state::cancelled);
    w.advance(30min);
    BOOST_TEST(w.state_of(client, second).status == off);
}

BOOST_AUTO_TEST_CASE(a_deadline_interrupts_the_step_that_is_running)
{
    world w;
    lamp_builder b{"lamps"};
    b.step<red>([clock = w.clock.get()](lamp_run&) -> pawl::step<green> {
        co_await wait_on(*clock, 10h);
        co_return pawl::to<green>;
    });
    b.timeout<red>(1h, go<off>);
    b.end<off, green>();
    auto client = w.start(std::move(b).build());
    const auto run = trigger(w, client);
    w.advance(1h);
    BOOST_TEST(w.state_of(client, run).status == off);
    w.advance(24h);
    BOOST_TEST(w.state_of(client, run).status == off);
}

BOOST_AUTO_TEST_CASE(a_repeating_step_does_not_move_the_deadline)
{
    world w;
    lamp_builder b{"lamps"};
    b.step<red>([](lamp_run& run) -> pawl::step<green> {
        ++run.object().value;
        co_return pawl::repeat_after(10min);
    });
    b.timeout<red>(1h, go<off>);
    b.end<off, green>();
    auto client = w.start(std::move(b).build());
    const auto run = trigger(w, client);
    for (int i = 0; i < 6; ++i)
        w.advance(10min);
    const auto end = w.state_of(client, run);
    BOOST_TEST(end.status == off);
    BOOST_TEST((end.updated_at - end.created_at == 1h));
    BOOST_TEST(end.object.value == 6);
}

BOOST_AUTO_TEST_CASE(a_failing_handler_is_retried_and_then_pauses_the_run)
{
    world w;
    lamp_builder b{"lamps"};
    b.timeout<red>(1h, [](lamp_run&) -> pawl::step<off> {
         throw std::runtime_error("no power");
         co_return pawl::to<off>;
     }).retry({.initial = 1min, .multiplier = 1, .jitter = 0, .max_attempts = 3});
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto run = trigger(w, client);
    w.advance(1h);
    auto now = w.state_of(client, run);
    BOOST_TEST(now.last_error == "no power");
    BOOST_TEST(now.state == pawl::run_state::running);
    w.advance(1min);
    w.advance(1min);
    now = w.state_of(client, run);
    BOOST_TEST(now.state == pawl::run_state::paused);
    BOOST_TEST(now.reason == "no power");
}

BOOST_AUTO_TEST_CASE(a_handler_sees_its_own_attempts)
{
    world w;
    std::vector<int> attempts;
    lamp_builder b{"lamps"};
    b.step<red>([](lamp_run&) -> pawl::step<off> {
         throw std::runtime_error("no bulb");
     }).retry({.initial = 10min, .multiplier = 1, .jitter = 0, .max_attempts = 0});
    b.timeout<red>(1h, [&](lamp_run& run) -> pawl::step<off> {
         attempts.push_back(run.attempt());
         if (run.attempt() < 3)
             throw std::runtime_error("no power");
         co_return pawl::to<off>;
     }).retry({.initial = 1min, .multiplier = 1, .jitter = 0});
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto run = trigger(w, client);
    w.advance_until([&] { return w.state_of(client, run).status == off; });
    BOOST_TEST(attempts == (std::vector<int>{1, 2, 3}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_paused_run_keeps_its_deadline_for_the_resume)
{
    world w;
    lamp_builder b{"lamps"};
    b.timeout<red>(1h, go<off>);
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto run = trigger(w, client);
    w.wait_for(client.async_pause(run, "hold on", asio::use_awaitable));
    w.advance(2h);
    BOOST_TEST(w.state_of(client, run).state == pawl::run_state::paused);
    w.wait_for(client.async_resume(run, {}, asio::use_awaitable));
    w.settle();
    BOOST_TEST(w.state_of(client, run).status == off);
}

BOOST_AUTO_TEST_CASE(a_failing_handler_does_not_start_the_step_that_it_interrupted)
{
    world w;
    int started = 0;
    int fired = 0;
    lamp_builder b{"lamps"};
    b.step<red>([&, clock = w.clock.get()](lamp_run&) -> pawl::step<off> {
        ++started;
        co_await wait_on(*clock, 10h);
        co_return pawl::to<off>;
    });
    b.timeout<red>(1min, [&](lamp_run&) -> pawl::step<off> {
        if (++fired <= 3)
            throw std::runtime_error("not yet");
        co_return pawl::skip();
    });
    b.end<off>();
    auto client = w.start(std::move(b).build());
    w.wait_for(client.async_trigger("a", lamp{}, {}, asio::use_awaitable));
    w.settle();
    w.advance(1min);
    w.advance_until([&] { return fired == 3; });
    BOOST_TEST(started == 1);
    w.advance_until([&] { return fired == 4; });
    BOOST_TEST(started == 2); // the timeout is done, and the step goes on
}

BOOST_AUTO_TEST_SUITE_END()
