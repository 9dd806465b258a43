// Events that a connector cannot work off, and functions that never end.
#include "connectors/support.hpp"

#include "pawl/forwarding_store.hpp"

#include <boost/asio/associated_cancellation_slot.hpp>

#include <set>

BOOST_AUTO_TEST_SUITE(connector_failures)

using namespace connector_test;

namespace {

const pawl::retry_policy three_times = {
    .initial = 10s, .multiplier = 1, .jitter = 0, .max_attempts = 3};

/// Fails on orders of weight 0.
awaitable<void> start_heavy(arrived& in, order what)
{
    if (what.weight == 0)
        throw std::runtime_error("it weighs nothing");
    co_await in.trigger(what.number, parcel{what.weight, {}});
}

} // namespace

BOOST_DATA_TEST_CASE(a_poison_event_is_a_dead_letter_and_holds_up_no_other, backends)
{
    bench at{carrying(), sample, [](pawl::engine& to, bench& b) {
                 to.connect("orders", b.topic("orders"), b.workflow, start_heavy,
                            {.max_concurrency = 1, .retry = three_times});
             }};
    auto poison = event_of("1", "a", 0);
    poison.headers["from"] = "a shop";
    at.send("orders", {poison, event_of("2", "a", 5), event_of("3", "b", 6)});
    BOOST_TEST(at.runs_of("b").size() == 1); // at once, though only one is worked off at a time
    BOOST_TEST(at.runs_of("a").empty());
    at.test->advance(10s);
    BOOST_TEST(at.events_in(pawl::dead_letter_topic("orders")).empty());
    at.test->advance(10s);
    auto aside = at.events_in(pawl::dead_letter_topic("orders"));
    BOOST_REQUIRE(aside.size() == 1);
    BOOST_TEST(aside[0].headers.at("connector") == "orders");
    BOOST_TEST(aside[0].headers.at("attempts") == "3");
    BOOST_TEST(aside[0].headers.at("error") == "it weighs nothing");
    for (const auto* added : {"connector", "attempts", "error"})
        aside[0].headers.erase(added);
    aside[0].position = 0;
    BOOST_TEST((aside[0] == poison));
    BOOST_TEST(at.logged(
        "a connector failed on event 1, which is a dead letter in topic pawl.dead-letter/orders"));
    BOOST_TEST(at.runs_of("a").size() == 1); // of the event behind it
    // It is acknowledged: it does not come again.
    at.test->restart();
    at.test->advance(1h);
    BOOST_TEST(at.events_in(pawl::dead_letter_topic("orders")).size() == 1);
}

BOOST_AUTO_TEST_CASE(dead_letters_can_be_worked_off_by_another_connector)
{
    bench at{carrying(), backend::memory, [](pawl::engine& to, bench& b) {
                 to.connect("orders", b.topic("orders"), b.workflow, start_heavy,
                            {.retry = three_times});
                 const auto mended = [](arrived& in, order what) -> awaitable<void> {
                     co_await in.trigger(what.number, parcel{});
                 };
                 to.connect("orders-mended", b.topic(pawl::dead_letter_topic("orders")), b.workflow,
                            mended);
             }};
    at.send("orders", {event_of("1", "a", 0)});
    at.test->advance(1min);
    BOOST_TEST(at.runs_of("a").size() == 1);
}

BOOST_AUTO_TEST_CASE(an_event_that_cannot_be_read_is_a_dead_letter_at_once)
{
    bench at{carrying(), backend::memory, [](pawl::engine& to, bench& b) {
                 to.connect("orders", b.topic("orders"), b.workflow, start_heavy);
             }};
    auto odd = event_of("", "a");
    odd.payload = R"({"number": 7})";
    at.send("orders", {odd});
    const auto aside = at.events_in(pawl::dead_letter_topic("orders"));
    BOOST_REQUIRE(aside.size() == 1);
    BOOST_TEST(aside[0].id == "#1"); // it had none: by its position
    BOOST_TEST(aside[0].headers.at("attempts") == "1");
    BOOST_TEST(aside[0].headers.at("error").find("number: expected a string") != std::string::npos,
               aside[0].headers.at("error"));
}

