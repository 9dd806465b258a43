// A graceful stop is not a failure: while the engine drains, all that a running handler may call
// keeps working, and what the stop cancels uses up no attempt and settles no message.
#include "engine/faulty_store.hpp"
#include "engine/support.hpp"
#include "printing.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/redirect_error.hpp>

#include <algorithm>
#include <map>

BOOST_AUTO_TEST_SUITE(drain)

using namespace engine_test;
using enum light;

namespace {

/// A world on the memory store, or on one that takes changes in batches only.
struct drained : world {
    std::optional<lamps> client;

    explicit drained(bool batches)
    {
        if (batches)
            store = std::make_shared<faulty_store>(store);
    }

    pawl::run_id trigger(std::string id, light where)
    {
        const auto run = wait_for(
            client->async_trigger(std::move(id), lamp{}, {.start = where}, asio::use_awaitable));
        settle();
        return run;
    }

    pawl::record stored(pawl::run_id run)
    {
        auto found = wait_for(store->find(run));
        BOOST_REQUIRE(found.has_value());
        return std::move(*found);
    }

    pawl::message_outcome outcome(pawl::run_id run, const pawl::settlement& sent)
    {
        return wait_for(store->outcome(run, sent.sequence))->outcome;
    }
};

void ends_with(lamp_builder& b)
{
    b.end<off>();
}

constexpr bool both_stores[] = {false, true};

} // namespace

BOOST_AUTO_TEST_CASE(a_handler_may_trigger_wait_and_send_while_the_engine_drains)
{
    for (const bool batches : both_stores) {
        drained w{batches};
        pawl::run_id other;
        std::vector<std::string> done;
        lamp_builder b{"lamps"};
        b.step<red>([&, clock = w.clock.get()](lamp_run& run) -> pawl::step<off> {
             co_await wait_on(*clock, 1min); // the stop begins here
             co_await run.once("mail", [&] { done.emplace_back("once"); });
             co_await w.client->async_trigger("new", lamp{}, {.start = green}, asio::use_awaitable);
             done.emplace_back("trigger");
             const auto found = co_await w.client->async_find(other, asio::use_awaitable);
             done.emplace_back(found ? "find" : "nothing");
             co_await w.client->async_call(other, "note", 1, {}, asio::use_awaitable);
             done.emplace_back("callback");
             co_await w.client->async_pause(other, "held", asio::use_awaitable);
             done.emplace_back("pause");
             co_await w.client->async_cancel(other, "done with", asio::use_awaitable);
             co_await w.client->async_await_finished(other, asio::use_awaitable);
             done.emplace_back("cancelled");
             co_return pawl::to<off>;
         }).retry({.max_attempts = 1});
        b.callback<yellow>(
            "note", [](lamp_run&, int) -> pawl::step<off> { co_return pawl::repeat_after(0s); });
        b.step<green>([&](lamp_run&) -> pawl::step<off> {
            done.emplace_back("a step began");
            co_return pawl::to<off>;
        });
        b.start<red>().start<yellow>().start<green>();
        ends_with(b);
        w.client = w.start(std::move(b).build());
        other = w.trigger("other", yellow);
        const auto run = w.trigger("a", red);
        w.stop(10min);
        const std::vector<std::string> wanted{"once",     "trigger", "find",
                                              "callback", "pause",   "cancelled"};
        BOOST_TEST(done == wanted, boost::test_tools::per_element());
        BOOST_TEST(w.stored(run).status == static_cast<int>(off));
        BOOST_TEST(w.stored(other).state == pawl::run_state::cancelled);
        // It was accepted, and waits for the next start.
        const auto begun = w.wait_for(w.store->latest("lamps", "new"));
        BOOST_REQUIRE(begun.has_value());
        BOOST_TEST(begun->status == static_cast<int>(green));
    }
}

BOOST_AUTO_TEST_CASE(a_hook_may_trigger_wait_and_send_while_the_engine_drains)
{
    for (const bool batches : both_stores) {
        std::vector<std::string> done; // the hook writes it until its engine has ended
        drained w{batches};
        lamp_builder b{"lamps"};
        b.step<red>([](lamp_run&) -> pawl::step<off> { co_return pawl::to<off>; });
        b.callback<yellow>("end",
                           [](lamp_run&, int) -> pawl::step<off> { co_return pawl::to<off>; });
        b.on_complete([&](const pawl::snapshot<lamp, light>& seen) -> asio::awaitable<void> {
            if (seen.foreign_id != "a")
                co_return;
            co_await wait_on(*w.clock, 1min); // the stop begins here
            const auto other = co_await w.client->async_trigger("other", lamp{}, {.start = yellow},
                                                                asio::use_awaitable);
            done.emplace_back("trigger");
            co_await w.client->async_call(other, "end", 1, {}, asio::use_awaitable);
            done.emplace_back("call");
            co_await w.client->async_await_finished(other, asio::use_awaitable);
            done.emplace_back("end");
        });
        b.start<red>().start<yellow>();
        ends_with(b);
        w.client = w.start(std::move(b).build());
        w.trigger("a", red);
        w.stop(10min);
        BOOST_TEST(done == (std::vector<std::string>{"trigger", "call", "end"}),
                   boost::test_tools::per_element());
        // The hook is not called again: its event was processed.
        BOOST_TEST(w.wait_for(w.store->cursor("hooks/lamps/on_complete", 0)) > 2u);
    }
}

