// Events that a connector cannot work off, and functions that never end.
#include "connectors/support.hpp"

#include "pawl/forwarding_store.hpp"

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

BOOST_AUTO_TEST_SUITE(connector_failures)

BOOST_DATA_TEST_CASE(a_poison_event_is_put_aside_and_holds_up_no_other, backends)
{
    bench at{carrying(), sample, [](pawl::engine& to, bench& b) {
                 to.connect("orders", b.topic("orders"), b.workflow, start_heavy,
                            {.parallel = 1, .retry = three_times});
             }};
    auto poison = event_of("1", "a", 0);
    poison.headers["from"] = "a shop";
    at.send("orders", {poison, event_of("2", "a", 5), event_of("3", "b", 6)});
    BOOST_TEST(at.runs_of("b").size() == 1); // at once, though only one is worked off at a time
    BOOST_TEST(at.runs_of("a").empty());
    at.test->advance(10s);
    BOOST_TEST(at.events_in(pawl::put_aside_topic("orders")).empty());
    at.test->advance(10s);
    auto aside = at.events_in(pawl::put_aside_topic("orders"));
    BOOST_REQUIRE(aside.size() == 1);
    BOOST_TEST(aside[0].headers.at("connector") == "orders");
    BOOST_TEST(aside[0].headers.at("attempts") == "3");
    BOOST_TEST(aside[0].headers.at("error") == "it weighs nothing");
    for (const auto* added : {"connector", "attempts", "error"})
        aside[0].headers.erase(added);
    aside[0].position = 0;
    BOOST_TEST((aside[0] == poison));
    BOOST_TEST(at.logged("a connector failed on event =1, which is put aside"));
    BOOST_TEST(at.runs_of("a").size() == 1); // of the event behind it
    // It is acknowledged: it does not come again.
    at.test->restart();
    at.test->advance(1h);
    BOOST_TEST(at.events_in(pawl::put_aside_topic("orders")).size() == 1);
}

BOOST_AUTO_TEST_CASE(what_was_put_aside_can_be_worked_off_by_another_connector)
{
    bench at{carrying(), backend::memory, [](pawl::engine& to, bench& b) {
                 to.connect("orders", b.topic("orders"), b.workflow, start_heavy,
                            {.retry = three_times});
                 const auto mended = [](arrived& in, order what) -> awaitable<void> {
                     co_await in.trigger(what.number, parcel{});
                 };
                 to.connect("orders-mended", b.topic(pawl::put_aside_topic("orders")), b.workflow,
                            mended);
             }};
    at.send("orders", {event_of("1", "a", 0)});
    at.test->advance(1min);
    BOOST_TEST(at.runs_of("a").size() == 1);
}

BOOST_AUTO_TEST_CASE(an_event_that_cannot_be_read_is_put_aside_at_once)
{
    bench at{carrying(), backend::memory, [](pawl::engine& to, bench& b) {
                 to.connect("orders", b.topic("orders"), b.workflow, start_heavy);
             }};
    auto odd = event_of("", "a");
    odd.payload = R"({"number": 7})";
    at.send("orders", {odd});
    const auto aside = at.events_in(pawl::put_aside_topic("orders"));
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
    BOOST_TEST(at.events_in(pawl::put_aside_topic("orders")).size() == 1);
}

BOOST_AUTO_TEST_CASE(a_store_that_fails_uses_up_no_attempt)
{
    int calls = 0;
    bench at{carrying(), backend::memory, [&](pawl::engine& to, bench& b) {
                 const auto fail = [&calls](arrived& in, order what) -> awaitable<void> {
                     if (++calls <= 20)
                         throw pawl::error(calls % 2 ? pawl::errc::store_unavailable
                                                     : pawl::errc::store_unflushed,
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
    BOOST_TEST(at.events_in(pawl::put_aside_topic("orders")).empty());
}

BOOST_AUTO_TEST_CASE(a_callback_to_a_run_that_is_not_there_yet_is_repeated)
{
    bench at{weighing(), backend::memory, [](pawl::engine& to, bench& b) {
                 const auto deliver = [](arrived& in, order what) -> awaitable<void> {
                     co_await in.deliver(what.number, weighed, what);
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
                            {.retry = three_times, .attempt_limit = 5s});
             }};
    at.send("orders", {event_of("1", "a")});
    at.test->advance(5s + 10s + 5s + 10s);
    BOOST_TEST(attempts == (std::vector<int>{1, 2, 3}), boost::test_tools::per_element());
    BOOST_TEST(at.runs_of("a").size() == 1);
    BOOST_TEST(at.logged("it took longer than attempt_limit"));
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
                     to.connect("orders", b.topic("orders"), b.workflow, slow, {.parallel = 1});
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
                            {.retry = policy, .max_open = 5});
             }};
    std::vector<pawl::stream_event> events;
    for (int i = 0; i < 20; ++i)
        events.push_back(event_of(std::to_string(i), std::to_string(i)));
    at.send("orders", events);
    BOOST_TEST(calls == 5);
    const auto now = at.test->wait_for(at.test->engine().async_statistics());
    BOOST_TEST(now.waiting_events == 5);
    locked = false;
    at.test->advance(10s);
    BOOST_TEST(calls == 5 + 20);
    const auto after = at.test->wait_for(at.test->engine().async_statistics());
    BOOST_TEST(after.waiting_events == 0);
}

BOOST_AUTO_TEST_SUITE_END()
