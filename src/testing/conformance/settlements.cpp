#include "testing/conformance/fixture.hpp"

#include <array>

namespace pawl::testing {

namespace {

using namespace std::chrono_literals;

awaitable<record> with_messages(fixture& test, std::string foreign_id, int count)
{
    const auto run = co_await test.started(std::move(foreign_id));
    std::vector<change> batch;
    for (int i = 0; i < count; ++i)
        batch.push_back(send(run.id, fmt::format("message {}", i + 1)));
    co_await test.accept(std::move(batch));
    auto stored = co_await test.stored(run.id);
    expect_equal(stored.inbox_pending, count, "inbox_pending after deliveries");
    expect_equal(stored.inbox_last, count, "inbox_last after deliveries");
    co_return stored;
}

awaitable<void> expect_outcome(fixture& test, run_id run, settlement expected)
{
    const auto actual = co_await test.store().outcome(run, expected.sequence);
    expect_equal(actual, std::optional{expected},
                 fmt::format("outcome() of message {}", expected.sequence));
}

awaitable<void> expect_inbox(fixture& test, run_id run, std::vector<std::uint64_t> expected)
{
    const auto inbox = co_await test.store().inbox(run, 0, 100);
    std::vector<std::uint64_t> actual;
    for (const message& waiting : inbox)
        actual.push_back(waiting.sequence);
    expect_equal(actual, expected, "sequences of the messages in the inbox");
    const auto stored = co_await test.stored(run);
    expect_equal(stored.inbox_pending, expected.size(), "inbox_pending");
}

awaitable<void> settled_messages_leave_the_inbox(fixture& test)
{
    auto run = co_await with_messages(test, "busy", 6);
    auto change = step_of(next_of(run));
    change.settled = {{2, message_outcome::handled, ""},
                      {1, message_outcome::rejected, "not \"now\""},
                      {5, message_outcome::expired, "too late"}};
    co_await test.accept_one(change);
    co_await expect_inbox(test, run.id, {3, 4, 6});
    for (const settlement& expected : change.settled)
        co_await expect_outcome(test, run.id, expected);
    co_await expect_outcome(test, run.id, {3, message_outcome::pending, ""});

    // A settled message keeps its outcome. A message that was never sent cannot be settled.
    run = co_await test.stored(run.id);
    auto again = step_of(next_of(run));
    again.settled = {{2, message_outcome::failed, "changed"},
                     {77, message_outcome::handled, ""},
                     {0, message_outcome::handled, ""},
                     {3, message_outcome::failed, "broke"}};
    co_await test.accept_one(again);
    co_await expect_inbox(test, run.id, {4, 6});
    co_await expect_outcome(test, run.id, {2, message_outcome::handled, ""});
    co_await expect_outcome(test, run.id, {3, message_outcome::failed, "broke"});
    const auto never = co_await test.store().outcome(run.id, 77);
    expect_none(never, "outcome() of a message that was never sent");

    co_await test.accept_one(send(run.id, "one more"));
    co_await expect_inbox(test, run.id, {4, 6, 7});
}

awaitable<void> a_message_is_settled_once(fixture& test)
{
    auto run = co_await with_messages(test, "repeated", 3);
    auto keyed = send(run.id, "paid");
    keyed.content.key = "receipt";
    co_await test.accept_one(keyed);
    auto change = step_of(next_of(co_await test.stored(run.id)));
    change.settled = {{1, message_outcome::handled, "first"},
                      {1, message_outcome::rejected, "second"},
                      {4, message_outcome::handled, ""},
                      {4, message_outcome::failed, "late"},
                      {1, message_outcome::expired, "third"}};
    co_await test.accept_one(change);
    co_await expect_inbox(test, run.id, {2, 3});
    co_await expect_outcome(test, run.id, {1, message_outcome::handled, "first"});
    co_await expect_outcome(test, run.id, {4, message_outcome::handled, ""});
    const auto repeated = co_await test.apply_one(keyed);
    expect_status(repeated, apply_status::duplicate, "the key of a message that was handled");
}

awaitable<void> the_store_keeps_the_inbox_numbers(fixture& test)
{
    auto run = co_await with_messages(test, "counted", 2);
    auto next = next_of(run);
    next.inbox_last = 40;
    next.inbox_pending = 30;
    auto change = step_of(next);
    change.settled = {{1, message_outcome::handled, ""}};
    co_await test.accept_one(change);
    auto stored = co_await test.stored(run.id);
    expect_equal(stored.inbox_last, 2, "inbox_last after a transition");
    expect_equal(stored.inbox_pending, 1, "inbox_pending after a transition");

    auto fresh = test.make_run("fresh");
    fresh.inbox_last = 9;
    fresh.inbox_pending = 9;
    co_await test.accept_one(start_of(fresh));
    stored = co_await test.stored(fresh.id);
    expect_equal(stored.inbox_last, 0, "inbox_last of a new run");
    expect_equal(stored.inbox_pending, 0, "inbox_pending of a new run");
}

awaitable<void> refused_transitions_settle_nothing(fixture& test)
{
    auto run = co_await with_messages(test, "raced", 2);
    auto change = step_of(next_of(next_of(run)));
    change.settled = {{1, message_outcome::handled, ""}};
    const auto stale = co_await test.apply_one(change);
    expect_status(stale, apply_status::conflict, "a change made from another version");
    change = step_of(next_of(run));
    change.settled = {{1, message_outcome::handled, ""}};
    change.epoch = 99;
    const auto fenced = co_await test.apply_one(change);
    expect_status(fenced, apply_status::fenced, "a change under another epoch");
    co_await expect_inbox(test, run.id, {1, 2});
    co_await expect_outcome(test, run.id, {1, message_outcome::pending, ""});
}

awaitable<void> the_end_of_a_run_settles_its_inbox(fixture& test)
{
    for (const auto state : {run_state::completed, run_state::cancelled, run_state::data_deleted,
                             run_state::requested_data_deleted}) {
        auto run = co_await with_messages(test, "ending", 4);
        auto early = step_of(next_of(run));
        early.settled = {{1, message_outcome::handled, "before"}};
        co_await test.accept_one(early);
        auto end = step_of(finish_of(early.next, state), event_kind::completed);
        end.settled = {{3, message_outcome::handled, "this one did it"}};
        end.inbox_seen = 3;
        co_await test.accept_one(end);
        co_await expect_inbox(test, run.id, {});
        co_await expect_outcome(test, run.id, {1, message_outcome::handled, "before"});
        co_await expect_outcome(test, run.id,
                                {2, message_outcome::rejected, "the run has finished"});
        co_await expect_outcome(test, run.id, {3, message_outcome::handled, "this one did it"});
        co_await expect_outcome(test, run.id,
                                {4, message_outcome::rejected, "the run has finished"});
        const auto stored = co_await test.stored(run.id);
        expect_wake(stored, {}, "a finished run with unseen messages");
    }
}

awaitable<void> a_finished_run_settles_a_delete_data_command(fixture& test)
{
    auto run = co_await test.started("scrubbed");
    run = finish_of(run);
    co_await test.accept_one(step_of(run));
    auto order = send(run.id, "");
    order.content.kind = message_kind::delete_data;
    co_await test.accept({order, order});
    auto next = finish_of(run, run_state::requested_data_deleted);
    next.wake_at = beginning;
    auto change = step_of(next, event_kind::data_deletion_requested);
    change.settled = {{1, message_outcome::handled, ""}};
    change.inbox_seen = 2;
    co_await test.accept_one(change);
    co_await expect_inbox(test, run.id, {2});
    co_await expect_outcome(test, run.id, {1, message_outcome::handled, ""});
    co_await expect_outcome(test, run.id, {2, message_outcome::pending, ""});
    const auto stored = co_await test.stored(run.id);
    expect_wake(stored, beginning, "a finished run that still has work");
}

/// A finished run is changed by bookkeeping too: it must not reject the command meanwhile.
awaitable<void> a_change_of_a_finished_run_keeps_its_messages(fixture& test)
{
    auto run = co_await test.started("bookkeeping");
    run = finish_of(run);
    co_await test.accept_one(step_of(run));
    auto order = send(run.id, "");
    order.content.kind = message_kind::delete_data;
    co_await test.accept({order});
    run = finish_of(run);
    run.wake_at = {};
    auto change = step_of(run, event_kind::parent_notified);
    change.inbox_seen = 0;
    co_await test.accept_one(change);
    co_await expect_inbox(test, run.id, {1});
    co_await expect_outcome(test, run.id, {1, message_outcome::pending, ""});
    const auto stored = co_await test.stored(run.id);
    expect_equal(stored.inbox_pending, 1, "pending messages of a finished run");
    expect_wake(stored, run.updated_at, "a finished run with an unseen message");
}

awaitable<void> unseen_messages_keep_their_run_due(fixture& test)
{
    auto run = co_await with_messages(test, "racing", 2);
    const auto step = [&run](std::optional<time_point> wake_at, std::uint64_t seen) {
        run = next_of(run);
        run.wake_at = wake_at;
        auto change = step_of(run);
        change.inbox_seen = seen;
        return change;
    };
    const auto later = run.updated_at + 1h;
    const auto earlier = run.updated_at - 1h;

    // A message came after the transition was decided: the run is due now or earlier.
    co_await test.accept_one(step({}, 1));
    auto stored = co_await test.stored(run.id);
    expect_wake(stored, run.updated_at, "unseen message, no wake_at");
    co_await test.accept_one(step(later, 0));
    stored = co_await test.stored(run.id);
    expect_wake(stored, run.updated_at, "unseen message, a later wake_at");
    co_await test.accept_one(step(earlier, 1));
    stored = co_await test.stored(run.id);
    expect_wake(stored, earlier, "unseen message, an earlier wake_at");

    // All messages were known: the transition's wake_at is stored, even if messages are pending.
    co_await test.accept_one(step(later, 2));
    stored = co_await test.stored(run.id);
    expect_wake(stored, later, "known messages, a later wake_at");
    co_await test.accept_one(step({}, 2));
    stored = co_await test.stored(run.id);
    expect_wake(stored, {}, "known messages, no wake_at");
    co_await test.accept_one(step({}, ~0ull));
    stored = co_await test.stored(run.id);
    expect_wake(stored, {}, "more known messages than there are");
    expect_equal(stored.inbox_pending, 2,
                 "inbox_pending after transitions that settled no message");
}

awaitable<void> long_inboxes_are_processed_in_order(fixture& test)
{
    auto run = co_await with_messages(test, "long", 300);
    std::uint64_t handled = 0;
    while (handled < 300) {
        const auto inbox = co_await test.store().inbox(run.id, 0, 50);
        expect(!inbox.empty(), fmt::format("inbox() is empty after {} of 300 messages", handled));
        expect_equal(inbox.front().sequence, handled + 1,
                     "sequence of the first message in the inbox");
        run = co_await test.stored(run.id);
        auto change = step_of(next_of(run));
        for (const message& waiting : inbox)
            change.settled.push_back({waiting.sequence, message_outcome::handled, ""});
        handled += inbox.size();
        co_await test.accept_one(change);
    }
    co_await expect_inbox(test, run.id, {});
    co_await expect_outcome(test, run.id, {123, message_outcome::handled, ""});
}

} // namespace

std::span<const check_entry> settlement_checks()
{
    static constexpr std::array<check_entry, 9> checks{{
        {"settled_messages_leave_the_inbox", settled_messages_leave_the_inbox},
        {"a_message_is_settled_once", a_message_is_settled_once},
        {"the_store_keeps_the_inbox_numbers", the_store_keeps_the_inbox_numbers},
        {"refused_transitions_settle_nothing", refused_transitions_settle_nothing},
        {"the_end_of_a_run_settles_its_inbox", the_end_of_a_run_settles_its_inbox},
        {"a_finished_run_settles_a_delete_data_command",
         a_finished_run_settles_a_delete_data_command},
        {"a_change_of_a_finished_run_keeps_its_messages",
         a_change_of_a_finished_run_keeps_its_messages},
        {"unseen_messages_keep_their_run_due", unseen_messages_keep_their_run_due},
        {"long_inboxes_are_processed_in_order", long_inboxes_are_processed_in_order},
    }};
    return checks;
}

} // namespace pawl::testing