BOOST_AUTO_TEST_CASE(what_a_stop_cancels_is_no_failed_attempt_and_settles_nothing)
{
    for (const bool batches : both_stores)
        for (const pawl::duration span : {pawl::duration{0s}, pawl::duration{1min}}) {
            drained w{batches};
            pawl::run_id child;
            lamp_builder b{"lamps"};
            const auto waits = [&](lamp_run&) -> pawl::step<off> {
                co_await w.client->async_await_finished(child, asio::use_awaitable);
                co_return pawl::to<off>;
            };
            b.step<red>(waits).retry({.max_attempts = 1});
            b.timeout<green>(1s, waits).retry({.max_attempts = 1});
            b.callback<green>("relay", [&](lamp_run&, int) -> pawl::step<off> {
                try {
                    co_await w.client->async_await_finished(child, asio::use_awaitable);
                } catch (...) {
                    std::throw_with_nested(std::runtime_error("the relay failed"));
                }
                co_return pawl::to<off>;
            });
            b.callback<yellow>("end",
                               [](lamp_run&, int) -> pawl::step<off> { co_return pawl::to<off>; });
            b.start<red>().start<yellow>().start<green>();
            ends_with(b);
            w.client = w.start(std::move(b).build());
            child = w.trigger("child", yellow);
            const auto stepping = w.trigger("step", red);
            const auto timing = w.trigger("timeout", green);
            w.advance(1s);
            const auto relaying = w.trigger("callback", green);
            const auto sent =
                w.wait_for(w.client->async_send(relaying, "relay", 1, {}, asio::use_awaitable));
            w.settle();
            w.stop(span);
            BOOST_TEST(w.stored(stepping).attempt == 0);
            BOOST_TEST(w.stored(stepping).state == pawl::run_state::initiated);
            BOOST_REQUIRE(w.stored(timing).deadlines.size() == 1u);
            BOOST_TEST(w.stored(timing).deadlines[0].attempt == 0);
            BOOST_TEST(w.outcome(relaying, sent) == pawl::message_outcome::pending);
        }
}

