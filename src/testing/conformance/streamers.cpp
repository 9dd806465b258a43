#include "pawl/testing/streamer_conformance.hpp"

#include "testing/conformance/fixture.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <exception>
#include <optional>

namespace pawl::testing {

namespace {

namespace asio = boost::asio;
using ids = std::vector<std::string>;

stream_event event_of(std::string id)
{
    stream_event made;
    made.id = std::move(id);
    made.key = "key";
    made.at = beginning;
    return made;
}

std::vector<stream_event> events_of(const ids& names)
{
    std::vector<stream_event> events;
    for (const auto& name : names)
        events.push_back(event_of(name));
    return events;
}

/// A receive that is under way.
struct pending {
    asio::cancellation_signal cancel;
    std::optional<std::vector<stream_event>> events;
    std::exception_ptr thrown;
    bool done = false;
};

awaitable<std::vector<stream_event>> receive(event_receiver& from, std::size_t limit)
{
    auto events = co_await from.receive(limit);
    co_return events;
}

std::shared_ptr<pending> begin_receive(const asio::any_io_executor& executor, event_receiver& from,
                                       std::size_t limit = 10)
{
    const auto begun = std::make_shared<pending>();
    asio::co_spawn(executor, receive(from, limit),
                   asio::bind_cancellation_slot(
                       begun->cancel.slot(),
                       [begun](std::exception_ptr thrown, std::vector<stream_event> events) {
                           begun->thrown = thrown;
                           begun->events = std::move(events);
                           begun->done = true;
                       }));
    return begun;
}

/// Lets everybody else go on, until `done`, for as long as a test may take.
awaitable<void> wait_until(const bool& done, std::string what)
{
    const auto executor = co_await asio::this_coro::executor;
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{2};
    while (!done) {
        expect(std::chrono::steady_clock::now() < end, what);
        co_await asio::post(executor, asio::use_awaitable);
    }
}

/// Receives until as many events have come, and fails unless they are these.
awaitable<void> expect_events(event_receiver& from, ids wanted, std::string what)
{
    const auto executor = co_await asio::this_coro::executor;
    ids got;
    while (got.size() < wanted.size()) {
        const auto begun = begin_receive(executor, from, wanted.size() - got.size());
        std::exception_ptr late;
        try {
            co_await wait_until(begun->done, what + ": no event was received");
        } catch (...) {
            late = std::current_exception();
        }
        if (late) {
            begun->cancel.emit(asio::cancellation_type::terminal);
            co_await wait_until(begun->done,
                                what + ": no event was received, nor was it cancelled");
            std::rethrow_exception(late);
        }
        if (begun->thrown)
            std::rethrow_exception(begun->thrown);
        expect(!begun->events->empty(), what + ": no events were received");
        for (const auto& each : *begun->events)
            got.push_back(each.id);
    }
    for (std::size_t i = 0; i < wanted.size(); ++i)
        expect(got[i] == wanted[i],
               fmt::format("{}: event {} is {} instead of {}", what, i, got[i], wanted[i]));
}

awaitable<void> a_consumer_begins_at_the_beginning(event_streamer& streamer)
{
    co_await streamer.send("news", events_of({"1", "2"}));
    const auto receiver = co_await streamer.subscribe("news", "reader");
    co_await expect_events(*receiver, {"1", "2"}, "events of before");
    co_await streamer.send("news", events_of({"3"}));
    co_await expect_events(*receiver, {"3"}, "an event of after");
}

awaitable<void> latest_is_fixed_when_the_subscription_completes(event_streamer& streamer)
{
    co_await streamer.send("news", events_of({"1", "2"}));
    const auto receiver = co_await streamer.subscribe("news", "reader", subscribe_from::latest);
    co_await streamer.send("news", events_of({"3"}));
    co_await expect_events(*receiver, {"3"}, "an event sent before the first receive");
}

awaitable<void> latest_of_a_known_consumer_goes_on(event_streamer& streamer)
{
    {
        const auto receiver = co_await streamer.subscribe("news", "reader", subscribe_from::latest);
        co_await streamer.send("news", events_of({"1"}));
        const auto events = co_await receiver->receive(10);
        co_await receiver->ack(events.back().position);
    }
    co_await streamer.send("news", events_of({"2"}));
    const auto receiver = co_await streamer.subscribe("news", "reader", subscribe_from::latest);
    co_await expect_events(*receiver, {"2"}, "an event sent while nobody listened");
}

awaitable<void> what_is_not_acknowledged_comes_again(event_streamer& streamer)
{
    co_await streamer.send("news", events_of({"1", "2", "3"}));
    {
        const auto receiver = co_await streamer.subscribe("news", "reader");
        const auto first = co_await receiver->receive(1);
        co_await receiver->ack(first.back().position);
        co_await expect_events(*receiver, {"2", "3"}, "events after the first");
    }
    const auto again = co_await streamer.subscribe("news", "reader");
    co_await expect_events(*again, {"2", "3"}, "events without an acknowledgement");
    {
        // Also of one that began with the latest, before it acknowledged anything.
        const auto late = co_await streamer.subscribe("news", "late", subscribe_from::latest);
        co_await streamer.send("news", events_of({"4"}));
        co_await expect_events(*late, {"4"}, "an event for a late consumer");
    }
    const auto late = co_await streamer.subscribe("news", "late", subscribe_from::latest);
    co_await expect_events(*late, {"4"}, "an event that a late consumer did not acknowledge");
}

awaitable<void> consumers_and_topics_are_apart(event_streamer& streamer)
{
    co_await streamer.send("news", events_of({"1"}));
    co_await streamer.send("News", events_of({"2"}));
    const auto one = co_await streamer.subscribe("news", "reader");
    const auto events = co_await one->receive(10);
    co_await one->ack(events.back().position);
    const auto other = co_await streamer.subscribe("news", "Reader");
    const auto elsewhere = co_await streamer.subscribe("News", "reader");
    co_await expect_events(*other, {"1"}, "another consumer");
    co_await expect_events(*elsewhere, {"2"}, "the same consumer on another topic");
    // Names that would be the same if they were only joined.
    co_await streamer.send("a/b", events_of({"3"}));
    co_await streamer.send("a", events_of({"4"}));
    const auto joined = co_await streamer.subscribe("a/b", "c");
    const auto first = co_await joined->receive(10);
    co_await joined->ack(first.back().position + 5);
    const auto split = co_await streamer.subscribe("a", "b/c");
    co_await expect_events(*split, {"4"}, "a consumer whose name looks like another's");
}

awaitable<void> events_come_back_whole(event_streamer& streamer)
{
    const std::string odd{"odd \0 'text' \xf0\x9f\x90\x98", 17};
    stream_event sent = event_of(odd);
    sent.key = odd;
    sent.type = odd;
    sent.headers = {{odd, odd}, {"empty", ""}};
    sent.payload = std::string(100'000, '\xfe');
    sent.trace_parent = odd;
    co_await streamer.send("news", {sent});
    const auto receiver = co_await streamer.subscribe("news", "reader");
    auto events = co_await receiver->receive(1);
    expect(events.front().position > 0, "the first position is not above zero");
    events.front().position = 0;
    expect(events.front() == sent, "an event is not what was sent");
}

awaitable<void> an_id_is_stored_once(event_streamer& streamer)
{
    const auto first = co_await streamer.send("news", events_of({"1", "2"}));
    const auto again = co_await streamer.send("news", events_of({"2", "3"}));
    expect_number(again.size(), 2, "positions of two events");
    expect(again.front() == first.back(), "a repeated event has another position");
    const auto receiver = co_await streamer.subscribe("news", "reader");
    co_await expect_events(*receiver, {"1", "2", "3"}, "events of which one was sent twice");
}

awaitable<void> a_receiver_waits_and_wakes(event_streamer& streamer)
{
    const auto executor = co_await asio::this_coro::executor;
    const auto one = co_await streamer.subscribe("news", "one");
    const auto two = co_await streamer.subscribe("news", "two");
    const auto first = begin_receive(executor, *one);
    const auto second = begin_receive(executor, *two);
    for (int i = 0; i < 100; ++i)
        co_await asio::post(executor, asio::use_awaitable);
    expect(!first->done && !second->done, "a receive completed without an event");
    co_await streamer.send("news", events_of({"1"}));
    co_await wait_until(first->done, "the first receiver was not woken");
    co_await wait_until(second->done, "the second receiver was not woken");
    expect(first->events && first->events->size() == 1, "the first receiver got another event");
}

awaitable<void> a_receive_can_be_cancelled_and_loses_nothing(event_streamer& streamer)
{
    const auto executor = co_await asio::this_coro::executor;
    const auto receiver = co_await streamer.subscribe("news", "reader");
    const auto begun = begin_receive(executor, *receiver);
    for (int i = 0; i < 100; ++i)
        co_await asio::post(executor, asio::use_awaitable);
    begun->cancel.emit(asio::cancellation_type::terminal);
    co_await wait_until(begun->done, "a receive was not cancelled");
    expect(begun->thrown != nullptr, "a cancelled receive gave something");
    co_await streamer.send("news", events_of({"1"}));
    co_await expect_events(*receiver, {"1"}, "an event after a cancelled receive");
}

awaitable<void> an_acknowledgement_may_come_while_a_receive_waits(event_streamer& streamer)
{
    const auto executor = co_await asio::this_coro::executor;
    const auto receiver = co_await streamer.subscribe("news", "reader");
    co_await streamer.send("news", events_of({"1"}));
    const auto first = co_await receiver->receive(10);
    const auto begun = begin_receive(executor, *receiver);
    for (int i = 0; i < 100; ++i)
        co_await asio::post(executor, asio::use_awaitable);
    co_await receiver->ack(first.back().position);
    expect(!begun->done, "an acknowledgement ended a receive");
    co_await streamer.send("news", events_of({"2"}));
    co_await wait_until(begun->done, "a receive was not woken after an acknowledgement");
    const auto again = co_await streamer.subscribe("news", "reader");
    co_await expect_events(*again, {"2"}, "events after an acknowledgement");
}

awaitable<void> a_trim_removes_what_nobody_needs(event_streamer& streamer)
{
    const auto positions = co_await streamer.send("news", events_of({"1", "2", "3"}));
    co_await streamer.trim("news", positions[1]);
    const auto receiver = co_await streamer.subscribe("news", "reader");
    co_await expect_events(*receiver, {"3"}, "events after a trim");
}

awaitable<void> names_must_not_be_empty(event_streamer& streamer)
{
    co_await expect_refused_argument(streamer.send("", events_of({"1"})), "a topic without a name");
    co_await expect_refused_argument(streamer.subscribe("", "reader"), "a topic without a name");
    co_await expect_refused_argument(streamer.subscribe("news", ""), "a consumer without a name");
}

struct entry {
    const char* name;
    awaitable<void> (*body)(event_streamer&);
};

constexpr entry entries[] = {
    {"a_consumer_begins_at_the_beginning", a_consumer_begins_at_the_beginning},
    {"latest_is_fixed_when_the_subscription_completes",
     latest_is_fixed_when_the_subscription_completes},
    {"latest_of_a_known_consumer_goes_on", latest_of_a_known_consumer_goes_on},
    {"what_is_not_acknowledged_comes_again", what_is_not_acknowledged_comes_again},
    {"consumers_and_topics_are_apart", consumers_and_topics_are_apart},
    {"events_come_back_whole", events_come_back_whole},
    {"an_id_is_stored_once", an_id_is_stored_once},
    {"a_receiver_waits_and_wakes", a_receiver_waits_and_wakes},
    {"a_receive_can_be_cancelled_and_loses_nothing", a_receive_can_be_cancelled_and_loses_nothing},
    {"an_acknowledgement_may_come_while_a_receive_waits",
     an_acknowledgement_may_come_while_a_receive_waits},
    {"a_trim_removes_what_nobody_needs", a_trim_removes_what_nobody_needs},
    {"names_must_not_be_empty", names_must_not_be_empty},
};

void run_check(const entry& check, const streamer_factory& make_streamer)
{
    const auto streamer = make_streamer();
    asio::io_context context;
    std::exception_ptr thrown;
    bool done = false;
    asio::co_spawn(context, check.body(*streamer), [&](std::exception_ptr problem) {
        thrown = problem;
        done = true;
        if (problem)
            context.stop(); // a receive may wait for ever
    });
    context.run();
    if (thrown)
        std::rethrow_exception(thrown);
    expect(done, "nothing was left to do before a call of the streamer completed");
}

} // namespace

std::vector<streamer_check> streamer_conformance_checks()
{
    std::vector<streamer_check> checks;
    for (const auto& each : entries)
        checks.push_back({each.name, [&each](const streamer_factory& make_streamer) {
                              run_check(each, make_streamer);
                          }});
    return checks;
}

} // namespace pawl::testing
