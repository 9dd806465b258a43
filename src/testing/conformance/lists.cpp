#include "testing/conformance/fixture.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <tuple>

namespace pawl::testing {

namespace {

using namespace std::chrono_literals;

/// Reads every page of a query.
awaitable<std::vector<record>> list_all(fixture& test, record_query query)
{
    std::vector<record> runs;
    for (;;) {
        const auto page = co_await test.store().list(query);
        expect(page.runs.size() <= query.limit,
               fmt::format("list() returned {} runs, limit {}", page.runs.size(), query.limit));
        runs.insert(runs.end(), page.runs.begin(), page.runs.end());
        if (!page.next)
            co_return runs;
        expect(!page.runs.empty(), "list() returned an empty page with a next position");
        expect_equal(page.next.run, page.runs.back().id, "record_page::next: run");
        expect_equal(page.next.created_at, page.runs.back().created_at,
                     "record_page::next: created_at");
        query.after = page.next;
    }
}

awaitable<void> expect_listed(fixture& test, record_query query, std::vector<record> wanted,
                              std::string what)
{
    const auto before = [](const record& a, const record& b) {
        return std::tie(a.created_at, a.id) < std::tie(b.created_at, b.id);
    };
    std::ranges::sort(wanted, before);
    for (const auto order : {sort_order::oldest_first, sort_order::newest_first}) {
        query.order = order;
        if (order == sort_order::newest_first)
            std::ranges::reverse(wanted);
        const auto got = co_await list_all(test, query);
        expect_equal(got.size(), wanted.size(), what + ": runs");
        for (std::size_t i = 0; i < got.size(); ++i)
            expect_record(got[i], wanted[i], what);
    }
}

template <typename Predicate>
std::vector<record> only(const std::vector<record>& runs, Predicate wanted)
{
    std::vector<record> chosen;
    std::ranges::copy_if(runs, std::back_inserter(chosen), wanted);
    return chosen;
}

/// Sixty finished and unfinished runs of three workflows in all states.
awaitable<std::vector<record>> many_runs(fixture& test)
{
    const std::string workflows[] = {"orders", "returns", "orders, old"};
    std::vector<record> runs;
    std::vector<change> batch;
    for (int i = 0; i < 60; ++i) {
        record run = test.make_run(fmt::format("id,{}", i / 3), workflows[i % 3]);
        run.state = static_cast<run_state>(1 + i % 7);
        run.status = (i % 5) - 1;
        // Pairs are created together; ids break the tie.
        run.created_at = beginning + std::chrono::seconds{i / 2};
        batch.push_back(start_of(run));
        runs.push_back(std::move(run));
    }
    co_await test.accept(std::move(batch));
    co_return runs;
}

awaitable<void> filters_choose_runs(fixture& test)
{
    const auto runs = co_await many_runs(test);
    co_await expect_listed(test, {}, runs, "no filter");
    co_await expect_listed(test, {.workflow = "orders"},
                           only(runs, [](const record& r) { return r.workflow == "orders"; }),
                           "one workflow");
    co_await expect_listed(test, {.workflow = "unknown"}, {}, "an unknown workflow");
    co_await expect_listed(
        test, {.foreign_ids = {{"id,4", "id,5", "no such id"}}},
        only(runs,
             [](const record& r) { return r.foreign_id == "id,4" || r.foreign_id == "id,5"; }),
        "foreign ids with commas");
    co_await expect_listed(test, {.foreign_ids = {{"id", "4"}}}, {}, "parts of foreign ids");
    co_await expect_listed(
        test, {.statuses = {{0, -1}}},
        only(runs, [](const record& r) { return r.status == 0 || r.status == -1; }),
        "two statuses");
    for (int state = 1; state <= 7; ++state)
        co_await expect_listed(
            test, {.states = {{static_cast<run_state>(state)}}},
            only(runs,
                 [state](const record& r) { return r.state == static_cast<run_state>(state); }),
            "one state");
    co_await expect_listed(test, {.states = {{run_state::running, run_state::paused}}},
                           only(runs,
                                [](const record& r) {
                                    return r.state == run_state::running ||
                                           r.state == run_state::paused;
                                }),
                           "two states");
    co_await expect_listed(
        test, {.workflow = "orders, old", .statuses = {{1, 2}}, .states = {{run_state::running}}},
        only(runs,
             [](const record& r) {
                 return r.workflow == "orders, old" && (r.status == 1 || r.status == 2) &&
                        r.state == run_state::running;
             }),
        "three filters");
    co_await expect_listed(
        test, {.workflow = "returns", .foreign_ids = {{"id,7"}}},
        only(runs,
             [](const record& r) { return r.workflow == "returns" && r.foreign_id == "id,7"; }),
        "a workflow and a foreign id");
}

awaitable<void> creation_times_choose_runs(fixture& test)
{
    const auto runs = co_await many_runs(test);
    const auto created = [&runs](std::optional<time_point> from, std::optional<time_point> to) {
        return only(runs, [from, to](const record& r) {
            return (!from || r.created_at >= *from) && (!to || r.created_at < *to);
        });
    };
    const std::optional<time_point> times[] = {{},
                                               beginning,
                                               beginning + 7s,
                                               beginning + 7s + 1us,
                                               beginning + 20s,
                                               beginning + 1h,
                                               time_point::min(),
                                               time_point::max()};
    for (const auto& from : times)
        for (const auto& to : times)
            co_await expect_listed(test, {.created_from = from, .created_to = to},
                                   created(from, to), "creation times");
    co_await expect_listed(
        test, {.workflow = "orders", .created_from = beginning + 3s, .created_to = beginning + 9s},
        only(created(beginning + 3s, beginning + 9s),
             [](const record& r) { return r.workflow == "orders"; }),
        "creation times of one workflow");
}

awaitable<void> last_commits_and_errors_choose_runs(fixture& test)
{
    std::vector<record> runs;
    const std::string errors[] = {
        "",     "card declined: 50%", "no route_to host", "", std::string{"a\0b", 3},
        "CARD", "caf\xc3\xa9 closed", "\xfe\xff\x80\x80"};
    for (std::size_t i = 0; i < 16; ++i) {
        auto run = co_await test.started("run-" + std::to_string(i));
        run = next_of(run);
        run.updated_at = beginning + 1h - std::chrono::minutes{i};
        run.last_error = errors[i % 8];
        co_await test.accept_one(step_of(run));
        runs.push_back(std::move(run));
    }
    const auto from = beginning + 1h - 7min;
    const auto to = beginning + 1h - 2min;
    co_await expect_listed(
        test, {.updated_from = from, .updated_to = to},
        only(runs, [&](const record& r) { return r.updated_at >= from && r.updated_at < to; }),
        "last commits");
    for (const bool wanted : {true, false})
        co_await expect_listed(
            test, {.has_error = wanted},
            only(runs, [&](const record& r) { return r.last_error.empty() != wanted; }),
            "runs with or without an error");
    for (const std::string text : {"declined", "CARD", "%", "_", "t_h", "nowhere"})
        co_await expect_listed(
            test, {.error_text = text},
            only(runs,
                 [&](const record& r) { return r.last_error.find(text) != std::string::npos; }),
            "runs whose error has " + text);
    // Half of a character, and bytes that are no text, are found too.
    for (const std::string text : {"\xa9", "\xa9 closed", "\xff\x80"})
        co_await expect_listed(
            test, {.error_text = text},
            only(runs,
                 [&](const record& r) { return r.last_error.find(text) != std::string::npos; }),
            "runs whose error has bytes that are not UTF-8");
    const std::string with_nul{"a\0b", 3};
    co_await expect_listed(test, {.error_text = with_nul},
                           only(runs, [&](const record& r) { return r.last_error == with_nul; }),
                           "an error with NUL");
}

/// The lists of an operator: paused runs, and unfinished runs with an error, of one workflow and of
/// all.
awaitable<void> runs_that_need_an_operator_are_listed(fixture& test)
{
    const std::vector<run_state> unfinished{run_state::initiated, run_state::running,
                                            run_state::paused};
    std::vector<record> runs;
    for (int i = 0; i < 12; ++i) {
        const std::string workflow = i % 2 ? "orders" : "bills";
        auto run = co_await test.started("run-" + std::to_string(i), workflow);
        run = i % 3 ? next_of(run) : finish_of(run);
        if (i % 4 == 1)
            run.state = run_state::paused;
        if (i % 4 < 2)
            run.last_error = "no answer";
        co_await test.accept_one(step_of(run));
        runs.push_back(std::move(run));
    }
    for (const std::string workflow : {"", "orders"}) {
        const auto is_of = [&workflow](const record& run) {
            return workflow.empty() || run.workflow == workflow;
        };
        co_await expect_listed(
            test, {.workflow = workflow, .states = unfinished, .has_error = true},
            only(runs,
                 [&](const record& run) {
                     return is_of(run) && !is_finished(run.state) && !run.last_error.empty();
                 }),
            "failing runs of \"" + workflow + "\"");
        co_await expect_listed(
            test, {.workflow = workflow, .states = std::vector{run_state::paused}},
            only(runs,
                 [&](const record& run) { return is_of(run) && run.state == run_state::paused; }),
            "paused runs of \"" + workflow + "\"");
    }
}

awaitable<void> pages_meet_without_gap_or_overlap(fixture& test)
{
    const auto runs = co_await many_runs(test);
    for (const std::size_t limit : {1, 2, 7, 59, 60, 61, 1000})
        co_await expect_listed(test, {.limit = limit}, runs, fmt::format("pages of {}", limit));
    for (const std::size_t limit : {1, 3, 20})
        co_await expect_listed(test, {.workflow = "orders", .limit = limit},
                               only(runs, [](const record& r) { return r.workflow == "orders"; }),
                               fmt::format("pages of {} of one workflow", limit));
    record_query last{.limit = 60};
    const auto page = co_await test.store().list(last);
    expect(!page.next, "list() returned a next position with the last page");
}

awaitable<void> pages_are_refused_out_of_range(fixture& test)
{
    co_await test.started("only");
    record_query query;
    for (const std::size_t limit : {std::size_t{0}, std::size_t{1001}}) {
        query.limit = limit;
        co_await expect_refused_argument(test.store().list(query), "a limit out of range");
    }
    query.limit = 10;
    query.statuses.emplace(1001);
    co_await expect_refused_argument(test.store().list(query), "a filter of too many values");
}

awaitable<void> an_empty_list_matches_no_run(fixture& test)
{
    co_await many_runs(test);
    using ids = std::vector<std::string>;
    co_await expect_listed(test, {.foreign_ids = ids{}}, {}, "no foreign id");
    co_await expect_listed(test, {.statuses = std::vector<int>{}}, {}, "no status");
    co_await expect_listed(test, {.states = std::vector<run_state>{}}, {}, "no run state");
    co_await expect_listed(test, {.workflow = "orders", .foreign_ids = ids{}}, {},
                           "no foreign id of one workflow");
}

/// Reads page by page and removes the last run of each page before it asks for the next one.
awaitable<void> pages_continue_after_removed_runs(fixture& test)
{
    const auto all = co_await many_runs(test);
    for (const auto order : {sort_order::oldest_first, sort_order::newest_first}) {
        const auto before = co_await list_all(test, {.order = order});
        std::vector<run_id> seen;
        record_query query{.order = order, .limit = 7};
        for (;;) {
            const auto page = co_await test.store().list(query);
            for (const record& run : page.runs)
                seen.push_back(run.id);
            if (!page.next)
                break;
            const auto& last = page.runs.back();
            auto ended = is_finished(last.state) ? last : finish_of(last);
            if (ended.version != last.version)
                co_await test.accept_one(step_of(ended, event_kind::completed));
            co_await test.accept_one(removal{ended.id, ended.version});
            query.after = page.next;
        }
        expect_equal(seen.size(), before.size(), "runs listed while others were removed");
        for (std::size_t i = 0; i < seen.size(); ++i)
            expect_equal(seen[i], before[i].id,
                         fmt::format("run {} of the list after a removal", i));
    }
}

/// Changes every run and starts others while the pages are read. Each initial run is listed once.
awaitable<void> pages_are_stable_while_others_write(fixture& test)
{
    auto runs = co_await many_runs(test);
    for (const auto order : {sort_order::oldest_first, sort_order::newest_first}) {
        std::multiset<run_id> seen;
        record_query query{.order = order, .limit = 7};
        for (int page_number = 0;; ++page_number) {
            const auto page = co_await test.store().list(query);
            for (const record& run : page.runs)
                seen.insert(run.id);
            if (!page.next)
                break;
            query.after = page.next;
            std::vector<change> batch;
            for (record& run : runs) {
                run = next_of(run);
                run.object += "x";
                batch.push_back(step_of(run));
            }
            batch.push_back(start_of(
                test.make_run(fmt::format("new-{}-{}", static_cast<int>(order), page_number))));
            co_await test.accept(std::move(batch));
        }
        for (const record& run : runs)
            expect_equal(seen.count(run.id), 1,
                         fmt::format("times that run {} was listed", to_string(run.id)));
    }
}

awaitable<void> expect_counts(fixture& test, const std::vector<record>& runs, std::string what)
{
    for (const std::string workflow : {"", "orders", "unknown"}) {
        for (const bool unfinished_only : {false, true}) {
            std::map<std::tuple<std::string, int, run_state>, std::uint64_t> wanted;
            for (const record& run : runs)
                if ((workflow.empty() || run.workflow == workflow) &&
                    !(unfinished_only && is_finished(run.state)))
                    ++wanted[{run.workflow, run.status, run.state}];
            const auto counts = co_await test.store().count(workflow, unfinished_only);
            expect_equal(counts.size(), wanted.size(), what + ": status counts");
            for (const status_count& got : counts)
                expect_equal(got.runs, wanted[{got.workflow, got.status, got.state}],
                             fmt::format("{}: runs of \"{}\" in status {}, {}", what, got.workflow,
                                         got.status, to_string(got.state)));
        }
    }
}

awaitable<void> counts_follow_the_runs(fixture& test)
{
    co_await expect_counts(test, {}, "an empty store");
    auto runs = co_await many_runs(test);
    co_await expect_counts(test, runs, "new runs");
    std::vector<change> batch;
    for (std::size_t i = 0; i < runs.size(); ++i) {
        if (is_finished(runs[i].state))
            continue;
        const auto before = runs[i];
        runs[i] = i % 2 ? next_of(runs[i]) : finish_of(runs[i]);
        runs[i].status = static_cast<int>(i % 3);
        batch.push_back(step_of(runs[i]));
        batch.push_back(step_of(next_of(before))); // refused: the version is taken
    }
    co_await test.apply(std::move(batch));
    co_await expect_counts(test, runs, "runs that moved");
}

} // namespace

std::span<const check_entry> list_checks()
{
    static constexpr std::array<check_entry, 10> checks{{
        {"an_empty_list_matches_no_run", an_empty_list_matches_no_run},
        {"pages_continue_after_removed_runs", pages_continue_after_removed_runs, 3},
        {"filters_choose_runs", filters_choose_runs, 3},
        {"creation_times_choose_runs", creation_times_choose_runs},
        {"last_commits_and_errors_choose_runs", last_commits_and_errors_choose_runs},
        {"runs_that_need_an_operator_are_listed", runs_that_need_an_operator_are_listed},
        {"pages_meet_without_gap_or_overlap", pages_meet_without_gap_or_overlap},
        {"pages_are_refused_out_of_range", pages_are_refused_out_of_range},
        {"pages_are_stable_while_others_write", pages_are_stable_while_others_write},
        {"counts_follow_the_runs", counts_follow_the_runs, 3},
    }};
    return checks;
}

} // namespace pawl::testing