BOOST_AUTO_TEST_CASE(an_error_that_is_permanent_is_not_repeated)
{
    int calls = 0;
    bench at{carrying(), backend::memory, [&](pawl::engine& to, bench& b) {
                 const auto fail = [&calls](arrived&) -> awaitable<void> {
                     ++calls;
                     throw std::invalid_argument("never");
                     co_return;
                 };
                 pawl::connector_options options;
                 options.retry.permanent = [](const std::exception_ptr& what) {
                     try {
                         std::rethrow_exception(what);
                     } catch (const std::invalid_argument&) {
                         return true;
                     } catch (...) {
                         return false;
                     }
                 };
                 to.connect("orders", b.topic("orders"), b.workflow, fail, options);
             }};
    at.send("orders", {event_of("1", "a")});
    at.test->advance(1h);
    BOOST_TEST(calls == 1);
    BOOST_TEST(at.events_in(pawl::dead_letter_topic("orders")).size() == 1);
}

BOOST_AUTO_TEST_CASE(a_store_that_fails_uses_up_no_attempt)
{
    int calls = 0;
    bench at{carrying(), backend::memory, [&](pawl::engine& to, bench& b) {
                 const auto fail = [&calls](arrived& in, order what) -> awaitable<void> {
                     if (++calls <= 20)
                         throw pawl::error(calls % 2 ? pawl::errc::store_unavailable
                                                     : pawl::errc::store_flush_failed,
                                           "for now");
                     BOOST_TEST(in.attempt() == 1);
                     co_await in.trigger(what.number, parcel{});
                 };
                 to.connect("orders", b.topic("orders"), b.workflow, fail, {.retry = three_times});
             }};
    at.send("orders", {event_of("1", "a")});
    at.test->advance(1h);
    BOOST_TEST(calls == 21);
    BOOST_TEST(at.runs_of("a").size() == 1);
    BOOST_TEST(at.events_in(pawl::dead_letter_topic("orders")).empty());
}

BOOST_AUTO_TEST_CASE(a_callback_to_a_run_that_is_not_there_yet_is_repeated)
{
    bench at{weighing(), backend::memory, [](pawl::engine& to, bench& b) {
                 const auto deliver = [](arrived& in, order what) -> awaitable<void> {
                     co_await in.send(what.number, weighed, what);
                 };
                 to.connect("scales", b.topic("scales"), b.workflow, deliver,
                            {.retry = three_times});
             }};
    at.send("scales", {event_of("1", "a", 5)});
    const auto run = at.test->trigger("a");
    at.test->advance(10s);
    BOOST_TEST(at.test->find(run).object.weight == 5);
}

BOOST_AUTO_TEST_CASE(zero_max_attempts_repeat_for_ever_and_hold_up_their_own_key_only)
{
    int calls = 0;
    bench at{carrying(), backend::memory, [&](pawl::engine& to, bench& b) {
                 const auto fail = [&calls](arrived& in, order what) -> awaitable<void> {
                     if (in.event().id == "1" && ++calls > 0)
                         throw std::runtime_error("never");
                     co_await in.trigger(what.number, parcel{});
                 };
                 auto policy = three_times;
                 policy.max_attempts = 0;
                 to.connect("orders", b.topic("orders"), b.workflow, fail, {.retry = policy});
             }};
    at.send("orders", {event_of("1", "a"), event_of("2", "a"), event_of("3", "b")});
    at.test->advance(1000s);
    BOOST_TEST(calls == 101);
    BOOST_TEST(at.runs_of("a").empty());
    BOOST_TEST(at.runs_of("b").size() == 1);
}

BOOST_AUTO_TEST_CASE(an_attempt_past_its_limit_is_cancelled_and_counted)
{
    std::vector<int> attempts;
    bench at{carrying(), backend::memory, [&](pawl::engine& to, bench& b) {
                 const auto hang = [&attempts, clock = b.clock](arrived& in,
                                                                order what) -> awaitable<void> {
                     attempts.push_back(in.attempt());
                     if (in.attempt() < 3)
                         co_await wait_on(clock, 24h);
                     co_await in.trigger(what.number, parcel{});
                 };
                 to.connect("orders", b.topic("orders"), b.workflow, hang,
                            {.retry = three_times, .attempt_timeout = 5s});
             }};
    at.send("orders", {event_of("1", "a")});
    at.test->advance(5s + 10s + 5s + 10s);
    BOOST_TEST(attempts == (std::vector<int>{1, 2, 3}), boost::test_tools::per_element());
    BOOST_TEST(at.runs_of("a").size() == 1);
    BOOST_TEST(at.logged("it took longer than attempt_timeout"));
}

