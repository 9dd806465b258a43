#include "testing/conformance/fixture.hpp"

#include <array>

namespace pawl::testing {

namespace {

using namespace std::chrono_literals;

awaitable<void> only_the_expected_version_is_replaced(fixture& test)
{
    auto run = co_await test.started("raced");
    const auto winner = next_of(run);
    auto loser = next_of(run);
    loser.object = "lost";
    co_await test.accept_one(step_of(winner));
    const auto late = co_await test.apply_one(step_of(loser));
    expect_status(late, apply_status::conflict, "a change with an outdated expected_version");
    auto early = next_of(next_of(winner));
    const auto ahead = co_await test.apply_one(step_of(early));
    expect_status(ahead, apply_status::conflict, "a change with a future expected_version");
    const auto kept = co_await test.stored(run.id);
    expect_record(kept, winner, "after conflicts");
    const auto history = co_await test.store().history(run.id, 0, 10);
    expect_equal(history.size(), 2, "events after two accepted changes");
}

awaitable<void> a_change_of_an_unknown_run_is_not_found(fixture& test)
{
    const auto unknown = test.make_run("unknown");
    const auto step = co_await test.apply_one(step_of(next_of(unknown)));
    expect_status(step, apply_status::not_found, "a transition of an unknown run");
    const auto message = co_await test.apply_one(send(unknown.id, "ping"));
    expect_status(message, apply_status::not_found, "a message to an unknown run");
    const auto found = co_await test.store().find(unknown.id);
    expect_none(found, "find() after a transition of an unknown run");
}

awaitable<void> changes_of_a_batch_are_decided_alone(fixture& test)
{
    const auto known = co_await test.started("known");
    const auto done = co_await test.started("done");
    co_await test.accept_one(step_of(finish_of(done)));
    const auto fresh = test.make_run("fresh");
    const auto results = co_await test.apply({
        step_of(next_of(test.make_run("unknown"))),
        step_of(next_of(known)),
        step_of(next_of(known)),
        start_of(fresh),
        start_of(test.make_run("fresh")),
        start_of(test.make_run("done"), id_reuse_policy::reject_duplicate),
        send(done.id, "too late"),
        send(known.id, "in time"),
        cursor_move{.name = "hooks", .shard = 0, .position = 1, .epoch = 77},
        cursor_move{.name = "hooks", .shard = 0, .position = 2},
    });
    using enum apply_status;
    expect_statuses(results,
                    {not_found, accepted, conflict, accepted, already_running, already_ran,
                     finished, accepted, fenced, accepted},
                    "a batch of everything");
    const auto stored_fresh = co_await test.stored(fresh.id);
    expect_record(stored_fresh, fresh, "a start between refused changes");
    const auto stored_known = co_await test.stored(known.id);
    expect_equal(stored_known.version, 2, "version after one accepted and one stale change");
    expect_equal(stored_known.inbox_pending, 1, "messages after one delivery");
    const auto position = co_await test.store().cursor("hooks", 0);
    expect_equal(position, 2, "cursor after one fenced and one accepted move");
}

awaitable<void> changes_of_a_batch_follow_each_other(fixture& test)
{
    const auto first = test.make_run("quick");
    const auto second = next_of(first);
    auto third = next_of(second);
    third.status = 30;
    const auto last = finish_of(third);
    const auto successor = test.make_run("quick");
    const auto results = co_await test.apply({
        start_of(first),
        step_of(second),
        send(first.id, "in the middle"),
        step_of(third),
        step_of(last),
        send(first.id, "after the end"),
        start_of(successor),
        step_of(next_of(successor)),
    });
    using enum apply_status;
    expect_statuses(
        results, {accepted, accepted, accepted, accepted, accepted, finished, accepted, accepted},
        "two runs in one batch");
    const auto history = co_await test.store().history(first.id, 0, 10);
    expect_equal(history.size(), 4, "events of a run that lived in one batch");
    const auto stored = co_await test.stored(first.id);
    expect_equal(stored.state, run_state::completed, "state of a run that lived in one batch");
    const auto end = co_await test.store().outcome(first.id, 1);
    expect(end.has_value(), "outcome() does not know message 1, sent in the batch");
    expect_equal(end->outcome, message_outcome::rejected,
                 "outcome of a message that was sent before the run's end in the same batch");
}

/// The results of all changes in order, including those that waited for a lock.
awaitable<std::vector<apply_result>> apply_apart(fixture& test, std::vector<change> batch)
{
    auto applied = co_await test.store().apply_apart(batch);
    expect_equal(applied.results.size(), batch.size(), "results of changes stored apart");
    expect_equal(applied.pending != nullptr, !applied.waiting.empty(),
                 "apply_apart(): pending is set if changes wait");
    std::size_t decided = 0;
    for (bool more = applied.pending != nullptr; more;) {
        auto known = co_await applied.pending->next();
        more = !known.empty();
        for (auto& late : known) {
            if (late.failure)
                std::rethrow_exception(late.failure);
            applied.results.at(late.index) = std::move(late.result);
            ++decided;
        }
    }
    expect_equal(decided, applied.waiting.size(), "results of changes that waited");
    co_return std::move(applied.results);
}

awaitable<void> changes_may_be_stored_apart(fixture& test)
{
    const auto known = co_await test.started("known");
    const auto second = next_of(known);
    const auto third = next_of(second);
    const auto results = co_await apply_apart(test, {
                                                        step_of(second),
                                                        publication{"news", {}},
                                                        step_of(third),
                                                        start_of(test.make_run("fresh")),
                                                        send(known.id, "in time"),
                                                        step_of(second),
                                                        start_of(test.make_run("fresh")),
                                                    });
    using enum apply_status;
    expect_statuses(results,
                    {accepted, accepted, accepted, accepted, accepted, conflict, already_running},
                    "changes stored apart");
    const auto kept = co_await test.stored(known.id);
    expect_equal(kept.version, 3, "version after two changes stored apart");
    const auto news = co_await test.store().topic_end("news");
    expect_equal(news, 1, "events in a topic after one was stored apart");
    const auto none = co_await apply_apart(test, {});
    expect_equal(none.size(), 0, "results of no changes stored apart");
}

awaitable<void> an_empty_batch_does_nothing(fixture& test)
{
    const auto results = co_await test.apply({});
    expect_equal(results.size(), 0, "results of an empty batch");
    const auto log = co_await test.store().events(0, 0, 10);
    expect_none(log, "events after an empty batch");
}

awaitable<void> a_large_batch_is_one(fixture& test)
{
    std::vector<change> batch;
    std::vector<record> runs;
    for (int i = 0; i < 3000; ++i) {
        runs.push_back(test.make_run(fmt::format("many-{}", i)));
        batch.push_back(start_of(runs.back()));
    }
    co_await test.accept(batch);
    batch.clear();
    for (const record& run : runs)
        batch.push_back(step_of(next_of(run)));
    co_await test.accept(batch);
    for (const std::size_t i : {std::size_t{0}, runs.size() / 2, runs.size() - 1}) {
        const auto stored = co_await test.stored(runs[i].id);
        expect_record(stored, next_of(runs[i]), "a run of a large batch");
    }
}

awaitable<void> a_run_takes_many_versions(fixture& test)
{
    auto run = co_await test.started("long");
    for (int round = 0; round < 5; ++round) {
        std::vector<change> batch;
        for (int i = 0; i < 100; ++i) {
            run = next_of(run);
            run.status = i % 2;
            batch.push_back(step_of(run));
        }
        co_await test.accept(std::move(batch));
    }
    const auto stored = co_await test.stored(run.id);
    expect_record(stored, run, "after 500 transitions");
}

awaitable<void> impossible_arguments_are_refused(fixture& test)
{
    auto run = co_await test.started("known");
    auto skipping = step_of(next_of(run));
    skipping.next.version += 1;
    const std::vector<change> skip{skipping};
    co_await expect_refused_argument(test.store().apply(skip), "a transition that skips a version");
    auto nameless = start_of(test.make_run("nameless"));
    nameless.next.id = {};
    const std::vector<change> without_id{nameless};
    co_await expect_refused_argument(test.store().apply(without_id), "a start without a run id");
    auto open_end = step_of(next_of(run));
    open_end.settled = {{1, message_outcome::pending, ""}};
    const std::vector<change> settles_nothing{open_end};
    co_await expect_refused_argument(test.store().apply(settles_nothing),
                                     "a settlement with the outcome pending");
    const std::vector<change> move{cursor_move{.name = "hooks", .shard = test.shards()}};
    co_await expect_refused_argument(test.store().apply(move),
                                     "a cursor of a shard that does not exist");

    const auto shard = test.shards();
    co_await expect_refused_argument(test.store().due(shard, {}, beginning, 10), "due");
    co_await expect_refused_argument(test.store().events(shard, 0, 10), "events");
    co_await expect_refused_argument(test.store().cursor("hooks", shard), "cursor");
    co_await expect_refused_argument(test.store().finished_before(shard, "orders", beginning, 1),
                                     "finished_before");
    co_await expect_refused_argument(test.store().claim({0, shard}, "me", 1h),
                                     "claim of a shard that does not exist");
    co_await expect_refused_argument(test.store().claim({0}, "", 1h), "claim without an owner");
    const auto stored = co_await test.stored(run.id);
    expect_record(stored, run, "after impossible changes");
}

} // namespace

std::span<const check_entry> change_checks()
{
    static constexpr std::array<check_entry, 9> checks{{
        {"only_the_expected_version_is_replaced", only_the_expected_version_is_replaced},
        {"a_change_of_an_unknown_run_is_not_found", a_change_of_an_unknown_run_is_not_found},
        {"changes_of_a_batch_are_decided_alone", changes_of_a_batch_are_decided_alone},
        {"changes_of_a_batch_follow_each_other", changes_of_a_batch_follow_each_other},
        {"changes_may_be_stored_apart", changes_may_be_stored_apart},
        {"an_empty_batch_does_nothing", an_empty_batch_does_nothing},
        {"a_large_batch_is_one", a_large_batch_is_one},
        {"a_run_takes_many_versions", a_run_takes_many_versions},
        {"impossible_arguments_are_refused", impossible_arguments_are_refused, 3},
    }};
    return checks;
}

} // namespace pawl::testing
