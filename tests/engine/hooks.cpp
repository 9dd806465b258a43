// Hooks: run from the log behind a durable cursor, see the event that they are for, are retried,
// and hold up no run.
#include "engine/support.hpp"

using namespace engine_test;
using enum light;
using snapshot = pawl::snapshot<lamp, light>;

namespace {

pawl::step<off> obey(lamp_run& run)
{
    if (run.object().value == 1)
        co_return pawl::pause("asked to");
    if (run.object().value == 2)
        co_return pawl::cancel("asked to");
    co_return pawl::to<off>;
}

struct hooks_seen {
    std::vector<std::string> completed, paused, cancelled;
};

asio::awaitable<void> note(std::vector<std::string>& where, std::string what)
{
    where.push_back(std::move(what));
    co_return;
}

lamp_builder noting(hooks_seen& seen)
{
    lamp_builder b{"lamps"};
    b.step<red>(obey);
    b.end<off>();
    b.on_complete([&seen](const snapshot& s) {
        return note(seen.completed, s.foreign_id + " " + to_string(s.state));
    });
    b.on_pause([&seen](const snapshot& s) {
        return note(seen.paused, s.foreign_id + " " + to_string(s.state) + " " + s.reason);
    });
    b.on_cancel([&seen](const snapshot& s) {
        return note(seen.cancelled, s.foreign_id + " " + to_string(s.state) + " " + s.reason);
    });
    return b;
}

} // namespace

BOOST_AUTO_TEST_SUITE(hooks)

BOOST_AUTO_TEST_CASE(each_sees_its_own_event)
{
    world w;
    hooks_seen seen;
    auto client = w.start(noting(seen).build());
    w.wait_for(client.async_trigger("done", lamp{.value = 0}, {}, asio::use_awaitable));
    const auto paused =
        w.wait_for(client.async_trigger("held", lamp{.value = 1}, {}, asio::use_awaitable));
    w.wait_for(client.async_trigger("gone", lamp{.value = 2}, {}, asio::use_awaitable));
    w.wait_for(client.async_cancel(paused, "given up", asio::use_awaitable));
    w.settle();
    const std::vector<std::string> completed{"done Completed"};
    BOOST_TEST(seen.completed == completed, boost::test_tools::per_element());
    // The run has been cancelled since; the hook is told of the pause.
    const std::vector<std::string> held{"held Paused asked to"};
    BOOST_TEST(seen.paused == held, boost::test_tools::per_element());
    std::ranges::sort(seen.cancelled);
    const std::vector<std::string> cancelled{"gone Cancelled asked to", "held Cancelled given up"};
    BOOST_TEST(seen.cancelled == cancelled, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(is_not_called_again_after_a_restart)
{
    world w;
    hooks_seen seen;
    auto client = w.start(noting(seen).build());
    w.wait_for(client.async_trigger("done", lamp{}, {}, asio::use_awaitable));
    w.settle();
    w.stop();
    client = w.start(noting(seen).build());
    w.settle();
    BOOST_TEST(seen.completed.size() == 1u);
}

BOOST_AUTO_TEST_CASE(what_was_not_worked_off_before_a_stop_is_after_the_next_start)
{
    world w;
    int calls = 0;
    bool works = false;
    const auto definition = [&] {
        lamp_builder b{"lamps"};
        b.step<red>(obey);
        b.end<off>();
        b.on_complete([&](const snapshot&) -> asio::awaitable<void> {
            ++calls;
            if (!works)
                throw std::runtime_error("no line to the outside");
            co_return;
        });
        return std::move(b).build();
    };
    auto client = w.start(definition());
    const auto run = w.wait_for(client.async_trigger("a", lamp{}, {}, asio::use_awaitable));
    w.settle();
    BOOST_TEST(calls == 1);
    BOOST_TEST((w.state_of(client, run).status == off));
    w.stop();
    works = true;
    client = w.start(definition());
    w.settle();
    BOOST_TEST(calls == 2);
}

BOOST_AUTO_TEST_CASE(a_failing_hook_is_retried_then_given_up_visibly_and_delays_no_run)
{
    world w;
    w.options.hook_retry = {.initial = 1s, .multiplier = 1, .jitter = 0, .max_attempts = 3};
    int calls = 0;
    lamp_builder b{"lamps"};
    b.step<red>(obey);
    b.end<off>();
    b.on_complete([&](const snapshot& s) -> asio::awaitable<void> {
        if (s.foreign_id != "bad")
            co_return;
        ++calls;
        throw std::runtime_error("cannot report");
    });
    auto client = w.start(std::move(b).build());
    w.wait_for(client.async_trigger("bad", lamp{}, {}, asio::use_awaitable));
    w.settle();
    const auto before = w.clock->now();
    const auto run = w.wait_for(client.async_trigger("good", lamp{}, {}, asio::use_awaitable));
    w.settle();
    BOOST_TEST((w.state_of(client, run).status == off));
    BOOST_TEST((w.clock->now() == before));
    w.advance(1s);
    w.advance(1s);
    BOOST_TEST(calls == 3);
    w.advance(1h);
    BOOST_TEST(calls == 3);
    const auto given_up = [](const std::string& line) {
        return line.find("given up") != std::string::npos;
    };
    BOOST_TEST(std::ranges::any_of(w.log, given_up));
}

BOOST_AUTO_TEST_CASE(a_hook_that_hangs_is_cancelled_by_the_stop)
{
    world w;
    lamp_builder b{"lamps"};
    b.step<red>(obey);
    b.end<off>();
    b.on_complete(
        [&](const snapshot&) -> asio::awaitable<void> { co_await wait_on(*w.clock, 1000h); });
    auto client = w.start(std::move(b).build());
    w.wait_for(client.async_trigger("a", lamp{}, {}, asio::use_awaitable));
    w.settle();
    const auto before = w.clock->now();
    w.stop(5s);
    BOOST_TEST((w.clock->now() - before <= 10s));
}

BOOST_AUTO_TEST_SUITE_END()
