// Hooks: run from the log behind a durable cursor, see the event that they are for, are retried,
// and hold up no run.
#include "engine/faulty_store.hpp"

#include "pawl/dead_letter.hpp"
#include "printing.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/json/value.hpp>

BOOST_AUTO_TEST_SUITE(hooks)

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

std::vector<pawl::stream_event> letters_of(world& w)
{
    return w.wait_for(w.store->topic_events(pawl::hook_dead_letter_topic("lamps"), 0, 100));
}

long lines_with(const world& w, const std::string& part)
{
    return std::ranges::count_if(
        w.log, [&](const std::string& line) { return line.find(part) != std::string::npos; });
}

/// Ends at once; waits in yellow for "go on".
lamp_builder quick()
{
    lamp_builder b{"lamps"};
    b.step<red>(obey);
    b.callback<yellow>("go on", obey);
    b.start<red>().start<yellow>();
    b.end<off>();
    return b;
}

pawl::run_id trigger(world& w, lamps& client, std::string id, light start = red)
{
    const auto run = w.wait_for(client.async_trigger(std::move(id), lamp{}, {.start = start}));
    w.settle();
    return run;
}

/// Counts the events that are read from the log.
class counting_store final : public pawl::forwarding_store {
public:
    using pawl::forwarding_store::forwarding_store;

    asio::awaitable<std::vector<pawl::event>> events(std::uint32_t shard, std::uint64_t after,
                                                     std::size_t limit) override
    {
        auto found = co_await inner().events(shard, after, limit);
        read += found.size();
        co_return found;
    }

