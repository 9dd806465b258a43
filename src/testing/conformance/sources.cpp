#include "pawl/testing/source_conformance.hpp"

#include "testing/conformance/receiving.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <exception>
#include <map>
#include <set>

namespace pawl::testing {

namespace {

namespace asio = boost::asio;
using ids = std::vector<std::string>;
using receiver_ptr = std::unique_ptr<event_receiver>;

/// The fixture of a check, with its time limit bound to the calls.
struct source_under_test {
    source_fixture system;
    std::shared_ptr<event_source> source = system.make_source();

    awaitable<receiver_ptr> open(std::string consumer = "reader")
    {
        auto receiver = co_await source->open(std::move(consumer));
        expect(receiver != nullptr, "open() completed with a null pointer");
        co_return receiver;
    }

    /// As a process does that was restarted.
    awaitable<receiver_ptr> reopen(std::string consumer = "reader")
    {
        source = system.make_source();
        auto receiver = co_await open(std::move(consumer));
        co_return receiver;
    }

    awaitable<ids> publish(std::vector<std::string> keys)
    {
        ids published;
        for (auto& key : keys) {
            auto id = co_await system.publish(std::move(key));
            published.push_back(std::move(id));
        }
        co_return published;
    }

    awaitable<void> expect_ids(event_receiver& receiver, ids expected, std::string subject)
    {
        return expect_events(receiver, std::move(expected), std::move(subject),
                             system.event_timeout);
    }