BOOST_AUTO_TEST_CASE(a_drain_among_a_thousand_parents_and_callbacks_loses_nothing)
{
    constexpr int crowd = 1'000;
    for (const bool batches : both_stores) {
        drained w{batches};
        w.options.max_active_runs = 4'096;
        std::map<std::string, int> started; // by foreign id
        std::optional<pawl::run_id> child;
        const auto make = [&] {
            lamp_builder b{"lamps"};
            b.step<red>([&, clock = w.clock.get()](lamp_run&) -> pawl::step<off> {
                 co_await wait_on(*clock, 1s); // until the client is that of the new engine
                 co_await w.client->async_await_finished(*child, asio::use_awaitable);
                 co_return pawl::to<off>;
             }).retry({.max_attempts = 1});
            b.callback<yellow>(
                 "open",
                 [&, clock = w.clock.get()](lamp_run& run, int) -> pawl::step<off> {
                     co_await wait_on(*clock, 1min); // the stop begins here, for half of them
                     co_await w.client->async_trigger(run.foreign_id() + "'s", lamp{},
                                                      {.start = green, .idempotency_key = "one"},
                                                      asio::use_awaitable);
                     co_return pawl::to<off>;
                 })
                .retry({.max_attempts = 1});
            b.step<green>([&](lamp_run& run) -> pawl::step<off> {
                ++started[run.foreign_id()];
                co_return pawl::to<off>;
            });
            b.callback<broken>("end",
                               [](lamp_run&, int) -> pawl::step<off> { co_return pawl::to<off>; });
            b.start<red>().start<yellow>().start<green>().start<broken>();
            ends_with(b);
            return std::move(b).build();
        };
        w.client = w.start(make());
        child = w.trigger("child", broken);
        std::vector<pawl::run_id> parents;
        std::vector<pawl::run_id> called;
        std::vector<pawl::settlement> sent;
        for (int i = 0; i < crowd; ++i) {
            parents.push_back(w.trigger("parent " + std::to_string(i), red));
            called.push_back(w.trigger("called " + std::to_string(i), yellow));
        }
        const auto open = [&](int from, int to) {
            for (int i = from; i < to; ++i)
                sent.push_back(w.wait_for(w.client->async_send(
                    called.at(static_cast<std::size_t>(i)), "open", 1, {}, asio::use_awaitable)));
        };
        open(0, crowd / 2);
        w.advance(30s);
        open(crowd / 2, crowd);
        w.stop(45s); // the first half ends by itself, the second half is cancelled
        const auto stored_attempts = [&](const std::vector<pawl::run_id>& runs) {
            int attempts = 0;
            for (const auto& run : runs)
                attempts += w.stored(run).attempt;
            return attempts;
        };
        const auto outcomes = [&](pawl::message_outcome wanted) {
            int count = 0;
            for (int i = 0; i < crowd; ++i)
                count += w.outcome(called.at(static_cast<std::size_t>(i)),
                                   sent.at(static_cast<std::size_t>(i))) == wanted
                             ? 1
                             : 0;
            return count;
        };
        BOOST_TEST(stored_attempts(parents) == 0);
        BOOST_TEST(stored_attempts(called) == 0);
        BOOST_TEST(outcomes(pawl::message_outcome::handled) == crowd / 2);
        BOOST_TEST(outcomes(pawl::message_outcome::pending) == crowd / 2);

        w.client = w.start(make());
        w.advance(1min);
        BOOST_TEST(outcomes(pawl::message_outcome::handled) == crowd);
        w.wait_for(w.client->async_call(*child, "end", 1, {}, asio::use_awaitable));
        w.settle();
        for (const auto& run : parents)
            BOOST_REQUIRE(w.stored(run).status == static_cast<int>(off));
        BOOST_TEST(started.size() == static_cast<std::size_t>(crowd));
        BOOST_TEST(std::ranges::all_of(started, [](const auto& run) { return run.second == 1; }));
        w.stop();
    }
}

BOOST_AUTO_TEST_CASE(a_failure_of_its_own_still_counts_while_the_engine_drains)
{
    drained w{false};
    lamp_builder b{"lamps"};
    b.step<red>([clock = w.clock.get()](lamp_run&) -> pawl::step<off> {
        co_await wait_on(*clock, 1min);
        throw std::runtime_error("mine");
        co_return pawl::to<off>;
    });
    ends_with(b);
    w.client = w.start(std::move(b).build());
    const auto run = w.trigger("a", red);
    w.stop(10min);
    BOOST_TEST(w.stored(run).attempt == 1);
    BOOST_TEST(w.stored(run).last_error == "mine");
}

BOOST_AUTO_TEST_CASE(
    calls_from_outside_are_refused_from_the_first_moment_and_waits_end_with_the_drain)
{
    drained w{false};
    lamp_builder b{"lamps"};
    b.step<red>([clock = w.clock.get()](lamp_run&) -> pawl::step<off> {
        co_await wait_on(*clock, 1h);
        co_return pawl::to<off>;
    });
    b.callback<yellow>("end", [](lamp_run&, int) -> pawl::step<off> { co_return pawl::to<off>; });
    b.start<red>().start<yellow>();
    ends_with(b);
    w.client = w.start(std::move(b).build());
    const auto idle = w.trigger("idle", yellow);
    w.trigger("a", red);
    std::optional<pawl::error_code> waited;
    w.client->async_await_finished(
        idle, [&](pawl::error_code code, pawl::snapshot<lamp, light>) { waited = code; });
    bool stopped = false;
    w.engine->async_stop(10min, [&](pawl::error_code) { stopped = true; });
    w.settle();
    std::optional<pawl::error_code> triggered;
    w.client->async_trigger("late", lamp{}, {.start = red},
                            [&](pawl::error_code code, pawl::run_id) { triggered = code; });
    std::optional<pawl::error_code> sent;
    w.client->async_send(idle, "end", 1, {},
                         [&](pawl::error_code code, pawl::settlement) { sent = code; });
    w.settle();
    BOOST_REQUIRE(triggered.has_value());
    BOOST_TEST(*triggered == pawl::errc::not_running);
    BOOST_REQUIRE(sent.has_value());
    BOOST_TEST(*sent == pawl::errc::not_running);
    BOOST_TEST(!waited.has_value());
    w.advance(10min);
    BOOST_TEST(stopped);
    BOOST_REQUIRE(waited.has_value());
    BOOST_TEST(*waited == pawl::errc::not_running);
    w.engine.reset();
}

