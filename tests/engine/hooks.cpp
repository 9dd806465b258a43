// Hooks: run from the log behind a durable cursor, see the event that they are for, are retried,
// and hold up no run.
#include "engine/support.hpp"

#include <boost/json/value.hpp>

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

asio::awaitable<void> note_call(int& calls)
{
    ++calls;
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

BOOST_AUTO_TEST_CASE(there_is_one_for_each_turn_of_a_runs_life)
{
    world w;
    std::vector<std::string> seen;
    const auto noted = [&seen](const char* name) {
        return [&seen, name](const pawl::event& what, const snapshot& s) {
            BOOST_TEST((what.run == s.id));
            BOOST_TEST(what.version == s.version);
            return note(seen, std::string{name} + ": " + to_string(s.state) + " " + s.requested_by +
                                  " " + what.error);
        };
    };
    lamp_builder b{"lamps"};
    b.callback<red>("go on", obey);
    b.end<off>();
    b.on_start(noted("start")).on_pause(noted("pause")).on_resume(noted("resume"));
    b.on_cancel(noted("cancel")).on_complete(noted("complete")).on_data_deleted(noted("deleted"));
    b.on_enter<red, off>(noted("enter"));
    auto client = w.start(std::move(b).build());
    const auto run = w.wait_for(client.async_trigger("a", lamp{}));
    w.wait_for(client.async_pause(run, {"hold on", "ada"}));
    w.wait_for(client.async_resume(run, {"", "grace"}));
    w.wait_for(client.async_callback(run, "go on", 0));
    w.wait_for(client.async_delete_data(run, {"asked", "ada"}));
    w.settle();
    const std::vector<std::string> whole_life{"start: Initiated  ",
                                              "enter: Initiated  ",
                                              "pause: Paused ada hold on",
                                              "resume: Running grace ",
                                              "complete: Completed  ",
                                              "enter: Completed  ",
                                              "deleted: DataDeleted ada asked"};
    BOOST_TEST(seen == whole_life, boost::test_tools::per_element());

    seen.clear();
    const auto second = w.wait_for(client.async_trigger("a", lamp{}));
    w.wait_for(client.async_cancel(second, {"not needed", "alan"}));
    w.settle();
    const std::vector<std::string> cancelled{"start: Initiated  ", "enter: Initiated  ",
                                             "cancel: Cancelled alan not needed"};
    BOOST_TEST(seen == cancelled, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(entering_a_status_by_used_up_attempts_tells_the_error)
{
    world w;
    std::vector<std::string> seen;
    lamp_builder b{"lamps"};
    b.step<red>([](lamp_run&) -> pawl::step<off> { throw std::runtime_error("no power"); })
        .retry({.max_attempts = 1})
        .exhausted<yellow>();
    b.callback<yellow>("go on", obey);
    b.end<off>();
    b.on_enter<yellow>([&](const pawl::event& what, const snapshot& s) {
        return note(seen, s.foreign_id + ": " + what.error);
    });
    auto client = w.start(std::move(b).build());
    w.wait_for(client.async_trigger("a", lamp{}));
    w.settle();
    BOOST_TEST(seen == std::vector<std::string>{"a: no power"}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(one_that_fails_for_long_holds_up_the_hooks_of_no_other_run)
{
    world w;
    w.options.hook_retry = {.initial = 1h, .multiplier = 1, .jitter = 0, .max_attempts = 3};
    int good = 0;
    lamp_builder b{"lamps"};
    b.step<red>(obey);
    b.end<off>();
    b.on_complete([&](const snapshot& s) -> asio::awaitable<void> {
        if (s.foreign_id == "bad")
            throw std::runtime_error("cannot report");
        ++good;
        co_return;
    });
    auto client = w.start(std::move(b).build());
    w.wait_for(client.async_trigger("bad", lamp{}));
    for (int i = 0; i < 600; ++i) // more than a page of the log, several times
        w.wait_for(client.async_trigger(std::to_string(i), lamp{}));
    w.settle();
    BOOST_TEST(good == 600);
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

BOOST_AUTO_TEST_CASE(a_hook_of_an_older_program_leaves_the_event_to_the_newer_one)
{
    world w;
    w.options.hook_retry = {.initial = 1s, .multiplier = 1, .jitter = 0, .max_attempts = 2};
    int calls = 0;
    const auto definition = [&](int newer_schemas) {
        lamp_builder b{"lamps"};
        b.callback<red>("end", obey);
        b.end<off>();
        for (int version = 1; version <= newer_schemas; ++version)
            b.upgrade(static_cast<std::uint32_t>(version), [](boost::json::value&) {});
        b.on_pause([&](const snapshot&) { return note_call(calls); });
        return std::move(b).build();
    };
    auto client = w.start(definition(1));
    const auto run = w.wait_for(client.async_trigger("a", lamp{}));
    w.stop();
    client = w.start(definition(0));
    w.wait_for(client.async_pause(run, "look at it"));
    for (int i = 0; i < 10; ++i)
        w.advance(1min);
    BOOST_TEST(calls == 0);
    const auto says = [&](const std::string& text) {
        return std::ranges::count_if(
            w.log, [&](const std::string& line) { return line.find(text) != std::string::npos; });
    };
    BOOST_TEST(says("given up") == 0);
    BOOST_TEST(says("needs a newer program") == 1);
    w.stop();
    client = w.start(definition(1));
    w.settle();
    BOOST_TEST(calls == 1);
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
