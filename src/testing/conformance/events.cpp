#include "testing/conformance/fixture.hpp"

#include <array>

namespace pawl::testing {

namespace {

event event_of(const transition& change, std::uint32_t shard, std::uint64_t sequence,
               std::string error = {})
{
    const record& next = change.next;
    return {.shard = shard,
            .sequence = sequence,
            .kind = change.kind,
            .run = next.id,
            .workflow = next.workflow,
            .foreign_id = next.foreign_id,
            .version = next.version,
            .from = change.from,
            .to = next.status,
            .state = next.state,
            .attempt = next.attempt,
            .error = std::move(error),
            .at = next.updated_at};
}

/// All events of a shard, read in pages of `limit`.
awaitable<std::vector<event>> read_log(fixture& test, std::uint32_t shard, std::size_t limit)
{
    std::vector<event> log;
    for (;;) {
        const auto after = log.empty() ? 0 : log.back().sequence;
        auto page = co_await test.store().events(shard, after, limit);
        expect(page.size() <= limit,
               fmt::format("events() returned {} events, limit {}", page.size(), limit));
        if (page.empty())
            co_return log;
        log.insert(log.end(), page.begin(), page.end());
    }
}

awaitable<void> sequences_are_dense_in_each_shard(fixture& test)
{
    std::vector<std::vector<run_id>> accepted(test.shards());
    std::vector<record> runs;
    for (int round = 0; round < 4; ++round) {
        std::vector<change> batch;
        for (int i = 0; i < 100; ++i) {
            auto run = test.make_run(fmt::format("run-{}-{}", round, i));
            accepted[shard_of(run.foreign_id, test.shards())].push_back(run.id);
            batch.push_back(start_of(run));
            // Refused changes take no sequence.
            batch.push_back(start_of(test.make_run(run.foreign_id)));
            batch.push_back(step_of(next_of(next_of(run))));
            batch.push_back(send(run.id, "ping"));
        }
        const auto results = co_await test.apply(batch);
        for (std::size_t i = 0; i < results.size(); ++i)
            expect_status(results[i],
                          i % 4 == 0   ? apply_status::accepted
                          : i % 4 == 1 ? apply_status::already_running
                          : i % 4 == 2 ? apply_status::conflict
                                       : apply_status::accepted,
                          "a change among refused ones");
    }
    for (std::uint32_t shard = 0; shard < test.shards(); ++shard) {
        const auto log = co_await read_log(test, shard, 7);
        expect_equal(log.size(), accepted[shard].size(), "events of a shard");
        for (std::size_t i = 0; i < log.size(); ++i) {
            expect_equal(log[i].sequence, i + 1, "sequence of an event");
            expect_equal(log[i].shard, shard, "shard of an event");
            expect_equal(log[i].run, accepted[shard][i],
                         fmt::format("run of event {} of shard {}", i + 1, shard));
        }
    }
}

awaitable<void> results_give_the_sequence_of_the_event(fixture& test)
{
    for (int i = 0; i < 50; ++i) {
        const auto run = test.make_run(fmt::format("run-{}", i));
        const auto shard = shard_of(run.foreign_id, test.shards());
        const auto result = co_await test.accept_one(start_of(run));
        expect_greater(result.sequence, std::uint64_t{0}, "sequence of an accepted transition");
        const auto log = co_await test.store().events(shard, result.sequence - 1, 1);
        expect_equal(log.size(), 1, "events at the sequence of a result");
        expect_equal(log.front(), event_of(start_of(run), shard, result.sequence),
                     "event of a start");
    }
}

awaitable<void> an_event_describes_its_transition(fixture& test)
{
    struct step {
        event_kind kind;
        run_state state;
        std::string error;
        std::string requested_by = {};
    };
    const std::string error = "card declined: \"no\"";
    const std::string reason = "asked by 'ops' \xf0\x9f\x9a\xab";
    const step steps[] = {
        {event_kind::moved, run_state::running, error},
        {event_kind::repeated, run_state::running, ""},
        {event_kind::attempt_failed, run_state::running, error},
        {event_kind::checkpointed, run_state::running, ""},
        {event_kind::message_settled, run_state::running, ""},
        {event_kind::message_deferred, run_state::running, ""},
        {event_kind::attempt_begun, run_state::running, ""},
        {event_kind::parent_notified, run_state::running, ""},
        {event_kind::children_cancelled, run_state::running, ""},
        {event_kind::paused, run_state::paused, reason, "ops"},
        {event_kind::resumed, run_state::running, reason, "ops"},
        {event_kind::retried, run_state::running, reason, "ops"},
        {event_kind::moved_by_command, run_state::running, reason, "ops"},
        {event_kind::completed, run_state::completed, reason, "ops"},
        {event_kind::data_deletion_requested, run_state::requested_data_deleted, reason, "ops"},
        {event_kind::data_deleted, run_state::data_deleted, reason},
    };
    auto run = co_await test.started("told");
    std::vector<event> wanted{event_of(start_of(run), 0, 1)};
    for (const auto& [kind, state, text, requested_by] : steps) {
        const int from = run.status;
        run = next_of(run);
        run.state = state;
        run.status += 5;
        run.attempt += 1;
        run.last_error = error;
        run.reason = reason;
        run.requested_by = "ops";
        auto change = step_of(run, kind);
        change.from = from;
        co_await test.accept_one(change);
        wanted.push_back(event_of(change, 0, wanted.size() + 1, text));
        wanted.back().requested_by = requested_by;
        const auto log = co_await test.store().events(0, wanted.size() - 1, 100);
        expect_equal(log.size(), 1, "events after the last one");
        expect_equal(log.front(), wanted.back(), "last event of the log");
    }
    // Deleting data clears the errors of earlier events: see transition.
    for (auto& entry : wanted)
        if (entry.kind != event_kind::data_deleted &&
            entry.kind != event_kind::data_deletion_requested)
            entry.error.clear();
    const auto log = co_await test.store().events(0, 0, 100);
    const auto history = co_await test.store().history(run.id, 0, 100);
    expect_equal(log, wanted, "events()");
    expect_equal(history, wanted, "history()");
}

awaitable<void> a_cancel_event_has_its_reason(fixture& test)
{
    auto run = co_await test.started("stopped");
    run = finish_of(run, run_state::cancelled);
    run.reason = "changed my mind";
    run.last_error = "not this";
    co_await test.accept_one(step_of(run, event_kind::cancelled));
    const auto log = co_await test.store().events(0, 1, 1);
    expect_equal(log.size(), 1, "events after the start");
    expect_equal(log.front(), event_of(step_of(run, event_kind::cancelled), 0, 2, run.reason),
                 "event of a cancel");
}

awaitable<void> events_are_read_from_a_sequence(fixture& test)
{
    std::vector<change> batch;
    for (int i = 0; i < 10; ++i)
        batch.push_back(start_of(test.make_run(fmt::format("run-{}", i))));
    co_await test.accept(std::move(batch));
    const auto none = co_await test.store().events(0, 0, 0);
    expect_none(none, "events() with limit 0");
    const auto middle = co_await test.store().events(0, 4, 3);
    expect_equal(middle.size(), 3, "events of a page in the middle");
    expect_equal(middle.front().sequence, 5, "first event after 4");
    expect_equal(middle.back().sequence, 7, "last event of three after 4");
    const auto rest = co_await test.store().events(0, 8, 100);
    expect_equal(rest.size(), 2, "events after 8 of 10");
    const auto end = co_await test.store().events(0, 10, 100);
    expect_none(end, "events() after the last sequence");
    const auto beyond = co_await test.store().events(0, ~0ull, 100);
    expect_none(beyond, "events() after the largest sequence number");
}

awaitable<void> a_history_has_only_the_events_of_its_run(fixture& test)
{
    constexpr std::uint64_t versions = 300;
    auto run = co_await test.started("mine");
    auto other = co_await test.started("other");
    while (run.version < versions) {
        std::vector<change> batch;
        for (int i = 0; i < 23 && run.version < versions; ++i) {
            run = next_of(run);
            other = next_of(other);
            batch.push_back(step_of(run));
            batch.push_back(step_of(other));
        }
        co_await test.accept(std::move(batch));
    }
    struct range {
        std::uint64_t after;
        std::size_t limit;
        std::uint64_t expected;
    };
    for (const auto& [after, limit, expected] :
         {range{0, 1000, 300}, range{0, 1, 1}, range{0, 0, 0}, range{0, 63, 63}, range{0, 64, 64},
          range{0, 65, 65}, range{63, 1, 1}, range{64, 1, 1}, range{100, 50, 50},
          range{255, 100, 45}, range{299, 5, 1}, range{300, 5, 0}, range{301, 5, 0},
          range{~0ull, 5, 0}}) {
        const auto page = co_await test.store().history(run.id, after, limit);
        const auto subject = fmt::format("history() after version {}, limit {}", after, limit);
        expect_equal(page.size(), expected, subject);
        for (std::size_t i = 0; i < page.size(); ++i) {
            expect_equal(page[i].run, run.id, subject + ": run");
            expect_equal(page[i].version, after + 1 + i, subject + ": version");
        }
    }
}

awaitable<void> a_foreign_id_always_has_the_same_shard(fixture& test)
{
    for (int i = 0; i < 20; ++i) {
        const auto foreign_id = fmt::format("customer-{}", i);
        const auto shard = shard_of(foreign_id, test.shards());
        const auto before = co_await test.store().events(shard, 0, 1000);
        for (int again = 0; again < 3; ++again) {
            const auto run = co_await test.started(foreign_id);
            co_await test.accept_one(step_of(finish_of(run)));
        }
        const auto after = co_await test.store().events(shard, 0, 1000);
        expect_equal(after.size(), before.size() + 6, "events of a foreign id's shard");
    }
}

awaitable<void> a_log_ends_with_its_last_event(fixture& test)
{
    for (std::uint32_t shard = 0; shard < test.shards(); ++shard) {
        auto end = co_await test.store().log_end(shard);
        expect_equal(end, 0, "the end of an empty log");
        for (std::uint64_t runs = 1; runs <= 3; ++runs) {
            co_await test.started(test.foreign_id_in(shard));
            end = co_await test.store().log_end(shard);
            expect_equal(end, runs, "the end of a log");
        }
    }
}

} // namespace

std::span<const check_entry> event_checks()
{
    static constexpr std::array<check_entry, 8> checks{{
        {"sequences_are_dense_in_each_shard", sequences_are_dense_in_each_shard, 16},
        {"results_give_the_sequence_of_the_event", results_give_the_sequence_of_the_event, 4},
        {"an_event_describes_its_transition", an_event_describes_its_transition},
        {"a_cancel_event_has_its_reason", a_cancel_event_has_its_reason},
        {"events_are_read_from_a_sequence", events_are_read_from_a_sequence},
        {"a_history_has_only_the_events_of_its_run", a_history_has_only_the_events_of_its_run, 2},
        {"a_log_ends_with_its_last_event", a_log_ends_with_its_last_event, 3},
        {"a_foreign_id_always_has_the_same_shard", a_foreign_id_always_has_the_same_shard, 5},
    }};
    return checks;
}

} // namespace pawl::testing