BOOST_AUTO_TEST_CASE(a_stop_that_a_handler_asks_for_is_refused_and_a_later_one_works)
{
    for (const auto where : {red, yellow, green}) {
        drained w{false};
        std::optional<pawl::error_code> told;
        const auto stop = [&](pawl::engine* engine) -> asio::awaitable<void> {
            pawl::error_code result;
            co_await engine->async_stop(1s, asio::redirect_error(asio::use_awaitable, result));
            told = result;
        };
        lamp_builder b{"lamps"};
        b.step<red>([&](lamp_run&) -> pawl::step<off> {
            co_await stop(&*w.engine);
            co_return pawl::to<off>;
        });
        b.callback<yellow>("stop", [&](lamp_run&, int) -> pawl::step<off> {
            co_await stop(&*w.engine);
            co_return pawl::to<off>;
        });
        b.step<green>([](lamp_run&) -> pawl::step<off> { co_return pawl::to<off>; });
        b.on_complete([&, where](const pawl::snapshot<lamp, light>&) -> asio::awaitable<void> {
            if (where == green)
                co_await stop(&*w.engine);
        });
        b.start<red>().start<yellow>().start<green>();
        ends_with(b);
        w.client = w.start(std::move(b).build());
        const auto run = w.trigger("a", where);
        if (where == yellow)
            w.wait_for(w.client->async_call(run, "stop", 1, {}, asio::use_awaitable));
        w.settle();
        BOOST_REQUIRE(told.has_value());
        BOOST_TEST(*told == pawl::errc::called_by_handler);
        BOOST_TEST(w.engine->running());
        w.stop();
        BOOST_TEST(w.stored(run).status == static_cast<int>(off));
    }
}

BOOST_AUTO_TEST_CASE(the_wait_for_a_stop_can_be_cancelled_and_the_stop_goes_on)
{
    drained w{false};
    lamp_builder b{"lamps"};
    b.step<red>([clock = w.clock.get()](lamp_run&) -> pawl::step<off> {
        co_await wait_on(*clock, 1h);
        co_return pawl::to<off>;
    });
    ends_with(b);
    w.client = w.start(std::move(b).build());
    w.trigger("a", red);
    asio::cancellation_signal cancel;
    std::optional<pawl::error_code> first;
    w.engine->async_stop(2h, asio::bind_cancellation_slot(
                                 cancel.slot(), [&](pawl::error_code code) { first = code; }));
    w.settle();
    cancel.emit(asio::cancellation_type::terminal);
    w.settle();
    BOOST_REQUIRE(first.has_value());
    BOOST_TEST(*first == asio::error::operation_aborted);
    bool stopped = false;
    w.engine->async_stop(0s, [&](pawl::error_code) { stopped = true; });
    w.settle();
    BOOST_TEST(!stopped); // the first drain counts
    w.advance(1h);
    BOOST_TEST(stopped);
    w.engine.reset();
}

BOOST_AUTO_TEST_CASE(a_span_that_does_not_fit_is_the_longest_one)
{
    BOOST_TEST((pawl::any_duration{std::chrono::hours::max()} == pawl::duration::max()));
    BOOST_TEST((pawl::any_duration{std::chrono::hours::min()} == pawl::duration::min()));
    BOOST_TEST((pawl::any_duration{1500ns} == pawl::duration{1}));
    BOOST_TEST((pawl::any_duration{pawl::duration::max()} == pawl::duration::max()));
    BOOST_TEST((pawl::any_duration{pawl::duration::min()} == pawl::duration::min()));
    drained w{false};
    int rounds = 0;
    lamp_builder b{"lamps"};
    b.step<red>([&](lamp_run&) -> pawl::step<off> {
        ++rounds;
        co_return pawl::repeat_after(std::chrono::hours::max());
    });
    b.step<yellow>([clock = w.clock.get()](lamp_run&) -> pawl::step<off> {
        co_await wait_on(*clock, 1h);
        co_return pawl::to<off>;
    });
    b.start<red>().start<yellow>();
    ends_with(b);
    w.client = w.start(std::move(b).build());
    w.trigger("repeats", red);
    BOOST_TEST(rounds == 1);
    const auto run = w.trigger("a", yellow);
    bool stopped = false;
    w.engine->async_stop(std::chrono::hours::max(), [&](pawl::error_code) { stopped = true; });
    w.advance_until([&] { return stopped; });
    w.engine.reset();
    BOOST_TEST(w.stored(run).status == static_cast<int>(off));
}

BOOST_AUTO_TEST_SUITE_END()
