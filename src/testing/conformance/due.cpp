#include "testing/conformance/fixture.hpp"

#include <algorithm>
#include <array>

namespace pawl::testing {

namespace {

using namespace std::chrono_literals;

due_position position_of(const record& run)
{
    return {*run.wake_at, run.id};
}

/// Starts runs in the shard that are due at the given times after the beginning.
awaitable<std::vector<record>> sleeping(fixture& test, std::uint32_t shard,
                                        std::vector<duration> times)
{
    std::vector<record> runs;
    std::vector<change> batch;
    for (const auto time : times) {
        record& run = runs.emplace_back(test.make_run(test.foreign_id_in(shard)));
        run.wake_at = beginning + time;
        batch.push_back(start_of(run));
    }
    co_await test.accept(std::move(batch));
    std::ranges::sort(runs, {}, position_of);
    co_return runs;
}

void expect_page(const due_page& actual, std::span<const record> expected,
                 std::optional<due_position> next, std::string_view subject)
{
    expect_equal(actual.runs.size(), expected.size(), fmt::format("{}: due runs", subject));
    for (std::size_t i = 0; i < expected.size(); ++i)
        expect_record(actual.runs[i], expected[i], subject);
    expect_equal(actual.next, next, fmt::format("{}: due_page::next", subject));
}

awaitable<void> due_runs_come_by_time_and_id(fixture& test)
{
    const auto runs = co_await sleeping(test, 0, {5s, 3s, 9s, 3s, 1s, 7s, 3s, 5s});
    const auto all = co_await test.store().due(0, {}, beginning + 10s, 100);
    expect_page(all, runs, {}, "all runs");
}

awaitable<void> only_runs_whose_time_has_come_are_due(fixture& test)
{
    const auto runs = co_await sleeping(test, 0, {1s, 2s, 3s, 4s});
    const std::span all{runs};
    auto page = co_await test.store().due(0, {}, beginning + 2s, 100);
    expect_page(page, all.first(2), position_of(runs[2]), "until the time of the second run");
    page = co_await test.store().due(0, {}, beginning + 2s - 1us, 100);
    expect_page(page, all.first(1), position_of(runs[1]), "until just before the second");
    page = co_await test.store().due(0, {}, beginning, 100);
    expect_page(page, {}, position_of(runs[0]), "before the first");
    page = co_await test.store().due(0, {}, time_point::max(), 100);
    expect_page(page, all, {}, "until the end of time");
}

awaitable<void> due_pages_meet_without_gap_or_overlap(fixture& test)
{
    std::vector<duration> times(25, duration{3s});
    times.insert(times.end(), {1s, 1s, 4s, 5s, 60s});
    const auto runs = co_await sleeping(test, 0, std::move(times));
    const std::span due_ones = std::span{runs}.first(runs.size() - 1);
    for (const std::size_t limit : {1, 2, 7, 25, 28, 29, 30, 100}) {
        std::vector<record> collected;
        due_position from;
        for (int pages = 0;; ++pages) {
            expect(pages < 100, "due() returned more than 100 pages");
            const auto page = co_await test.store().due(0, from, beginning + 10s, limit);
            expect(page.runs.size() <= limit,
                   fmt::format("due() returned {} runs, limit {}", page.runs.size(), limit));
            collected.insert(collected.end(), page.runs.begin(), page.runs.end());
            expect(page.next.has_value(),
                   "due_page::next is empty, but a later run is not due yet");
            if (page.next->at > beginning + 10s)
                break;
            expect(!page.runs.empty(), "due() returned an empty page before the last due run");
            from = *page.next;
        }
        due_page whole{.runs = std::move(collected), .next = {}};
        expect_page(whole, due_ones, {}, fmt::format("pages of {}", limit));
    }
}

awaitable<void> a_due_page_begins_at_its_position(fixture& test)
{
    const auto runs = co_await sleeping(test, 0, {1s, 2s, 2s, 2s, 3s});
    const std::span all{runs};
    auto page = co_await test.store().due(0, position_of(runs[2]), beginning + 10s, 2);
    expect_page(page, all.subspan(2, 2), position_of(runs[4]), "from a run, inclusive");
    page = co_await test.store().due(0, {beginning + 2s, {}}, beginning + 10s, 100);
    expect_page(page, all.subspan(1), {}, "from a time");
    page = co_await test.store().due(0, {beginning + 2s + 1us, {}}, beginning + 10s, 100);
    expect_page(page, all.subspan(4), {}, "from between two times");
    page = co_await test.store().due(0, {beginning + 4s, {}}, beginning + 10s, 100);
    expect_page(page, {}, {}, "from after the last");
    page = co_await test.store().due(0, {}, beginning + 10s, 0);
    expect_page(page, {}, position_of(runs[0]), "limit 0");
}

awaitable<void> each_shard_has_its_own_due_runs(fixture& test)
{
    const auto zero = co_await sleeping(test, 0, {2s, 1s});
    const auto two = co_await sleeping(test, 2, {1s, 3s, 2s});
    auto page = co_await test.store().due(0, {}, beginning + 10s, 100);
    expect_page(page, zero, {}, "shard 0");
    page = co_await test.store().due(1, {}, beginning + 10s, 100);
    expect_page(page, {}, {}, "shard 1");
    page = co_await test.store().due(2, {}, beginning + 10s, 100);
    expect_page(page, two, {}, "shard 2");
}

awaitable<void> transitions_move_the_due_time(fixture& test)
{
    auto run = test.make_run("moving");
    run.wake_at.reset();
    co_await test.accept_one(start_of(run));
    auto page = co_await test.store().due(0, {}, time_point::max(), 10);
    expect_page(page, {}, {}, "a run that waits for nothing");
    const std::optional<time_point> times[] = {
        beginning + 5s,    beginning + 5s,    beginning + 2s,      beginning + 9s, {}, {},
        time_point::max(), time_point::min(), beginning - 100'000h};
    for (const auto& time : times) {
        run = next_of(run);
        run.wake_at = time;
        co_await test.accept_one(step_of(run));
        page = co_await test.store().due(0, {}, time_point::max(), 10);
        if (time)
            expect_page(page, {&run, 1}, {}, "after a transition with a due time");
        else
            expect_page(page, {}, {}, "after a transition without a due time");
    }
    run = finish_of(run);
    co_await test.accept_one(step_of(run));
    page = co_await test.store().due(0, {}, time_point::max(), 10);
    expect_page(page, {}, {}, "a finished run");
}

awaitable<void> refused_changes_make_nothing_due(fixture& test)
{
    auto run = test.make_run("steady");
    run.wake_at = beginning + 5s;
    co_await test.accept_one(start_of(run));
    auto stale = next_of(next_of(run));
    stale.wake_at = beginning;
    auto second = test.make_run("steady");
    second.wake_at = beginning;
    const auto results = co_await test.apply({step_of(stale), start_of(second)});
    expect_statuses(results, {apply_status::conflict, apply_status::already_running},
                    "two refusals");
    const auto page = co_await test.store().due(0, {}, time_point::max(), 10);
    expect_page(page, {&run, 1}, {}, "after refused changes");
}

} // namespace

std::span<const check_entry> due_checks()
{
    static constexpr std::array<check_entry, 7> checks{{
        {"due_runs_come_by_time_and_id", due_runs_come_by_time_and_id},
        {"only_runs_whose_time_has_come_are_due", only_runs_whose_time_has_come_are_due},
        {"due_pages_meet_without_gap_or_overlap", due_pages_meet_without_gap_or_overlap},
        {"a_due_page_begins_at_its_position", a_due_page_begins_at_its_position},
        {"each_shard_has_its_own_due_runs", each_shard_has_its_own_due_runs, 3},
        {"transitions_move_the_due_time", transitions_move_the_due_time},
        {"refused_changes_make_nothing_due", refused_changes_make_nothing_due},
    }};
    return checks;
}

} // namespace pawl::testing