BOOST_AUTO_TEST_CASE(a_stop_lets_what_runs_go_on_until_the_drain_is_over)
{
    for (const auto drain : {10s, 30s}) {
        int ended = 0;
        bool stopped = false;
        bench at{carrying(), backend::memory, [&](pawl::engine& to, bench& b) {
                     const auto slow = [&ended, clock = b.clock](arrived&) -> awaitable<void> {
                         co_await wait_on(clock, 20s);
                         ++ended;
                     };
                     to.connect("orders", b.topic("orders"), b.workflow, slow,
                                {.max_concurrency = 1});
                 }};
        at.send("orders", {event_of("1", "a"), event_of("2", "b")});
        at.test->engine().async_stop(drain, [&](pawl::error_code) { stopped = true; });
        at.test->advance(10s - 1us);
        BOOST_TEST(!stopped);
        at.test->advance(20s);
        BOOST_TEST(stopped);
        BOOST_TEST(ended == (drain == 30s ? 1 : 0)); // the second never began
        const auto cursor =
            at.test->wait_for(at.store->cursor("topic/6/orders/connector/orders", 0));
        BOOST_TEST(cursor == (drain == 30s ? 2u : 0u)); // the next event's position
    }
}

BOOST_AUTO_TEST_CASE(a_connector_may_call_clients_while_the_engine_drains)
{
    bool stopped = false;
    std::vector<std::string> done;
    bench at{carrying(), backend::memory, [&](pawl::engine& to, bench& b) {
                 const auto client = to.add(weighing());
                 const auto work = [&done, client, clock = b.clock](arrived& in,
                                                                    order what) -> awaitable<void> {
                     co_await wait_on(clock, 10s); // the stop begins here
                     co_await in.trigger(what.number, parcel{});
                     done.emplace_back("trigger");
                     auto scales = client;
                     const auto run = co_await scales.async_trigger("scales", parcel{});
                     co_await scales.async_call(run, weighed, order{"1", -1});
                     done.emplace_back("call");
                     co_await scales.async_await_finished(run);
                     done.emplace_back("end");
                 };
                 to.connect("orders", b.topic("orders"), b.workflow, work);
             }};
    at.send("orders", {event_of("1", "a")});
    at.test->engine().async_stop(30s, [&](pawl::error_code) { stopped = true; });
    at.test->advance(10s);
    BOOST_TEST(done == (std::vector<std::string>{"trigger", "call", "end"}),
               boost::test_tools::per_element());
    BOOST_TEST(stopped);
    BOOST_TEST(at.test->wait_for(at.store->latest("parcels", "a")).has_value());
    BOOST_TEST(at.test->wait_for(at.store->cursor("topic/6/orders/connector/orders", 0)) == 2u);
}

namespace {

/// Completes inside the call that cancels it, without an error.
awaitable<void> wait_for_cancellation()
{
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(
        [](auto handler) {
            auto slot = asio::get_associated_cancellation_slot(handler);
            const auto kept = std::make_shared<decltype(handler)>(std::move(handler));
            slot.assign([kept](asio::cancellation_type) {
                auto waiting = std::move(*kept);
                std::move(waiting)();
            });
        },
        asio::use_awaitable);
}

} // namespace

