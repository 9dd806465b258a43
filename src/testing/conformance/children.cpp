#include "testing/conformance/fixture.hpp"

#include <algorithm>

namespace pawl::testing {

namespace {

using namespace std::chrono_literals;

record child_of(fixture& test, const record& parent, std::string foreign_id)
{
    auto run = test.make_run(std::move(foreign_id), "parcels");
    run.parent = parent_link{parent.id, "ended", parent_cancel::cancel, false};
    return run;
}

std::string counts_text(const child_counts& counts)
{
    std::string text;
    for (const auto state : {run_state::initiated, run_state::running, run_state::paused,
                             run_state::cancelled, run_state::completed, run_state::data_deleted})
        if (counts.of(state) > 0)
            text += fmt::format("{} {} ", counts.of(state), to_string(state));
    return text;
}

awaitable<void> expect_children(fixture& test, const record& parent, std::string expected,
                                std::string_view subject)
{
    const auto counts = co_await test.store().count_children(parent.id);
    expect_equal(counts_text(counts), expected, subject);
}

awaitable<void> children_keep_their_parent(fixture& test)
{
    const auto parent = co_await test.started("order");
    auto child = child_of(test, parent, "parcel");
    co_await test.accept_one(start_of(child));
    expect_record(co_await test.stored(child.id), child, "a child");
    child = finish_of(child);
    child.parent->is_notified = true;
    co_await test.accept_one(step_of(child, event_kind::completed));
    expect_record(co_await test.stored(child.id), child, "a finished child");
    child = next_of(child);
    child.state = run_state::completed;
    child.cancels_children = true;
    co_await test.accept_one(step_of(child, event_kind::parent_notified));
    expect_record(co_await test.stored(child.id), child, "a child whose parent was notified");
}

awaitable<void> children_are_counted_by_run_state(fixture& test)
{
    const auto parent = co_await test.started("order");
    const auto other = co_await test.started("other order");
    co_await expect_children(test, parent, "", "children of a run without children");
    std::vector<change> starts;
    std::vector<record> children;
    for (int i = 0; i < 4; ++i) {
        children.push_back(child_of(test, parent, fmt::format("parcel-{}", i)));
        starts.push_back(start_of(children.back()));
    }
    starts.push_back(start_of(child_of(test, other, "other parcel")));
    starts.push_back(start_of(child_of(test, parent, "parcel-0"))); // rejected
    co_await test.apply(starts);
    co_await expect_children(test, parent, "4 Initiated ", "children that were started");

    auto running = next_of(children[0]);
    auto ended = finish_of(children[1]);
    auto cancelled = finish_of(children[2], run_state::cancelled);
    co_await test.accept({step_of(running), step_of(ended, event_kind::completed),
                          step_of(cancelled, event_kind::cancelled)});
    running = next_of(running);
    co_await test.accept_one(step_of(running));
    co_await expect_children(test, parent, "1 Initiated 1 Running 1 Cancelled 1 Completed ",
                             "children that have changed");
    co_await expect_children(test, other, "1 Initiated ", "children of another run");

    auto twice = next_of(running);
    auto after = finish_of(twice);
    co_await test.accept({step_of(twice), step_of(after, event_kind::completed)});
    co_await expect_children(test, parent, "1 Initiated 1 Cancelled 2 Completed ",
                             "children that have changed twice in a batch");
}

awaitable<void> removed_children_are_not_counted(fixture& test)
{
    auto parent = co_await test.started("order");
    std::vector<record> children;
    for (int i = 0; i < 2; ++i) {
        const auto child = child_of(test, parent, fmt::format("parcel-{}", i));
        co_await test.accept_one(start_of(child));
        children.push_back(finish_of(child));
        co_await test.accept_one(step_of(children.back(), event_kind::completed));
    }
    co_await test.accept_one(removal{children[0].id, children[0].version, 0});
    co_await expect_children(test, parent, "1 Completed ", "children without the removed one");
    parent = finish_of(parent);
    co_await test.accept_one(step_of(parent, event_kind::completed));
    co_await test.accept_one(removal{parent.id, parent.version, 0});
    co_await expect_children(test, parent, "1 Completed ", "children of a removed run");
    co_await test.accept_one(removal{children[1].id, children[1].version, 0});
    co_await expect_children(test, parent, "", "children when all are removed");
}

awaitable<void> children_are_listed_in_pages(fixture& test)
{
    const auto parent = co_await test.started("order");
    const auto other = co_await test.started("other order");
    std::vector<run_id> expected;
    for (int i = 0; i < 7; ++i) {
        const auto child = child_of(test, i % 3 == 2 ? other : parent, fmt::format("parcel-{}", i));
        co_await test.accept_one(start_of(child));
        if (i % 3 != 2)
            expected.push_back(child.id);
    }
    for (const auto order : {sort_order::oldest_first, sort_order::newest_first}) {
        record_query query;
        query.parent = parent.id;
        query.order = order;
        query.limit = 2;
        std::vector<run_id> found;
        do {
            const auto page = co_await test.store().list(query);
            for (const auto& child : page.runs)
                found.push_back(child.id);
            query.after = page.next;
        } while (query.after);
        expect(found == expected, "a listing of children has the children of its parent");
        std::ranges::reverse(expected);
    }
    record_query query;
    query.parent = parent.id;
    query.workflow = "orders";
    const auto none = co_await test.store().list(query);
    expect_equal(none.runs.size(), 0, "children of another workflow");
    query.workflow = "parcels";
    query.states = {run_state::initiated};
    const auto page = co_await test.store().list(query);
    expect_equal(page.runs.size(), expected.size(), "unfinished children of a workflow");
}

} // namespace

std::span<const check_entry> child_checks()
{
    static const check_entry checks[] = {
        {"children_keep_their_parent", children_keep_their_parent},
        {"children_are_counted_by_run_state", children_are_counted_by_run_state, 4},
        {"removed_children_are_not_counted", removed_children_are_not_counted, 4},
        {"children_are_listed_in_pages", children_are_listed_in_pages, 4},
    };
    return checks;
}

} // namespace pawl::testing
