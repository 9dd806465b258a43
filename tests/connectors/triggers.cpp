// What a connector does for its events: each exactly once, whatever happens in between.
#include "connectors/support.hpp"

#include "pawl/run_id.hpp"
#include "printing.hpp"

#include <random>
#include <set>

BOOST_AUTO_TEST_SUITE(connector_triggers)

namespace data = boost::unit_test::data;
using namespace connector_test;

namespace {

awaitable<void> start_run(arrived& in, order what)
{
    co_await in.trigger(what.number, parcel{what.weight, {"started"}});
}

/// Ids as others make them: UUIDs, and numbers in order.
std::vector<pawl::stream_event> many_events()
{
    std::vector<pawl::stream_event> events;
    std::mt19937_64 random{7};
    for (int i = 0; i < 100; ++i) {
        pawl::run_id id;
        for (auto& byte : id.bytes)
            byte = static_cast<std::uint8_t>(random());
        events.push_back(event_of(to_string(id), "uuid-" + to_string(id)));
        events.push_back(event_of(std::to_string(i + 1), "number-" + std::to_string(i + 1)));
    }
    return events;
}

} // namespace

BOOST_DATA_TEST_CASE(each_event_starts_one_run, backends)
{
    bench at{carrying(), sample, [](pawl::engine& to, bench& b) {
                 to.connect("orders", b.topic("orders"), b.workflow, start_run);
             }};
    at.send("orders", {event_of("1", "a", 5), event_of("2", "b", 6)});
    for (const auto& [number, weight] : {std::pair{"a", 5}, std::pair{"b", 6}}) {
        const auto runs = at.runs_of(number);
        BOOST_REQUIRE(runs.size() == 1);
        BOOST_TEST(runs[0].state == pawl::run_state::completed);
        BOOST_TEST(runs[0].object.weight == weight);
        BOOST_TEST(runs[0].object.trail == (std::vector<std::string>{"started", "carried"}),
                   boost::test_tools::per_element());
    }
    // The same event again, as a broker may give it.
    at.send("orders again", {event_of("1", "a", 5)});
    BOOST_TEST(at.runs_of("a").size() == 1);
}

BOOST_DATA_TEST_CASE(every_event_is_worked_off_exactly_once_whatever_parallel_is,
                     data::make({1, 2, 3, 5, 10}))
{
    std::map<std::string, int> calls;
    bench at{carrying(), backend::memory, [&](pawl::engine& to, bench& b) {
                 const auto count = [&calls](arrived& in, order what) -> awaitable<void> {
                     ++calls[in.event().id];
                     co_await in.trigger(what.number, parcel{});
                 };
                 to.connect("orders", b.topic("orders"), b.workflow, count,
                            {.max_concurrency = static_cast<std::size_t>(sample)});
             }};
    const auto events = many_events();
    at.send("orders", events);
    BOOST_TEST(calls.size() == events.size());
    for (const auto& [id, times] : calls)
        BOOST_TEST(times == 1, "event " << id << " was worked off " << times << " times");
    for (const auto& each : events)
        BOOST_TEST(at.runs_of(each.key).size() == 1);
    // All are acknowledged: nothing comes again.
    at.test->restart();
    BOOST_TEST(calls.size() == events.size());
    for (const auto& [id, times] : calls)
        BOOST_TEST(times == 1);
}

BOOST_AUTO_TEST_CASE(default_options_disable_no_connector)
{
    pawl::builder<parcel, place> b{"parcels"};
    b.defaults({.max_concurrency = 2});
    b.step<place::here>(carry);
    b.end<place::door>();
    bench at{std::move(b).build(), backend::memory, [](pawl::engine& to, bench& own) {
                 to.connect("orders", own.topic("orders"), own.workflow, start_run);
             }};
    at.send("orders", many_events());
    for (const auto& each : many_events())
        BOOST_TEST(at.runs_of(each.key).size() == 1);
}

BOOST_DATA_TEST_CASE(a_crash_before_the_acknowledgement_starts_no_second_run, backends)
{
    int calls = 0;
    bench at{carrying(), sample, [&](pawl::engine& to, bench& b) {
                 const auto stuck = [&calls, clock = b.clock](arrived& in,
                                                              order what) -> awaitable<void> {
                     co_await in.trigger(what.number, parcel{});
                     if (++calls == 1)
                         co_await wait_on(clock, 24h); // the process ends before that
                 };
                 to.connect("orders", b.topic("orders"), b.workflow, stuck);
             }};
    at.send("orders", {event_of("1", "a")});
    BOOST_TEST(calls == 1);
    BOOST_TEST(at.runs_of("a").size() == 1);
    at.test->restart();
    BOOST_TEST(calls == 2);
    BOOST_TEST(at.runs_of("a").size() == 1);
    at.test->restart();
    BOOST_TEST(calls == 2); // acknowledged at last
}