BOOST_AUTO_TEST_CASE(attempts_may_end_inside_the_call_that_cancels_them)
{
    bool stopped = false;
    int begun = 0;
    int ended = 0;
    bench at{carrying(), backend::memory, [&](pawl::engine& to, bench& b) {
                 const auto wait = [&](arrived&) -> awaitable<void> {
                     ++begun;
                     co_await wait_for_cancellation();
                     ++ended; // and its lane is removed
                 };
                 to.connect("orders", b.topic("orders"), b.workflow, wait, {.max_concurrency = 50});
             }};
    std::vector<pawl::stream_event> events;
    for (int i = 0; i < 50; ++i)
        events.push_back(event_of(std::to_string(i), std::to_string(i)));
    at.send("orders", events);
    BOOST_TEST(begun == 50);
    at.test->engine().async_stop(0s, [&](pawl::error_code) { stopped = true; });
    at.test->advance(1us);
    BOOST_TEST(ended == 50);
    BOOST_TEST(stopped);
    BOOST_TEST(at.test->wait_for(at.store->cursor("topic/6/orders/connector/orders", 0)) == 51u);
}

BOOST_AUTO_TEST_CASE(reading_stops_while_too_many_events_are_open)
{
    bool locked = true;
    int calls = 0;
    bench at{carrying(), backend::memory, [&](pawl::engine& to, bench& b) {
                 const auto fail = [&](arrived&) -> awaitable<void> {
                     ++calls;
                     if (locked)
                         throw std::runtime_error("locked");
                     co_return;
                 };
                 auto policy = three_times;
                 policy.max_attempts = 0;
                 to.connect("orders", b.topic("orders"), b.workflow, fail,
                            {.retry = policy, .prefetch = 5});
             }};
    std::vector<pawl::stream_event> events;
    for (int i = 0; i < 200; ++i)
        events.push_back(event_of(std::to_string(i), std::to_string(i)));
    at.send("orders", events);
    // Those that wait for their next attempt do not count, up to 16 times as many.
    BOOST_TEST(calls >= 16 * 5);
    BOOST_TEST(calls < 17 * 5);
    const auto now = at.test->wait_for(at.test->engine().async_statistics());
    BOOST_TEST(now.waiting_events == static_cast<std::size_t>(calls));
    const int before = calls;
    locked = false;
    at.test->advance(10s);
    BOOST_TEST(calls == before + 200);
    const auto after = at.test->wait_for(at.test->engine().async_statistics());
    BOOST_TEST(after.waiting_events == 0);
}