    awaitable<std::vector<stream_event>> receive(event_receiver& receiver, std::size_t count,
                                                 std::string subject)
    {
        return receive_events(receiver, count, std::move(subject), system.event_timeout);
    }
};

awaitable<void> let_time_pass(duration span)
{
    asio::steady_timer timer{co_await asio::this_coro::executor, span};
    co_await timer.async_wait(asio::use_awaitable);
}

ids from(const ids& all, std::size_t first)
{
    return {all.begin() + static_cast<std::ptrdiff_t>(first), all.end()};
}

awaitable<void> each_event_comes_with_its_id_and_key(source_under_test& test)
{
    const auto published = co_await test.publish({"a", "b", "c"});
    const auto receiver = co_await test.open();
    const auto events = co_await test.receive(*receiver, 3, "three events");
    std::map<std::string, std::string> expected, actual;
    for (std::size_t i = 0; i < 3; ++i) {
        expected[published[i]] = std::string(1, static_cast<char>('a' + i));
        actual[events[i].id] = events[i].key;
    }
    expect_equal(expected.size(), 3, "different ids of three events");
    expect(actual == expected,
           fmt::format("keys by id: expected {}, got {}", text_of(expected), text_of(actual)));
}

awaitable<void> positions_grow_from_event_to_event(source_under_test& test)
{
    co_await test.publish({"a", "b", "c", "a"});
    const auto receiver = co_await test.open();
    auto events = co_await test.receive(*receiver, 4, "four events");
    co_await test.publish({"b"});
    const auto more = co_await test.receive(*receiver, 1, "a later event");
    events.push_back(more.front());
    std::uint64_t last = 0;
    for (const auto& received : events) {
        expect_greater(received.position, last, "position of an event after another");
        last = received.position;
    }
}

awaitable<void> events_of_a_key_come_in_order(source_under_test& test)
{
    const auto published = co_await test.publish({"a", "a", "a", "a"});
    const auto receiver = co_await test.open();
    co_await test.expect_ids(*receiver, published, "events of one key");
}

awaitable<void> a_receive_obeys_its_limit(source_under_test& test)
{
    constexpr std::size_t count = 50, limit = 7;
    const auto published = co_await test.publish(std::vector<std::string>(count, "a"));
    const auto receiver = co_await test.open();
    ids actual;
    const auto executor = co_await asio::this_coro::executor;
    while (actual.size() < count) {
        const auto begun = begin_receive(executor, *receiver, limit);
        co_await complete_receive(begun, "a receive with a limit did not complete",
                                  test.system.event_timeout);
        if (begun->thrown)
            std::rethrow_exception(begun->thrown);
        expect(!begun->events->empty(), "receive() completed without an event");
        expect(begun->events->size() <= limit,
               fmt::format("a receive with limit {} gave {} events", limit, begun->events->size()));
        for (const auto& received : *begun->events)
            actual.push_back(received.id);
    }
    expect_equal(actual, published, "ids received with a limit");
    co_await expect_refused_argument(receiver->receive(0), "receive() with limit 0");
}

awaitable<void> a_receiver_waits_and_wakes(source_under_test& test)
{
    const auto executor = co_await asio::this_coro::executor;
    const auto receiver = co_await test.open();
    const auto begun = begin_receive(executor, *receiver);
    co_await run_ready_handlers();
    expect(!begun->done, "receive() completed without an event");
    const auto published = co_await test.publish({"a"});
    co_await complete_receive(begun, "receive() did not complete after an event was published",
                              test.system.event_timeout);
    expect(begun->thrown == nullptr, "a waiting receive() failed");
    expect_equal(begun->events->size(), 1, "events of a waiting receive()");
    expect_equal(begun->events->front().id, published.front(), "id of the event");
}

awaitable<void> acknowledged_events_do_not_come_again(source_under_test& test)
{
    co_await test.publish({"a", "b", "a"});
    {
        const auto receiver = co_await test.open();
        const auto events = co_await test.receive(*receiver, 3, "three events");
        co_await receiver->ack(events.back().position);
    }
    const auto later = co_await test.publish({"a"});
    const auto receiver = co_await test.reopen();
    co_await test.expect_ids(*receiver, later, "events after acknowledged ones");
}

awaitable<void> unacknowledged_events_come_again_first(source_under_test& test)
{
    const auto published = co_await test.publish({"a", "a", "a"});
    {
        const auto receiver = co_await test.open();
        const auto events = co_await test.receive(*receiver, 3, "three events");
        co_await receiver->ack(events.front().position);
    }
    auto expected = from(published, 1);
    const auto later = co_await test.publish({"a", "a"});
    expected.insert(expected.end(), later.begin(), later.end());
    const auto receiver = co_await test.reopen();
    co_await test.expect_ids(*receiver, expected, "unacknowledged events and later ones");
}

awaitable<void> an_acknowledgement_covers_earlier_events(source_under_test& test)
{
    const auto published = co_await test.publish({"a", "a", "a"});
    {
        const auto receiver = co_await test.open();
        const auto events = co_await test.receive(*receiver, 3, "three events");
        co_await receiver->ack(events[1].position);
    }
    const auto receiver = co_await test.reopen();
    co_await test.expect_ids(*receiver, from(published, 2), "the event after two acknowledged");
}

awaitable<void> an_event_comes_once_from_a_receiver(source_under_test& test)
{
    const auto executor = co_await asio::this_coro::executor;
    co_await test.publish({"a", "b"});
    const auto receiver = co_await test.open();
    co_await test.receive(*receiver, 2, "two events");
    const auto begun = begin_receive(executor, *receiver);
    co_await run_ready_handlers();
    co_await let_time_pass(2 * test.system.redelivery_time);
    if (begun->done && begun->thrown)
        std::rethrow_exception(begun->thrown);
    if (begun->done)
        fail("an event that was not acknowledged came again from the same receiver: " +
             begun->events->front().id);
    const auto later = co_await test.publish({"c"});
    co_await complete_receive(begun, "receive() did not complete after an event was published",
                              test.system.event_timeout);
    expect(begun->thrown == nullptr, "a waiting receive() failed");
    expect_equal(begun->events->front().id, later.front(), "id of the event after held ones");
}

awaitable<void> a_cancelled_receive_loses_nothing(source_under_test& test)
{
    const auto executor = co_await asio::this_coro::executor;
    const auto receiver = co_await test.open();
    const auto begun = begin_receive(executor, *receiver);
    co_await run_ready_handlers();
    co_await end_receive(begun, "a receive without an event", test.system.event_timeout);
    expect(begun->thrown != nullptr, "a cancelled receive() did not throw");
    const auto published = co_await test.publish({"a", "a"});
    co_await test.expect_ids(*receiver, published, "events after a cancelled receive");
}

awaitable<void> an_acknowledgement_may_overlap_a_receive(source_under_test& test)
{
    const auto executor = co_await asio::this_coro::executor;
    ids later;
    {
        const auto receiver = co_await test.open();
        co_await test.publish({"a"});
        const auto first = co_await test.receive(*receiver, 1, "one event");
        const auto begun = begin_receive(executor, *receiver);
        co_await run_ready_handlers();
        co_await receiver->ack(first.front().position);
        expect(!begun->done, "ack() completed a pending receive()");
        later = co_await test.publish({"a"});
        co_await complete_receive(begun, "receive() did not complete after ack() and a new event",
                                  test.system.event_timeout);
        expect(begun->thrown == nullptr, "a receive() failed that an ack() overlapped");
    }
    const auto receiver = co_await test.reopen();
    co_await test.expect_ids(*receiver, later, "the event after the acknowledged one");
}

/// Names of connectors have dots, and the consumers' names a slash.
awaitable<void> consumers_are_independent(source_under_test& test)
{
    const auto published = co_await test.publish({"a", "a"});
    const char* const names[] = {"connector/a", "connector/A",   "connector/a.b",
                                 "connector-a", "connector/a_b", "connector/a-b"};
    for (const auto* name : names) {
        const auto receiver = co_await test.open(name);
        co_await test.expect_ids(*receiver, published, std::string{"events of consumer "} + name);
        const auto more = co_await test.source->open(std::string{name} + ".other");
        const auto events = co_await test.receive(*more, 2, "events of another consumer");
        co_await more->ack(events.back().position);
    }
    const auto receiver = co_await test.reopen(names[0]);
    co_await test.expect_ids(*receiver, published, "events that other consumers acknowledged");
}

awaitable<void> a_poison_event_is_given_as_any_other(source_under_test& test)
{
    if (!test.system.publish_poison)
        co_return;
    auto poison = co_await test.system.publish_poison();
    auto published = co_await test.publish({"a"});
    const std::set<std::string> expected{poison, published.front()};
    for (const bool last : {false, true}) {
        const auto receiver = co_await test.reopen();
        const auto events = co_await test.receive(*receiver, 2, "a poison event and another one");
        const std::set<std::string> actual{events[0].id, events[1].id};
        expect(actual == expected, "the ids of a poison event and another one differ from those "
                                   "that were published, or from the ones before");
        if (last)
            co_await receiver->ack(events.back().position);
    }
    const auto later = co_await test.publish({"a"});
    const auto receiver = co_await test.reopen();
    co_await test.expect_ids(*receiver, later, "the event after an acknowledged poison event");
}

/// Receives until all ids of `expected` have come; reopens the source after a failure, as a
/// connector does.
awaitable<void> expect_all(source_under_test& test, receiver_ptr receiver,
                           std::set<std::string> expected, std::string subject)
{
    const auto end = std::chrono::steady_clock::now() + test.system.event_timeout;
    while (!expected.empty()) {
        bool failed = false;
        expect(std::chrono::steady_clock::now() < end,
               fmt::format("{}: {} events did not come, among them {}", subject, expected.size(),
                           *expected.begin()));
        try {
            if (!receiver)
                receiver = co_await test.reopen();
            const auto events = co_await test.receive(*receiver, 1, subject);
            expected.erase(events.front().id);
        } catch (const std::runtime_error&) {
            failed = true;
        }
        if (failed) {
            receiver.reset();
            co_await let_time_pass(std::chrono::milliseconds{20});
        }
    }
}

awaitable<void> a_lost_connection_loses_no_event(source_under_test& test)
{
    if (!test.system.disconnect)
        co_return;
    const auto executor = co_await asio::this_coro::executor;
    const auto first = co_await test.publish({"a", "b", "c"});
    auto receiver = co_await test.open();
    const auto events = co_await test.receive(*receiver, 3, "three events");
    co_await receiver->ack(events.front().position);
    std::set<std::string> expected{events[1].id, events[2].id};
    // One receive is under way while the connection breaks.
    const auto begun = begin_receive(executor, *receiver, 1);
    co_await run_ready_handlers();
    co_await test.system.disconnect();
    const auto later = co_await test.publish({"a", "b", "d"});
    co_await complete_receive(begun, "a receive did not complete after the connection was lost",
                              test.system.event_timeout);
    expected.insert(later.begin(), later.end());
    receiver.reset();
    co_await expect_all(test, std::move(receiver), std::move(expected), "after a lost connection");
}

struct entry {
    const char* name;
    awaitable<void> (*body)(source_under_test&);
};

constexpr entry entries[] = {
    {"each_event_comes_with_its_id_and_key", each_event_comes_with_its_id_and_key},
    {"positions_grow_from_event_to_event", positions_grow_from_event_to_event},
    {"events_of_a_key_come_in_order", events_of_a_key_come_in_order},
    {"a_receive_obeys_its_limit", a_receive_obeys_its_limit},
    {"a_receiver_waits_and_wakes", a_receiver_waits_and_wakes},
    {"acknowledged_events_do_not_come_again", acknowledged_events_do_not_come_again},
    {"unacknowledged_events_come_again_first", unacknowledged_events_come_again_first},
    {"an_acknowledgement_covers_earlier_events", an_acknowledgement_covers_earlier_events},
    {"an_event_comes_once_from_a_receiver", an_event_comes_once_from_a_receiver},
    {"a_cancelled_receive_loses_nothing", a_cancelled_receive_loses_nothing},
    {"an_acknowledgement_may_overlap_a_receive", an_acknowledgement_may_overlap_a_receive},
    {"consumers_are_independent", consumers_are_independent},
    {"a_poison_event_is_given_as_any_other", a_poison_event_is_given_as_any_other},
    {"a_lost_connection_loses_no_event", a_lost_connection_loses_no_event},
};

void run_check(const entry& check, const source_fixture_factory& make_fixture)
{
    std::exception_ptr thrown;
    bool done = false;
    asio::io_context context;
    {
        source_under_test test{make_fixture(context.get_executor())};
        asio::co_spawn(context, check.body(test), [&](std::exception_ptr problem) {
            thrown = problem;
            done = true;
            context.stop(); // the system may have work of its own
        });
        context.run();
    }
    if (thrown)
        std::rethrow_exception(thrown);
    expect(done, "the context ran out of work before a call of the source completed");
}

} // namespace

std::vector<source_check> source_conformance_checks()
{
    std::vector<source_check> checks;
    for (const auto& check : entries)
        checks.push_back({check.name, [&check](const source_fixture_factory& make_fixture) {
                              run_check(check, make_fixture);
                          }});
    return checks;
}

} // namespace pawl::testing
