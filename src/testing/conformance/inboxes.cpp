#include "testing/conformance/fixture.hpp"

#include <array>
#include <limits>

namespace pawl::testing {

namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;

std::vector<message> notable_messages(const run_id& run)
{
    const auto text = "a\0b, \"c\" 'd' \xf0\x9f\x92\xb3 \xff"s;
    std::vector<message> messages(7);
    messages[0] = {.name = "plain", .sent_at = beginning};
    messages[1] = {.kind = message_kind::pause,
                   .payload = "why",
                   .requested_by = "ops",
                   .sent_at = time_point::max()};
    messages[2] = {.kind = message_kind::resume, .expires_at = time_point::max()};
    messages[3] = {.kind = message_kind::cancel, .expires_at = time_point::min()};
    messages[4] = {.kind = message_kind::delete_data, .key = text};
    messages[5] = {.name = text, .payload = text, .payload_version = 4711, .key = "key"};
    messages[6] = {.name = "large", .payload = std::string(1 << 20, '\0'), .sent_at = beginning};
    for (std::size_t i = 0; i < messages.size(); ++i) {
        messages[i].run = run;
        messages[i].sequence = i + 1;
    }
    return messages;
}

awaitable<void> messages_come_back_in_order(fixture& test)
{
    const auto run = co_await test.started("asked");
    const auto other = co_await test.started("other");
    const auto messages = notable_messages(run.id);
    for (const message& sent : messages) {
        delivery change{sent};
        change.content.sequence = 99; // the store gives the sequence
        const auto result = co_await test.accept_one(std::move(change));
        expect_equal(result.sequence, sent.sequence, "sequence of a delivery");
        const auto elsewhere = co_await test.accept_one(send(other.id, "noise"));
        expect_equal(elsewhere.sequence, sent.sequence, "sequence in another inbox");
    }
    const auto all = co_await test.store().inbox(run.id, 0, 100);
    expect_equal(all, messages, "inbox()");
    const auto page = co_await test.store().inbox(run.id, 2, 3);
    expect_equal(page, {messages[2], messages[3], messages[4]}, "inbox() after 2, limit 3");
    const auto none = co_await test.store().inbox(run.id, 0, 0);
    expect_none(none, "inbox() with limit 0");
    const auto end = co_await test.store().inbox(run.id, 7, 100);
    expect_none(end, "inbox() after the last sequence");
    const auto beyond = co_await test.store().inbox(run.id, ~0ull, 100);
    expect_none(beyond, "inbox() after the largest sequence number");
}

awaitable<void> a_delivery_changes_only_the_inbox(fixture& test)
{
    auto run = co_await test.started("asked");
    run.inbox_last = 2;
    run.inbox_pending = 2;
    const auto later = *run.wake_at + 1h;
    co_await test.accept({send(run.id, "one", later), send(run.id, "two", later)});
    const auto stored = co_await test.stored(run.id);
    expect_record(stored, run, "after two deliveries");
    const auto log = co_await test.store().events(0, 0, 10);
    expect_equal(log.size(), 1, "events after a start and two deliveries");
    const auto pending = co_await test.store().outcome(run.id, 2);
    expect_equal(pending, std::optional{settlement{.sequence = 2, .detail = {}}},
                 "outcome of a delivered message");
}

awaitable<void> a_message_makes_its_run_due(fixture& test)
{
    struct step {
        std::optional<time_point> wake_at;
        time_point sent_at;
        time_point expected;
    };
    auto run = co_await test.started("woken");
    for (const auto& [wake_at, sent_at, expected] :
         {step{{}, beginning, beginning}, step{beginning + 1h, beginning, beginning},
          step{beginning - 1h, beginning, beginning - 1h}, step{beginning, beginning, beginning},
          step{{}, time_point::max(), time_point::max()}}) {
        const auto before = co_await test.stored(run.id);
        run = next_of(before);
        run.wake_at = wake_at;
        co_await test.accept_one(step_of(run));
        co_await test.accept_one(send(run.id, "wake up", sent_at));
        const auto stored = co_await test.stored(run.id);
        expect_wake(stored, expected, "after a delivery");
        const auto due = co_await test.store().due(0, {}, expected, 10);
        expect_equal(due.runs.size(), 1, "runs due when a message came");
    }
}

awaitable<void> a_message_key_makes_a_delivery_repeatable(fixture& test)
{
    const auto run = co_await test.started("keyed");
    const auto other = co_await test.started("other");
    auto first = send(run.id, "paid");
    first.content.key = "receipt-1";
    co_await test.accept_one(send(run.id, "earlier"));
    co_await test.accept_one(first);
    auto same_elsewhere = send(other.id, "paid");
    same_elsewhere.content.key = "receipt-1";
    co_await test.accept_one(same_elsewhere);

    auto repeat = first;
    repeat.content.payload = "not stored";
    auto result = co_await test.apply_one(repeat);
    expect_status(result, apply_status::duplicate, "a message with a key that is in use");
    expect_equal(result.sequence, 2, "sequence of the first message with the key");
    expect_equal(result.outcome, message_outcome::pending, "outcome of a message in the inbox");
    expect_equal(result.existing, run.id, "apply_result::existing of a duplicate");
    const auto before = co_await test.stored(run.id);
    expect_equal(before.inbox_pending, 2, "inbox_pending after a duplicate");
    expect_equal(before.inbox_last, 2, "inbox_last after a duplicate");

    auto handling = step_of(next_of(before), event_kind::message_settled);
    handling.settled = {{2, message_outcome::expired, "too late"}};
    co_await test.accept_one(handling);
    co_await test.accept_one(step_of(finish_of(handling.next)));
    result = co_await test.apply_one(repeat);
    expect_status(result, apply_status::duplicate, "a repeated message to a finished run");
    expect_equal(result.sequence, 2, "sequence of a settled message");
    expect_equal(result.outcome, message_outcome::expired, "outcome of a duplicate");
    expect_equal(result.detail, "too late", "detail of a duplicate");
}

awaitable<void> message_keys_belong_to_their_name(fixture& test)
{
    const auto run = co_await test.started("two names");
    for (const std::string name : {"confirm", "cancel", "", "confirm2", "confirm2x"}) {
        auto sent = send(run.id, name);
        sent.content.key = "request-7";
        const auto result = co_await test.accept_one(sent);
        expect_status(result, apply_status::accepted, "the key of another name: " + name);
        auto repeated = co_await test.apply_one(sent);
        expect_status(repeated, apply_status::duplicate, "the same key of one name: " + name);
        expect_equal(repeated.sequence, result.sequence, "sequence of a duplicate");
    }
    // The pairs of a name and a key differ, even if their concatenations are equal.
    auto joined = send(run.id, "confirm");
    joined.content.key = "2request-7";
    const auto result = co_await test.apply_one(joined);
    expect_status(result, apply_status::accepted, "a name and a key whose concatenation is in use");

    std::vector<change> together;
    for (const std::string name : {"confirm", "cancel"}) {
        auto sent = send(run.id, name);
        sent.content.key = "request-8";
        together.push_back(sent);
    }
    const auto results = co_await test.apply(std::move(together));
    expect_statuses(results, {apply_status::accepted, apply_status::accepted},
                    "one key of two names in one batch");
}

awaitable<void> a_message_that_failed_does_not_keep_its_key(fixture& test)
{
    const auto run = co_await test.started("keyed");
    auto paid = send(run.id, "paid");
    paid.content.key = "receipt-1";
    auto sent = send(run.id, "sent");
    sent.content.key = "receipt-2";
    co_await test.accept_one(paid);
    co_await test.accept_one(sent);
    const auto before = co_await test.stored(run.id);
    auto failing = step_of(next_of(before), event_kind::message_settled);
    failing.settled = {{1, message_outcome::failed, "no such order"}};
    co_await test.accept_one(failing);

    auto result = co_await test.apply_one(sent);
    expect_status(result, apply_status::duplicate, "the key of another message");
    result = co_await test.apply_one(paid);
    expect_status(result, apply_status::accepted, "the key of a message that failed");
    expect_equal(result.sequence, 3, "sequence of a message that is sent again");
    const auto first = co_await test.store().outcome(run.id, 1);
    expect_equal(first, std::optional{settlement{1, message_outcome::failed, "no such order"}},
                 "outcome of a message that failed");
    result = co_await test.apply_one(paid);
    expect_status(result, apply_status::duplicate, "a key that is in use again");
    expect_equal(result.sequence, 3, "sequence of the first message with the key");
    expect_equal(result.outcome, message_outcome::pending, "outcome of the repeated message");
}

awaitable<void> messages_without_a_key_are_all_stored(fixture& test)
{
    const auto run = co_await test.started("chatty");
    for (std::uint64_t i = 1; i <= 3; ++i) {
        const auto result = co_await test.accept_one(send(run.id, "same"));
        expect_equal(result.sequence, i, "sequence of a message without a key");
    }
}

awaitable<void> finished_runs_take_no_messages(fixture& test)
{
    for (const auto state : {run_state::completed, run_state::cancelled, run_state::data_deleted,
                             run_state::requested_data_deleted}) {
        auto run = co_await test.started("finished");
        run = finish_of(run, state);
        co_await test.accept_one(step_of(run));
        for (const auto kind : {message_kind::callback, message_kind::pause, message_kind::resume,
                                message_kind::cancel}) {
            auto late = send(run.id, "late");
            late.content.kind = kind;
            const auto result = co_await test.apply_one(late);
            expect_status(result, apply_status::finished, "a message to a finished run");
        }
        const auto stored = co_await test.stored(run.id);
        expect_record(stored, run, "after refused messages");

        auto scrub = send(run.id, "");
        scrub.content.kind = message_kind::delete_data;
        const auto result = co_await test.apply_one(scrub);
        expect_status(result, apply_status::accepted, "deleting a finished run's data");
        const auto woken = co_await test.stored(run.id);
        expect_wake(woken, beginning, "a finished run whose data must be deleted");
        const auto inbox = co_await test.store().inbox(run.id, 0, 10);
        expect_equal(inbox.size(), 1, "messages of a finished run");
    }
}

awaitable<void> an_inbox_has_a_limit(fixture& test)
{
    const auto run = co_await test.started("busy");
    const auto other = co_await test.started("idle");
    const auto limited = [&](run_id to, const std::string& key, std::uint32_t limit) {
        auto message = send(to, "limited");
        message.content.key = key;
        message.max_pending = limit;
        return message;
    };
    // One batch, with another run and with a command that has a higher limit.
    auto command = limited(run.id, "", 4);
    command.content.kind = message_kind::pause;
    const auto results = co_await test.apply(
        {limited(run.id, "1", 3), limited(run.id, "2", 3), limited(other.id, "1", 3),
         limited(run.id, "3", 3), limited(run.id, "4", 3), limited(run.id, "5", 3), command});
    using enum apply_status;
    expect_statuses(results,
                    {accepted, accepted, accepted, accepted, inbox_full, inbox_full, accepted},
                    "messages to an inbox with a limit");
    auto stored = co_await test.stored(run.id);
    expect_equal(stored.inbox_last, 4, "inbox_last of a full inbox");
    expect_equal(stored.inbox_pending, 4, "inbox_pending of a full inbox");

    auto result = co_await test.apply_one(limited(run.id, "6", 3));
    expect_status(result, apply_status::inbox_full, "a message to a full inbox");
    result = co_await test.apply_one(limited(run.id, "1", 3));
    expect_status(result, apply_status::duplicate, "a repeated message to a full inbox");
    result = co_await test.apply_one(limited(run.id, "6", 0));
    expect_status(result, apply_status::accepted, "a message without a limit to a full inbox");

    stored = co_await test.stored(run.id);
    auto handled = step_of(next_of(stored), event_kind::message_settled);
    handled.inbox_seen = 5;
    for (std::uint64_t sequence = 1; sequence <= 5; ++sequence)
        handled.settled.push_back({sequence, message_outcome::handled, ""});
    co_await test.accept_one(handled);
    result = co_await test.apply_one(limited(run.id, "7", 3));
    expect_status(result, apply_status::accepted, "a message to an inbox that has room again");
}

/// A message that was rejected for a low limit takes no room from a message with a high limit.
awaitable<void> messages_of_two_limits_share_an_inbox(fixture& test)
{
    const auto run = co_await test.started("busy");
    const auto limited = [&](message_kind kind, std::uint32_t limit) {
        auto message = send(run.id, "limited");
        message.content.kind = kind;
        message.max_pending = limit;
        return message;
    };
    const auto callback = limited(message_kind::callback, 3);
    const auto command = limited(message_kind::pause, 6);
    const auto results = co_await test.apply({command, command, callback, command, callback,
                                              callback, command, command, command, callback});
    using enum apply_status;
    expect_statuses(results,
                    {accepted, accepted, accepted, accepted, inbox_full, inbox_full, accepted,
                     accepted, inbox_full, inbox_full},
                    "messages with two limits");
    const auto stored = co_await test.stored(run.id);
    expect_equal(stored.inbox_last, 6, "inbox_last of a full inbox");
    expect_equal(stored.inbox_pending, 6, "inbox_pending of a full inbox");
}

} // namespace

std::span<const check_entry> inbox_checks()
{
    static constexpr std::array<check_entry, 10> checks{{
        {"message_keys_belong_to_their_name", message_keys_belong_to_their_name},
        {"messages_come_back_in_order", messages_come_back_in_order},
        {"a_delivery_changes_only_the_inbox", a_delivery_changes_only_the_inbox},
        {"a_message_makes_its_run_due", a_message_makes_its_run_due},
        {"a_message_key_makes_a_delivery_repeatable", a_message_key_makes_a_delivery_repeatable},
        {"a_message_that_failed_does_not_keep_its_key",
         a_message_that_failed_does_not_keep_its_key},
        {"messages_without_a_key_are_all_stored", messages_without_a_key_are_all_stored},
        {"finished_runs_take_no_messages", finished_runs_take_no_messages},
        {"an_inbox_has_a_limit", an_inbox_has_a_limit},
        {"messages_of_two_limits_share_an_inbox", messages_of_two_limits_share_an_inbox},
    }};
    return checks;
}

} // namespace pawl::testing