BOOST_AUTO_TEST_CASE(events_that_fail_hold_up_no_good_one_behind_them)
{
    for (const bool one_key : {true, false})
        BOOST_TEST_CONTEXT((one_key ? "of one key" : "each of its own key"))
        {
            bench at{carrying(), backend::memory, [&](pawl::engine& to, bench& b) {
                         const auto fail = [](arrived& in, order what) -> awaitable<void> {
                             if (in.event().key != "good")
                                 throw std::runtime_error("cannot");
                             co_await in.trigger(what.number, parcel{});
                         };
                         auto policy = three_times;
                         policy.max_attempts = 0;
                         to.connect("orders", b.topic("orders"), b.workflow, fail,
                                    {.retry = policy});
                     }};
            std::vector<pawl::stream_event> events;
            for (int i = 0; i < 1'100; ++i)
                events.push_back(event_of(std::to_string(i), one_key ? "bad" : std::to_string(i)));
            events.push_back(event_of("last", "good"));
            at.send("orders", events);
            BOOST_TEST(at.runs_of("good").size() == 1);
        }
}

BOOST_AUTO_TEST_CASE(no_store_code_uses_up_an_attempt)
{
    using enum pawl::errc;
    for (const auto code : {overloaded, not_running, store_unavailable, store_locked,
                            store_read_only, store_full, store_corrupt, store_version_unsupported,
                            store_access_denied, store_flush_failed, broker_unavailable})
        BOOST_TEST_CONTEXT(pawl::make_error_code(code).message())
        {
            int calls = 0;
            bench at{carrying(), backend::memory, [&](pawl::engine& to, bench& b) {
                         const auto fail = [&calls, code](arrived& in,
                                                          order what) -> awaitable<void> {
                             if (++calls <= 5)
                                 throw pawl::error(code, "for now");
                             BOOST_TEST(in.attempt() == 1);
                             co_await in.trigger(what.number, parcel{});
                         };
                         to.connect("orders", b.topic("orders"), b.workflow, fail,
                                    {.retry = three_times});
                     }};
            at.send("orders", {event_of("1", "a")});
            at.test->advance(5min);
            BOOST_TEST(calls == 6);
            BOOST_TEST(at.events_in(pawl::dead_letter_topic("orders")).empty());
        }
}

namespace {

/// Takes no publications while it is told so.
class store_without_topics final : public pawl::forwarding_store {
public:
    using pawl::forwarding_store::forwarding_store;

    awaitable<std::vector<pawl::apply_result>> apply(std::span<const pawl::change> batch) override
    {
        for (const auto& each : batch)
            if (closed && std::holds_alternative<pawl::publication>(each)) {
                ++refused;
                throw pawl::error(pawl::errc::store_unavailable, "no topics now");
            }
        auto results = co_await inner().apply(batch);
        co_return results;
    }

    std::optional<pawl::apply_result> try_apply(const pawl::change&) override { return {}; }

    bool closed = false;
    int refused = 0;
};

} // namespace

BOOST_AUTO_TEST_CASE(an_event_whose_dead_letter_cannot_be_stored_is_neither_lost_nor_acknowledged)
{
    const auto inner = pawl::open_memory();
    const auto store = std::make_shared<store_without_topics>(inner);
    int calls = 0;
    const auto streamer = pawl::store_streamer(inner);
    pawl::testing::harness_options options;
    options.engine.store = store;
    int lines = 0;
    options.engine.log = [&lines](const pawl::log_entry& entry) {
        lines += entry.text.starts_with("cannot store a dead letter") ? 1 : 0;
    };
    const auto flow = carrying();
    options.configure = [&](pawl::engine& to) {
        const auto fail = [&calls](arrived&) -> awaitable<void> {
            ++calls;
            throw std::runtime_error("never");
            co_return;
        };
        to.connect("orders", pawl::from_topic(streamer, "orders"), flow, fail,
                   {.retry = {.max_attempts = 1}});
    };
    pawl::testing::harness<parcel, place> test{flow, std::move(options)};
    store->closed = true;
    test.wait_for(streamer->send("orders", {event_of("1", "a")}));
    test.advance(5s);
    const auto cursor = [&] {
        return test.wait_for(inner->cursor("topic/6/orders/connector/orders", 0));
    };
    const auto letters = [&] {
        return test.wait_for(inner->topic_events(pawl::dead_letter_topic("orders"), 0, 10)).size();
    };
    BOOST_TEST(store->refused > 1);
    BOOST_TEST(lines > 0);
    BOOST_TEST(lines < store->refused); // less often each time
    BOOST_TEST(calls == 1);
    BOOST_TEST(cursor() == 0u);
    // A restart meanwhile begins it again.
    test.restart();
    test.advance(1s);
    BOOST_TEST(calls == 2);
    BOOST_TEST(cursor() == 0u);
    store->closed = false;
    test.advance(5s);
    BOOST_TEST(letters() == 1u);
    BOOST_TEST(cursor() == 2u);
}

BOOST_AUTO_TEST_CASE(what_user_functions_throw_ends_for_that_event_alone)
{
    const auto flow = carrying();
    const auto store = pawl::open_memory();
    const auto streamer = pawl::store_streamer(store);
    pawl::testing::harness_options options;
    options.engine.store = store;
    options.engine.log = [](const pawl::log_entry& entry) {
        if (entry.process == "connector-orders")
            throw std::logic_error("the log is odd");
    };
    options.configure = [&](pawl::engine& to) {
        pawl::connector_options rules{.retry = three_times};
        rules.retry.permanent = [](const std::exception_ptr&) -> bool {
            throw 7;
        };
        to.connect("orders", pawl::from_topic(streamer, "orders"), flow, start_heavy, rules);
    };
    pawl::testing::harness<parcel, place> test{flow, std::move(options)};
    test.wait_for(streamer->send("orders", {event_of("1", "a", 0), event_of("2", "b", 5)}));
    test.advance(20s);
    const auto letters =
        test.wait_for(store->topic_events(pawl::dead_letter_topic("orders"), 0, 10));
    BOOST_REQUIRE(letters.size() == 1u);
    BOOST_TEST(letters[0].headers.at("attempts") == "3");
    BOOST_TEST(letters[0].headers.at("error").find("it weighs nothing") == 0u);
    bool stopped = false;
    test.engine().async_stop(0s, [&](pawl::error_code) { stopped = true; });
    test.run_until_idle();
    BOOST_TEST(stopped);
}

BOOST_AUTO_TEST_CASE(a_callback_to_a_run_that_has_finished_is_a_dead_letter_at_once)
{
    int calls = 0;
    bench at{weighing(), backend::memory, [&](pawl::engine& to, bench& b) {
                 const auto deliver = [&calls](arrived& in, order what) -> awaitable<void> {
                     ++calls;
                     co_await in.send(what.number, weighed, what);
                 };
                 to.connect("scales", b.topic("scales"), b.workflow, deliver,
                            {.retry = {.max_attempts = 0}});
             }};
    at.test->trigger("a");
    at.send("scales", {event_of("1", "a", -1), event_of("2", "a", 5)});
    at.test->advance(1h);
    BOOST_TEST(calls == 2);
    BOOST_TEST(at.events_in(pawl::dead_letter_topic("scales")).size() == 1);
}

BOOST_AUTO_TEST_CASE(failures_that_come_again_do_not_flood_the_log)
{
    bench at{carrying(), backend::memory, [&](pawl::engine& to, bench& b) {
                 const auto fail = [](arrived&) -> awaitable<void> {
                     throw std::runtime_error("never");
                     co_return;
                 };
                 auto policy = three_times;
                 policy.max_attempts = 0;
                 to.connect("orders", b.topic("orders"), b.workflow, fail, {.retry = policy});
             }};
    std::vector<pawl::stream_event> events;
    for (int i = 0; i < 100; ++i)
        events.push_back(event_of(std::to_string(i), std::to_string(i)));
    at.send("orders", events);
    const auto lines = [&] {
        return std::ranges::count_if(at.test->log(), [](const std::string& line) {
            return line.find("a connector failed") != std::string::npos;
        });
    };
    BOOST_TEST(lines() == 20);
    at.test->advance(1h); // 36,000 failures
    BOOST_TEST(lines() < 20 * 60);
    BOOST_TEST(at.logged("lines like it were held back"));
}

BOOST_AUTO_TEST_CASE(a_dead_letter_is_tried_once_more_when_it_is_asked_for)
{
    bool works = false;
    std::vector<std::string> keys;
    bench at{carrying(), backend::memory, [&](pawl::engine& to, bench& b) {
                 const auto take = [&](arrived& in, order what) -> awaitable<void> {
                     keys.push_back(in.idempotency_key());
                     if (!works || what.number == "c")
                         throw std::runtime_error("not yet");
                     co_await in.trigger(what.number, parcel{});
                 };
                 to.connect("orders", b.topic("orders"), b.workflow, take,
                            {.retry = {.max_attempts = 1}});
             }};
    auto nameless = event_of("", "b");
    nameless.headers["error"] = "its own";
    at.send("orders", {event_of("1", "a"), nameless, event_of("3", "c")});
    const auto topic = pawl::dead_letter_topic("orders");
    BOOST_TEST(at.events_in(topic).size() == 3);
    auto done = at.test->wait_for(at.test->engine().async_redrive(topic));
    BOOST_TEST(done.succeeded == 0u);
    BOOST_TEST(done.failed == 3u);
    BOOST_TEST(at.events_in(topic).size() == 3);
    works = true;
    done = at.test->wait_for(at.test->engine().async_redrive(topic));
    BOOST_TEST(done.succeeded == 2u);
    BOOST_TEST(done.failed == 1u);
    BOOST_TEST(at.runs_of("a").size() == 1);
    BOOST_TEST(at.runs_of("b").size() == 1);
    const auto left = at.events_in(topic);
    BOOST_REQUIRE(left.size() == 1);
    BOOST_TEST(left[0].headers.at("attempts") == "3");
    // The same event under the same keys.
    BOOST_TEST(keys.size() == 9u);
    BOOST_TEST(std::set<std::string>(keys.begin(), keys.end()).size() == 3u);
    bool refused = false;
    try {
        at.test->wait_for(at.test->engine().async_redrive("orders"));
    } catch (const pawl::system_error& e) {
        refused = e.code() == pawl::errc::invalid_argument;
    }
    BOOST_TEST(refused);
}

BOOST_AUTO_TEST_SUITE_END()
