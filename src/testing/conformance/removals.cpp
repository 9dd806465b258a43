#include "testing/conformance/fixture.hpp"

#include <algorithm>

namespace pawl::testing {

namespace {

using namespace std::chrono_literals;

awaitable<record> finished(fixture& test, std::string foreign_id, std::string start_key = {})
{
    auto run = test.make_run(std::move(foreign_id));
    run.start_key = std::move(start_key);
    co_await test.accept_one(start_of(run));
    co_await test.accept_one(send(run.id, "heard", run.created_at));
    run = co_await test.stored(run.id);
    for (int i = 0; i < 100; ++i) {
        run = next_of(run);
        co_await test.accept_one(step_of(run));
    }
    run = finish_of(run);
    run.inbox_pending = 0;
    co_await test.accept_one(step_of(run, event_kind::completed));
    co_return run;
}

awaitable<void> deleted_data_leaves_no_texts(fixture& test)
{
    auto run = co_await test.started("private");
    const auto other = co_await test.started("other");
    co_await test.accept_one(send(run.id, "pay", run.created_at));
    co_await test.accept_one(send(other.id, "pay", run.created_at));
    for (const record& started : {run, other}) {
        auto failed = next_of(started);
        failed.last_error = "no account of Ms Smith";
        auto change = step_of(failed, event_kind::attempt_failed);
        change.settled = {{1, message_outcome::failed, "card of Ms Smith"}};
        co_await test.accept_one(change);
    }
    run = co_await test.stored(run.id);
    run = finish_of(run, run_state::cancelled);
    run.reason = "Ms Smith asked for it";
    run.requested_by = "support";
    co_await test.accept_one(step_of(run, event_kind::cancelled));
    run = next_of(run);
    run.state = run_state::requested_data_deleted;
    run.reason = "request 7";
    co_await test.accept_one(step_of(run, event_kind::data_deletion_requested));
    run = next_of(run);
    run.state = run_state::data_deleted;
    run.last_error.clear();
    co_await test.accept_one(step_of(run, event_kind::data_deleted));

    const auto history = co_await test.store().history(run.id, 0, 1000);
    expect_equal(history.size(), 5, "events of a run without its data");
    for (const auto& entry : history) {
        const bool is_request = entry.kind == event_kind::data_deletion_requested;
        const bool is_last = entry.kind == event_kind::data_deleted;
        const auto subject = fmt::format("event {} of deleted data", to_string(entry.kind));
        expect_equal(entry.error, is_request || is_last ? "request 7" : "", subject + ": error");
        if (entry.kind == event_kind::cancelled)
            expect_equal(entry.requested_by, "support", subject + ": requested_by");
    }
    const auto settled = co_await test.store().outcome(run.id, 1);
    expect_equal(settled, std::optional{settlement{1, message_outcome::failed, ""}},
                 "settlement of deleted data");

    const auto beside = co_await test.store().history(other.id, 0, 1000);
    expect_equal(beside.back().error, "no account of Ms Smith", "error of another run's event");
    const auto kept = co_await test.store().outcome(other.id, 1);
    expect_equal(kept->detail, "card of Ms Smith", "detail of another run's settlement");
}

awaitable<void> a_removed_run_leaves_nothing(fixture& test)
{
    const auto kept = co_await finished(test, "kept");
    const auto gone = co_await finished(test, "gone", "key");
    const auto after = co_await finished(test, "after");
    co_await test.accept_one(removal{gone.id, gone.version});

    const auto found = co_await test.store().find(gone.id);
    expect_none(found, "find() of a removed run");
    const auto latest = co_await test.store().latest("orders", "gone");
    expect_none(latest, "latest() of a removed run's foreign id");
    const auto history = co_await test.store().history(gone.id, 0, 1000);
    expect_none(history, "history() of a removed run");
    const auto outcome = co_await test.store().outcome(gone.id, 1);
    expect_none(outcome, "outcome() of a removed run's message");
    const auto page = co_await test.store().list({.limit = 1000});
    expect_equal(page.runs.size(), 2, "runs that are listed");
    const auto counts = co_await test.store().count("", false);
    std::uint64_t counted = 0;
    for (const auto& entry : counts)
        counted += entry.runs;
    expect_equal(counted, 2, "runs that are counted");
    const auto due = co_await test.store().finished_before(0, "orders", time_point::max(), 10);
    expect_equal(due.size(), 2, "finished runs");

    // A removal changes neither the other runs nor the sequences.
    for (const auto& other : {kept, after}) {
        const auto stored = co_await test.stored(other.id);
        expect_record(stored, other, "a run beside a removed one");
        const auto other_history = co_await test.store().history(other.id, 0, 1000);
        expect_equal(other_history.size(), 102, "events of a run beside a removed one");
    }
    const auto log = co_await test.store().events(0, 0, 1000);
    expect_equal(log.size(), 204, "events in the log");
    expect_equal(std::ranges::count(log, gone.id, &event::run), 0, "events of a removed run");
    expect_equal(log.back().sequence, 306, "the last sequence");
    const auto next = co_await test.accept_one(start_of(test.make_run("next")));
    expect_equal(next.sequence, 307, "the sequence after a removal");
}

awaitable<void> the_first_and_the_last_run_may_be_removed(fixture& test)
{
    const auto first = co_await finished(test, "first");
    const auto last = co_await finished(test, "last");
    co_await test.accept({removal{first.id, first.version}, removal{last.id, last.version}});
    const auto log = co_await test.store().events(0, 0, 1000);
    expect_none(log, "events() after all runs were removed");
    const auto result = co_await test.accept_one(start_of(test.make_run("next")));
    expect_equal(result.sequence, 205, "the sequence after all runs were removed");
    const auto read = co_await test.store().events(0, 204, 10);
    expect_equal(read.size(), 1, "events after all runs were removed");
}

awaitable<void> only_finished_runs_are_removed(fixture& test)
{
    const auto running = co_await test.started("running");
    const auto refused = co_await test.apply_one(removal{running.id, running.version});
    expect_status(refused, apply_status::already_running, "removing an unfinished run");
    const auto done = co_await finished(test, "done");
    const auto stale = co_await test.apply_one(removal{done.id, done.version - 1});
    expect_status(stale, apply_status::conflict, "removing an outdated version of a run");
    const auto fenced = co_await test.apply_one(removal{done.id, done.version, 99});
    expect_status(fenced, apply_status::fenced, "removing a run under another epoch");
    const auto unknown = co_await test.apply_one(removal{test.make_run("none").id, 1});
    expect_status(unknown, apply_status::not_found, "removing an unknown run");
    const auto stored = co_await test.stored(done.id);
    expect_record(stored, done, "after refused removals");
}

awaitable<void> a_removal_frees_foreign_id_and_start_key(fixture& test)
{
    const auto first = co_await finished(test, "again", "key");
    const auto second = co_await finished(test, "again", "other key");
    co_await test.accept_one(removal{second.id, second.version});
    const auto latest = co_await test.store().latest("orders", "again");
    expect(latest.has_value(), "latest() found no run before the removed one");
    expect_equal(latest->id, first.id, "latest() after the latest run was removed");
    co_await test.accept_one(removal{first.id, first.version});
    auto fresh = test.make_run("again");
    fresh.start_key = "key";
    co_await test.accept_one(start_of(fresh, id_reuse_policy::reject_duplicate));
    const auto stored = co_await test.stored(fresh.id);
    expect_record(stored, fresh, "a run with the foreign id and start key of a removed one");
}

awaitable<void> finished_runs_come_by_their_last_commit(fixture& test)
{
    std::vector<record> runs;
    for (int i = 0; i < 5; ++i)
        runs.push_back(co_await test.started(test.foreign_id_in(0)));
    const auto unfinished = co_await test.started(test.foreign_id_in(0));
    const auto other_workflow = co_await test.started(test.foreign_id_in(0), "returns");
    co_await test.accept_one(step_of(finish_of(other_workflow)));
    const auto other_shard = co_await test.started(test.foreign_id_in(1));
    co_await test.accept_one(step_of(finish_of(other_shard)));
    const std::size_t order[] = {3, 0, 4, 1, 2};
    for (std::size_t i = 0; i < 5; ++i) {
        auto& run = runs[order[i]];
        run = finish_of(run);
        run.updated_at = beginning + 1h + std::chrono::seconds{i / 2}; // two at a time
        co_await test.accept_one(step_of(run));
    }
    auto wanted = runs;
    std::ranges::sort(wanted, {}, [](const record& r) { return std::pair{r.updated_at, r.id}; });
    const auto all = co_await test.store().finished_before(0, "orders", time_point::max(), 100);
    expect_equal(all.size(), wanted.size(), "finished runs");
    for (std::size_t i = 0; i < wanted.size(); ++i)
        expect_record(all[i], wanted[i], "finished runs in their order");
    const auto three = co_await test.store().finished_before(0, "orders", time_point::max(), 3);
    expect_equal(three.size(), 3, "three finished runs");
    const auto old = co_await test.store().finished_before(0, "orders", beginning + 1h + 1s, 100);
    expect_equal(old.size(), 2, "runs that finished before a time");

    // A later commit of a finished run counts.
    auto scrubbed = next_of(wanted.front());
    scrubbed.state = run_state::data_deleted;
    scrubbed.updated_at = beginning + 2h;
    co_await test.accept_one(step_of(scrubbed, event_kind::data_deleted));
    const auto again = co_await test.store().finished_before(0, "orders", time_point::max(), 100);
    expect_equal(again.size(), 5, "finished runs after a deletion");
    expect_record(again.back(), scrubbed, "a run whose data was deleted");
}

awaitable<void> finished_runs_are_found_page_by_page(fixture& test)
{
    std::vector<record> runs;
    for (int i = 0; i < 7; ++i) {
        auto run = finish_of(co_await test.started(test.foreign_id_in(0)));
        run.updated_at = beginning + 1h + std::chrono::seconds{i / 3}; // three at a time
        co_await test.accept_one(step_of(run));
        runs.push_back(std::move(run));
    }
    std::ranges::sort(runs, {}, [](const record& r) { return std::pair{r.updated_at, r.id}; });
    for (const std::size_t limit : {1, 2, 3, 100}) {
        std::vector<record> found;
        finished_position after;
        for (bool more = true; more;) {
            const auto page =
                co_await test.store().finished_behind(0, "orders", after, time_point::max(), limit);
            expect(page.size() <= limit,
                   fmt::format("finished_behind() returned {} runs, limit {}", page.size(), limit));
            more = !page.empty();
            if (more)
                after = {page.back().updated_at, page.back().id};
            found.insert(found.end(), page.begin(), page.end());
            expect(found.size() <= runs.size(), "finished_behind() returned a run twice");
        }
        expect_equal(found.size(), runs.size(), "finished runs in pages");
        for (std::size_t i = 0; i < runs.size(); ++i)
            expect_record(found[i], runs[i], "finished runs in pages");
    }
    const finished_position third{runs[2].updated_at, runs[2].id};
    const auto old =
        co_await test.store().finished_behind(0, "orders", third, beginning + 1h + 2s, 100);
    expect_equal(old.size(), 3, "finished runs between a position and a time");
}

} // namespace

std::span<const check_entry> removal_checks()
{
    static const check_entry checks[] = {
        {"deleted_data_leaves_no_texts", deleted_data_leaves_no_texts},
        {"a_removed_run_leaves_nothing", a_removed_run_leaves_nothing},
        {"the_first_and_the_last_run_may_be_removed", the_first_and_the_last_run_may_be_removed},
        {"only_finished_runs_are_removed", only_finished_runs_are_removed},
        {"a_removal_frees_foreign_id_and_start_key", a_removal_frees_foreign_id_and_start_key},
        {"finished_runs_come_by_their_last_commit", finished_runs_come_by_their_last_commit, 3},
        {"finished_runs_are_found_page_by_page", finished_runs_are_found_page_by_page},
    };
    return checks;
}

} // namespace pawl::testing