    std::size_t read = 0;
};

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
    w.wait_for(client.async_call(run, "go on", 0));
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
        .on_exhausted<yellow>();
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
    BOOST_TEST(w.state_of(client, run).status == off);
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
    BOOST_TEST(w.state_of(client, run).status == off);
    BOOST_TEST((w.clock->now() == before));
    w.advance(1s);
    w.advance(1s);
    BOOST_TEST(calls == 3);
    w.advance(1h);
    BOOST_TEST(calls == 3);
    const auto given_up = [](const std::string& line) {
        return line.find("retries are exhausted") != std::string::npos;
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
    BOOST_TEST(letters_of(w).empty());
    BOOST_TEST(lines_with(w, "exhausted") == 0);
    BOOST_TEST(lines_with(w, "needs a newer program") == 1);
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

BOOST_AUTO_TEST_CASE(a_hook_that_comes_late_sees_its_own_event)
{
    world w;
    bool works = false;
    std::vector<std::string> seen;
    auto b = quick();
    b.on_pause([&](const snapshot& s) -> asio::awaitable<void> {
        if (!works)
            throw std::runtime_error("not yet");
        seen.push_back(to_string(s.state) + " " + s.reason);
        co_return;
    });
    auto client = w.start(std::move(b).build());
    const auto run = trigger(w, client, "a", yellow);
    w.wait_for(client.async_pause(run, "the first"));
    w.wait_for(client.async_resume(run));
    w.wait_for(client.async_cancel(run, "the last"));
    w.stop(); // else the record that it has read is from before
    works = true;
    b = quick();
    b.on_pause([&](const snapshot& s) -> asio::awaitable<void> {
        seen.push_back(to_string(s.state) + " " + s.reason);
        co_return;
    });
    client = w.start(std::move(b).build());
    w.settle();
    BOOST_TEST(seen == std::vector<std::string>{"Paused the first"},
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(hooks_behind_one_that_is_given_up_are_called)
{
    world w;
    w.options.hook_retry = {.initial = 1s, .multiplier = 1, .jitter = 0, .max_attempts = 2};
    std::vector<std::string> calls;
    auto b = quick();
    b.on_complete([&](const snapshot&) -> asio::awaitable<void> {
        calls.push_back("bad");
        throw std::runtime_error("cannot report");
        co_return;
    });
    b.on_complete("second", [&](const snapshot&) { return note(calls, "second"); });
    b.on_enter<off>([&](const snapshot&) { return note(calls, "third"); });
    auto client = w.start(std::move(b).build());
    trigger(w, client, "a");
    w.advance(1s);
    const std::vector<std::string> all{"bad", "bad", "second", "third"};
    BOOST_TEST(calls == all, boost::test_tools::per_element());
    const auto letters = letters_of(w);
    BOOST_REQUIRE(letters.size() == 1u);
    BOOST_TEST(letters[0].type == "completed");
    BOOST_TEST(letters[0].key == "a");
    BOOST_TEST(letters[0].headers.at("attempts") == "2");
    BOOST_TEST(letters[0].headers.at("error") == "cannot report");
    BOOST_TEST(letters[0].headers.at("hook").starts_with("on_complete"));
}

BOOST_AUTO_TEST_CASE(several_hooks_get_an_object_that_was_upgraded_once)
{
    world w;
    std::vector<int> seen;
    const auto definition = [&](bool newer) {
        auto b = quick();
        if (newer)
            b.upgrade(1, [](boost::json::value& document) {
                auto& value = document.as_object().at("value");
                value = value.as_int64() + 1;
            });
        for (int i = 0; i < 2; ++i)
            b.on_pause(std::to_string(i), [&](const snapshot& s) -> asio::awaitable<void> {
                seen.push_back(s.object.value);
                co_return;
            });
        return std::move(b).build();
    };
    auto client = w.start(definition(false));
    const auto run = trigger(w, client, "a", yellow);
    w.stop();
    client = w.start(definition(true));
    w.wait_for(client.async_pause(run, ""));
    w.settle();
    BOOST_TEST(seen == (std::vector<int>{1, 1}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_hooks_permanent_error_is_not_repeated)
{
    for (const bool throws : {false, true})
        BOOST_TEST_CONTEXT((throws ? "a predicate that throws" : "a predicate that says so"))
        {
            world w;
            int calls = 0;
            w.options.hook_retry = {.initial = 1s, .multiplier = 1, .jitter = 0, .max_attempts = 5};
            w.options.hook_retry.permanent = [throws](const std::exception_ptr&) -> bool {
                return throws ? throw 7 : true;
            };
            auto b = quick();
            b.on_complete([&](const snapshot&) -> asio::awaitable<void> {
                ++calls;
                throw std::runtime_error("cannot report");
                co_return;
            });
            auto client = w.start(std::move(b).build());
            trigger(w, client, "a");
            for (int i = 0; i < 10; ++i)
                w.advance(1s);
            BOOST_TEST(calls == (throws ? 5 : 1));
            BOOST_TEST(letters_of(w).size() == 1u);
        }
}

BOOST_AUTO_TEST_CASE(a_hook_may_be_repeated_without_end)
{
    world w;
    int calls = 0;
    w.options.hook_retry = {.initial = 1s, .multiplier = 1, .jitter = 0, .max_attempts = 0};
    auto b = quick();
    b.on_complete([&](const snapshot&) -> asio::awaitable<void> {
        ++calls;
        throw std::runtime_error("cannot report");
        co_return;
    });
    auto client = w.start(std::move(b).build());
    trigger(w, client, "a");
    for (int i = 0; i < 100; ++i)
        w.advance(1s);
    BOOST_TEST(calls == 101);
    BOOST_TEST(letters_of(w).empty());
    BOOST_TEST(lines_with(w, "a hook failed") == 7); // 1, 2, 4, 8, 16, 32, 64
}

BOOST_AUTO_TEST_CASE(a_store_that_fails_uses_up_no_attempt_of_a_hook)
{
    world w;
    int calls = 0;
    w.options.hook_retry = {.initial = 1s, .multiplier = 1, .jitter = 0, .max_attempts = 2};
    auto b = quick();
    b.on_complete([&](const snapshot&) -> asio::awaitable<void> {
        if (++calls <= 5)
            throw pawl::error(calls % 2 ? pawl::errc::store_access_denied : pawl::errc::overloaded,
                              "for now");
        co_return;
    });
    auto client = w.start(std::move(b).build());
    trigger(w, client, "a");
    for (int i = 0; i < 10; ++i)
        w.advance(1s);
    BOOST_TEST(calls == 6);
    BOOST_TEST(letters_of(w).empty());
}

BOOST_AUTO_TEST_CASE(a_hook_past_its_limit_is_cancelled_and_repeated)
{
    for (const bool reacts : {true, false})
        BOOST_TEST_CONTEXT((reacts ? "reacts to cancellation" : "ignores cancellation"))
        {
            world w;
            std::vector<std::string> calls;
            w.options.hook_retry = {.initial = 1s, .multiplier = 1, .jitter = 0, .max_attempts = 3};
            w.options.hook_attempt_timeout = 10s;
            auto b = quick();
            b.on_complete(
                [&, reacts, clock = w.clock.get()](const snapshot& s) -> asio::awaitable<void> {
                    calls.push_back(s.foreign_id);
                    if (s.foreign_id == "hangs" && calls.size() < 3) {
                        if (!reacts)
                            co_await asio::this_coro::reset_cancellation_state(
                                asio::disable_cancellation());
                        co_await wait_on(*clock, 1h);
                    }
                });
            auto client = w.start(std::move(b).build());
            trigger(w, client, "hangs");
            trigger(w, client, "good");
            w.advance(10s);
            w.advance(reacts ? 1s : 6s);
            if (!reacts)
                w.advance(1s);
            const std::vector<std::string> both{"hangs", "good", "hangs"};
            BOOST_TEST(calls == both, boost::test_tools::per_element());
            BOOST_TEST(lines_with(w, "it took longer than hook_attempt_timeout") == 1);
            w.advance(1h); // the end of what was left behind changes nothing
            BOOST_TEST(letters_of(w).empty());
        }
}

BOOST_AUTO_TEST_CASE(odd_options_of_hooks_are_refused_by_name)
{
    world w;
    w.options.store = w.store;
    const auto refusal = [&](auto change) {
        auto options = w.options;
        change(options);
        try {
            const pawl::engine made{w.io.get_executor(), options};
        } catch (const pawl::definition_error& e) {
            return std::string{e.what()};
        }
        return std::string{"accepted"};
    };
    BOOST_TEST(refusal([](auto& o) { o.hook_retry.jitter = -5; }) ==
               "engine_options::hook_retry.jitter is -5; it must be from 0 to 1");
    BOOST_TEST(refusal([](auto& o) { o.hook_retry.max_interval = -1s; }) ==
               "engine_options::hook_retry.max_interval is -1 s; it must be at least initial (1 s) "
               "when multiplier is above 1");
    BOOST_TEST(refusal([](auto& o) { o.hook_attempt_timeout = -1s; }) ==
               "engine_options::hook_attempt_timeout is -1 s; it must be at least 0 s");
    BOOST_TEST(refusal([](auto& o) { o.hook_retry.max_attempts = 0; }) == "accepted");
}

BOOST_AUTO_TEST_CASE(a_hook_that_is_new_begins_with_what_is_committed_from_its_start_on)
{
    for (const bool beside_others : {false, true})
        for (const bool from_beginning : {false, true})
            BOOST_TEST_CONTEXT((beside_others ? "beside others" : "the first one")
                               << (from_beginning ? ", from the beginning" : ""))
            {
                world w;
                hooks_seen seen;
                const auto definition = [&](bool complete, bool cancel) {
                    auto b = quick();
                    if (complete)
                        b.on_complete(
                            [&](const snapshot& s) { return note(seen.completed, s.foreign_id); });
                    if (cancel)
                        b.on_cancel(
                            [&](const snapshot& s) { return note(seen.cancelled, s.foreign_id); });
                    if (cancel && from_beginning)
                        b.hooks_from_beginning();
                    return std::move(b).build();
                };
                auto client = w.start(definition(beside_others, false));
                const auto old = trigger(w, client, "old", yellow);
                const auto kept = trigger(w, client, "kept", yellow);
                w.wait_for(client.async_cancel(old, ""));
                trigger(w, client, "done");
                w.stop();
                for (int start = 0; start < 2; ++start) {
                    client = w.start(definition(beside_others, true));
                    w.settle();
                    if (start == 0)
                        w.wait_for(client.async_cancel(kept, ""));
                    w.settle();
                    w.stop();
                }
                client = w.start(definition(beside_others, true));
                w.settle();
                BOOST_TEST(seen.completed.size() == (beside_others ? 1u : 0u));
                const auto all = from_beginning ? std::vector<std::string>{"old", "kept"}
                                                : std::vector<std::string>{"kept"};
                BOOST_TEST(seen.cancelled == all, boost::test_tools::per_element());
            }
}

BOOST_AUTO_TEST_CASE(hooks_see_runs_that_were_accepted_before_any_was_driven)
{
    world w;
    w.options.client_only = true;
    w.store = pawl::open_memory({.shared = true, .clock = w.clock});
    auto client = w.start(quick().build());
    w.wait_for(client.async_trigger("early", lamp{}));
    w.stop();
    w.options.client_only = false;
    std::vector<std::string> started;
    auto b = quick();
    b.on_start([&](const snapshot& s) { return note(started, s.foreign_id); });
    client = w.start(std::move(b).build());
    w.advance(1s);
    w.advance(10s);
    BOOST_TEST(started == std::vector<std::string>{"early"}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_start_does_not_read_again_what_nobody_wanted)
{
    world w;
    const auto counted = std::make_shared<counting_store>(w.store);
    w.store = counted;
    int calls = 0;
    const auto definition = [&] {
        auto b = quick();
        b.on_cancel([&](const snapshot&) { return note_call(calls); });
        return std::move(b).build();
    };
    auto client = w.start(definition());
    w.wait_for(client.async_cancel(trigger(w, client, "gone", yellow), ""));
    w.settle();
    for (int i = 0; i < 3000; ++i)
        w.wait_for(client.async_trigger(std::to_string(i), lamp{}));
    w.settle();
    // As after a crash: nothing is stored when the engine ends.
    const auto cursor = w.wait_for(w.store->cursor("hooks/lamps/on_cancel", 0));
    BOOST_TEST(cursor > 6000u - 2 * 1024);
    for (int start = 1; start <= 3; ++start) {
        w.stop();
        counted->read = 0;
        client = w.start(definition());
        w.settle();
        BOOST_TEST(counted->read < 1000u);
    }
    BOOST_TEST(calls == 1);
}

BOOST_AUTO_TEST_CASE(hooks_that_fail_hold_up_no_good_one_behind_them)
{
    world w;
    w.options.hook_retry = {.initial = 1h, .multiplier = 1, .jitter = 0, .max_attempts = 3};
    int good = 0;
    auto b = quick();
    b.on_complete([&](const snapshot& s) -> asio::awaitable<void> {
        if (s.foreign_id != "good")
            throw std::runtime_error("cannot report");
        ++good;
        co_return;
    });
    auto client = w.start(std::move(b).build());
    for (int i = 0; i < 1'100; ++i)
        w.wait_for(client.async_trigger(std::to_string(i), lamp{}));
    trigger(w, client, "good");
    BOOST_TEST(good == 1);
}

BOOST_AUTO_TEST_CASE(dead_letters_of_hooks_are_tried_once_more_when_it_is_asked_for)
{
    world w;
    w.options.hook_retry = {.max_attempts = 1};
    bool works = false;
    std::vector<std::string> seen;
    auto b = quick();
    b.on_cancel([&](const pawl::event& what, const snapshot& s) -> asio::awaitable<void> {
        if (!works)
            throw std::runtime_error("not yet");
        seen.push_back(s.foreign_id + " " + s.reason + " " + what.error);
        co_return;
    });
    auto client = w.start(std::move(b).build());
    w.wait_for(client.async_cancel(trigger(w, client, "a", yellow), "its reason"));
    w.settle();
    const auto topic = pawl::hook_dead_letter_topic("lamps");
    auto done = w.wait_for(w.engine->async_redrive(topic));
    BOOST_TEST(done.failed == 1u);
    works = true;
    done = w.wait_for(w.engine->async_redrive(topic));
    BOOST_TEST(done.succeeded == 1u);
    BOOST_TEST(seen == std::vector<std::string>{"a its reason its reason"},
               boost::test_tools::per_element());
    BOOST_TEST(letters_of(w).empty());
}

BOOST_AUTO_TEST_CASE(a_stop_that_a_redriven_hook_asks_for_is_refused)
{
    world w;
    w.options.hook_retry = {.max_attempts = 1};
    bool works = false;
    std::optional<pawl::error_code> told;
    auto b = quick();
    b.on_cancel([&](const pawl::event&, const snapshot&) -> asio::awaitable<void> {
        if (!works)
            throw std::runtime_error("not yet");
        pawl::error_code result;
        co_await w.engine->async_stop(1s, asio::redirect_error(asio::use_awaitable, result));
        told = result;
    });
    auto client = w.start(std::move(b).build());
    w.wait_for(client.async_cancel(trigger(w, client, "a", yellow), "its reason"));
    w.settle();
    works = true;
    const auto done = w.wait_for(w.engine->async_redrive(pawl::hook_dead_letter_topic("lamps")));
    BOOST_TEST(done.succeeded == 1u);
    BOOST_REQUIRE(told.has_value());
    BOOST_TEST(*told == pawl::errc::called_by_handler);
    BOOST_TEST(w.engine->running());
}

namespace {

std::string id_in(std::uint32_t shard, const std::string& prefix)
{
    for (int i = 0;; ++i)
        if (auto id = prefix + std::to_string(i); pawl::shard_of(id, 2) == shard)
            return id;
}

/// Cannot read the log of one shard.
struct damaged_log final : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;
    std::optional<std::uint32_t> damaged;
    int failures = 0;

    asio::awaitable<std::vector<pawl::event>> events(std::uint32_t shard, std::uint64_t after,
                                                     std::size_t limit) override
    {
        if (shard == damaged) {
            ++failures;
            throw pawl::error(pawl::errc::store_corrupt, "an event");
        }
        auto found = co_await inner().events(shard, after, limit);
        co_return found;
    }
};

} // namespace

BOOST_AUTO_TEST_CASE(a_log_that_cannot_be_read_delays_the_hooks_of_no_other_shard)
{
    world w;
    const auto store = std::make_shared<damaged_log>(pawl::open_memory({.shards = 2}));
    w.store = store;
    std::set<std::string> seen;
    auto b = quick();
    b.on_complete([&](const snapshot& s) -> asio::awaitable<void> {
        seen.insert(s.foreign_id);
        co_return;
    });
    auto client = w.start(std::move(b).build());
    store->damaged = 0;
    const auto bad = id_in(0, "bad");
    trigger(w, client, bad);
    for (const std::string name : {"first", "second", "third"}) {
        trigger(w, client, id_in(1, name));
        w.settle();
        BOOST_TEST(seen.contains(id_in(1, name))); // no time has passed
    }
    for (int i = 0; i < 10; ++i)
        w.advance(1s);
    BOOST_TEST(store->failures > 5);
    BOOST_TEST(store->failures < 20);
    store->damaged.reset();
    w.advance(1s);
    BOOST_TEST(seen.contains(bad));
}

BOOST_AUTO_TEST_CASE(a_run_with_many_events_leaves_room_for_the_hooks_of_others)
{
    int many = 0; // hooks write it until their engine has ended
    bool other = false;
    world w;
    lamp_builder b{"lamps"};
    b.step<red>([](lamp_run& run) -> pawl::step<yellow, off> {
        if (--run.object().value < 0)
            co_return pawl::to<off>;
        co_return pawl::to<yellow>;
    });
    b.step<yellow>([](lamp_run&) -> pawl::step<red> { co_return pawl::to<red>; });
    b.start<red>();
    b.end<off>();
    b.on_enter<yellow>([&, clock = w.clock.get()](const snapshot& s) -> asio::awaitable<void> {
        if (s.foreign_id != "many") {
            other = true;
            co_return;
        }
        co_await wait_on(*clock, 1s);
        ++many;
    });
    auto client = w.start(std::move(b).build());
    w.wait_for(client.async_trigger("many", lamp{.value = 1030}));
    w.settle();
    w.wait_for(client.async_trigger("other", lamp{.value = 1}));
    w.settle();
    for (int i = 0; i < 10; ++i)
        w.advance(1s);
    BOOST_TEST(many < 20);
    BOOST_TEST(other);
}

BOOST_AUTO_TEST_CASE(a_hook_on_a_status_that_does_not_exist_is_refused)
{
    auto b = quick();
    b.on_enter<broken>([](const snapshot&) -> asio::awaitable<void> { co_return; });
    BOOST_CHECK_EXCEPTION(std::move(b).build(), pawl::definition_error, [](const auto& e) {
        return std::string{e.what()}.find("on_enter: no run enters status broken (5)") !=
               std::string::npos;
    });
}

BOOST_AUTO_TEST_CASE(a_hook_that_comes_late_is_told_the_error_unless_the_data_was_deleted)
{
    world w;
    std::vector<std::string> seen;
    const auto definition = [&](bool fails) {
        lamp_builder b{"lamps"};
        b.step<red>([](lamp_run&) -> pawl::step<off> {
             throw std::runtime_error("the cause");
             co_return pawl::to<off>;
         })
            .retry({.max_attempts = 1})
            .on_exhausted<broken>();
        b.end<off, broken>();
        b.on_complete([&seen, fails](const snapshot& s) -> asio::awaitable<void> {
            if (fails)
                throw std::runtime_error("not yet");
            seen.push_back("reason: " + s.reason + ", last error: " + s.last_error);
            co_return;
        });
        return std::move(b).build();
    };
    auto client = w.start(definition(true));
    w.wait_for(client.async_trigger("early", lamp{}));
    const auto late = w.wait_for(client.async_trigger("late", lamp{}));
    w.settle();
    w.wait_for(client.async_delete_data(late, "")); // it has gone on since
    w.settle();
    w.stop();
    client = w.start(definition(false));
    w.settle();
    BOOST_TEST(seen == (std::vector<std::string>{"reason: , last error: the cause",
                                                 "reason: , last error: "}),
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()
