#include "pawl/testing/streamer_conformance.hpp"

#include "testing/conformance/receiving.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/this_coro.hpp>

#include <exception>

namespace pawl::testing {

namespace {

namespace asio = boost::asio;
using ids = std::vector<std::string>;

stream_event event_of(std::string id)
{
    stream_event sent;
    sent.id = std::move(id);
    sent.key = "key";
    sent.at = beginning;
    return sent;
}

std::vector<stream_event> events_of(const ids& names)
{
    std::vector<stream_event> events;
    for (const auto& name : names)
        events.push_back(event_of(name));
    return events;
}

awaitable<void> a_consumer_begins_at_the_beginning(event_streamer& streamer)
{
    co_await streamer.send("news", events_of({"1", "2"}));
    const auto receiver = co_await streamer.subscribe("news", "reader");
    co_await expect_events(*receiver, {"1", "2"}, "events sent before the subscription");
    co_await streamer.send("news", events_of({"3"}));
    co_await expect_events(*receiver, {"3"}, "an event sent after the subscription");
}

awaitable<void> latest_is_fixed_when_the_subscription_completes(event_streamer& streamer)
{
    co_await streamer.send("news", events_of({"1", "2"}));
    const auto receiver = co_await streamer.subscribe("news", "reader", subscribe_from::latest);
    co_await streamer.send("news", events_of({"3"}));
    co_await expect_events(*receiver, {"3"}, "an event sent before the first receive");
}

awaitable<void> latest_of_a_known_consumer_resumes_at_its_cursor(event_streamer& streamer)
{
    {
        const auto receiver = co_await streamer.subscribe("news", "reader", subscribe_from::latest);
        co_await streamer.send("news", events_of({"1"}));
        const auto events = co_await receiver->receive(10);
        co_await receiver->ack(events.back().position);
    }
    co_await streamer.send("news", events_of({"2"}));
    const auto receiver = co_await streamer.subscribe("news", "reader", subscribe_from::latest);
    co_await expect_events(*receiver, {"2"}, "an event sent without a receiver");
}

awaitable<void> unacknowledged_events_are_redelivered(event_streamer& streamer)
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
        // The same holds for a consumer that subscribed from the latest event.
        const auto late = co_await streamer.subscribe("news", "late", subscribe_from::latest);
        co_await streamer.send("news", events_of({"4"}));
        co_await expect_events(*late, {"4"}, "an event for a late consumer");
    }
    const auto late = co_await streamer.subscribe("news", "late", subscribe_from::latest);
    co_await expect_events(*late, {"4"}, "an event that a late consumer did not acknowledge");
}

awaitable<void> consumers_and_topics_are_independent(event_streamer& streamer)
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
    // Pairs of a topic and a consumer whose concatenations are equal.
    co_await streamer.send("a/b", events_of({"3"}));
    co_await streamer.send("a", events_of({"4"}));
    const auto joined = co_await streamer.subscribe("a/b", "c");
    const auto first = co_await joined->receive(10);
    co_await joined->ack(first.back().position + 5);
    const auto split = co_await streamer.subscribe("a", "b/c");
    co_await expect_events(*split, {"4"},
                           "a consumer whose topic and name concatenate to another's");
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
    expect_greater(events.front().position, std::uint64_t{0}, "position of the first event");
    events.front().position = 0;
    expect_equal(events.front(), sent, "received event");
}

awaitable<void> an_id_is_stored_once(event_streamer& streamer)
{
    const auto first = co_await streamer.send("news", events_of({"1", "2"}));
    const auto again = co_await streamer.send("news", events_of({"2", "3"}));
    expect_equal(again.size(), 2, "positions of two events");
    expect_equal(again.front(), first.back(), "position of a repeated event");
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
    co_await run_ready_handlers();
    expect(!first->done && !second->done, "receive() completed without an event");
    co_await streamer.send("news", events_of({"1"}));
    co_await wait_until(first->done,
                        "the first receive() did not complete after an event was sent");
    co_await wait_until(second->done,
                        "the second receive() did not complete after an event was sent");
    expect(first->events.has_value(), "the first receive() failed");
    expect_equal(first->events->size(), 1, "events of the first receive()");
}

awaitable<void> a_receive_can_be_cancelled_and_loses_nothing(event_streamer& streamer)
{
    const auto executor = co_await asio::this_coro::executor;
    const auto receiver = co_await streamer.subscribe("news", "reader");
    const auto begun = begin_receive(executor, *receiver);
    co_await run_ready_handlers();
    begun->cancel.emit(asio::cancellation_type::terminal);
    co_await wait_until(begun->done, "a cancelled receive() did not complete");
    expect(begun->thrown != nullptr, "a cancelled receive() did not throw");
    co_await streamer.send("news", events_of({"1"}));
    co_await expect_events(*receiver, {"1"}, "an event after a cancelled receive");
}

awaitable<void> an_acknowledgement_may_overlap_a_receive(event_streamer& streamer)
{
    const auto executor = co_await asio::this_coro::executor;
    const auto receiver = co_await streamer.subscribe("news", "reader");
    co_await streamer.send("news", events_of({"1"}));
    const auto first = co_await receiver->receive(10);
    const auto begun = begin_receive(executor, *receiver);
    co_await run_ready_handlers();
    co_await receiver->ack(first.back().position);
    expect(!begun->done, "ack() completed a pending receive()");
    co_await streamer.send("news", events_of({"2"}));
    co_await wait_until(begun->done, "receive() did not complete after ack() and a new event");
    const auto again = co_await streamer.subscribe("news", "reader");
    co_await expect_events(*again, {"2"}, "events after an acknowledgement");
}

awaitable<void> a_trim_removes_events_up_to_a_position(event_streamer& streamer)
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
    {"latest_of_a_known_consumer_resumes_at_its_cursor",
     latest_of_a_known_consumer_resumes_at_its_cursor},
    {"unacknowledged_events_are_redelivered", unacknowledged_events_are_redelivered},
    {"consumers_and_topics_are_independent", consumers_and_topics_are_independent},
    {"events_come_back_whole", events_come_back_whole},
    {"an_id_is_stored_once", an_id_is_stored_once},
    {"a_receiver_waits_and_wakes", a_receiver_waits_and_wakes},
    {"a_receive_can_be_cancelled_and_loses_nothing", a_receive_can_be_cancelled_and_loses_nothing},
    {"an_acknowledgement_may_overlap_a_receive", an_acknowledgement_may_overlap_a_receive},
    {"a_trim_removes_events_up_to_a_position", a_trim_removes_events_up_to_a_position},
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
            context.stop(); // a receive may never complete
    });
    context.run();
    if (thrown)
        std::rethrow_exception(thrown);
    expect(done, "the context ran out of work before a call of the streamer completed");
}

} // namespace

std::vector<streamer_check> streamer_conformance_checks()
{
    std::vector<streamer_check> checks;
    for (const auto& check : entries)
        checks.push_back({check.name, [&check](const streamer_factory& make_streamer) {
                              run_check(check, make_streamer);
                          }});
    return checks;
}

} // namespace pawl::testing