BOOST_DATA_TEST_CASE(a_crash_before_the_acknowledgement_repeats_no_callback, backends)
{
    int calls = 0;
    bench at{weighing(), sample, [&](pawl::engine& to, bench& b) {
                 const auto stuck = [&calls, clock = b.clock](arrived& in,
                                                              order what) -> awaitable<void> {
                     co_await in.send(what.number, weighed, what);
                     if (++calls == 1)
                         co_await wait_on(clock, 24h);
                 };
                 to.connect("scales", b.topic("scales"), b.workflow, stuck);
             }};
    const auto run = at.test->trigger("a");
    at.send("scales", {event_of("1", "a", 5)});
    BOOST_TEST(at.test->find(run).object.weight == 5);
    at.test->restart();
    BOOST_TEST(calls == 2);
    BOOST_TEST(at.test->find(run).object.weight == 5);
    // Another event of the same content is another callback.
    at.send("scales", {event_of("2", "a", 5)});
    BOOST_TEST(at.test->find(run).object.weight == 10);
}

BOOST_AUTO_TEST_CASE(several_things_for_one_event_are_told_apart_by_their_names)
{
    bench at{weighing(), backend::memory, [](pawl::engine& to, bench& b) {
                 const auto twice = [](arrived& in, order what) -> awaitable<void> {
                     co_await in.send(what.number, weighed, what);
                     co_await in.send(what.number, weighed, what, {.idempotency_key = "2"});
                     co_await in.send(what.number, weighed, what); // the first again
                 };
                 to.connect("scales", b.topic("scales"), b.workflow, twice);
             }};
    const auto run = at.test->trigger("a");
    at.send("scales", {event_of("1", "a", 3)});
    BOOST_TEST(at.test->find(run).object.weight == 6);
}

BOOST_AUTO_TEST_CASE(events_of_one_key_keep_their_order_and_wait_for_a_failed_one)
{
    std::vector<std::string> seen;
    bench at{weighing(), backend::memory, [&](pawl::engine& to, bench& b) {
                 const auto see = [&seen](arrived& in) -> awaitable<void> {
                     seen.push_back(in.event().id + "." + std::to_string(in.attempt()));
                     if (in.event().id == "2" && in.attempt() < 3)
                         throw std::runtime_error("not yet");
                     co_return;
                 };
                 to.connect("scales", b.topic("scales"), b.workflow, see,
                            {.retry = {.initial = 10s, .multiplier = 1, .jitter = 0}});
             }};
    at.send("scales", {event_of("1", "a"), event_of("2", "a"), event_of("3", "a"),
                       event_of("4", "b"), event_of("5", "")});
    using list = std::vector<std::string>;
    BOOST_TEST(seen == (list{"1.1", "4.1", "5.1", "2.1"}), boost::test_tools::per_element());
    at.test->advance(10s);
    BOOST_TEST(seen.back() == "2.2");
    at.test->advance(10s);
    BOOST_TEST(seen == (list{"1.1", "4.1", "5.1", "2.1", "2.2", "2.3", "3.1"}),
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(an_event_waits_until_its_lag_is_over)
{
    int calls = 0;
    bench at{weighing(), backend::memory, [&](pawl::engine& to, bench& b) {
                 const auto see = [&calls](arrived&) -> awaitable<void> {
                     ++calls;
                     co_return;
                 };
                 to.connect("scales", b.topic("scales"), b.workflow, see, {.delay = 1h});
             }};
    auto late = event_of("1", "a");
    late.at = at.test->now();
    at.send("scales", {late});
    at.test->advance(1h - 1us);
    BOOST_TEST(calls == 0);
    at.test->advance(1us);
    BOOST_TEST(calls == 1);
}

BOOST_AUTO_TEST_CASE(a_run_belongs_to_the_trace_of_its_event)
{
    const std::string trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    bench at{carrying(), backend::memory, [](pawl::engine& to, bench& b) {
                 to.connect("orders", b.topic("orders"), b.workflow, start_run);
             }};
    auto traced = event_of("1", "a");
    traced.trace_parent = trace;
    at.send("orders", {traced});
    const auto run = at.runs_of("a").front().id;
    BOOST_TEST(at.test->wait_for(at.store->find(run))->trace_parent == trace);
}

BOOST_AUTO_TEST_SUITE_END()
