#include "testing/conformance/fixture.hpp"

#include <algorithm>
#include <array>
#include <limits>

namespace pawl::testing {

namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;
using comparison = attribute_comparison;

/// Expects these runs, which are given in the order of their creation, in both orders and in pages
/// of three.
awaitable<void> expect_query_finds(fixture& test, record_query query, std::vector<run_id> wanted,
                                   std::string subject)
{
    query.workflow = "orders";
    query.limit = 3;
    for (const auto order : {sort_order::oldest_first, sort_order::newest_first}) {
        query.order = order;
        query.after = {};
        if (order == sort_order::newest_first)
            std::ranges::reverse(wanted);
        std::vector<run_id> found;
        do {
            const auto page = co_await test.store().list(query);
            for (const record& run : page.runs)
                found.push_back(run.id);
            query.after = page.next;
        } while (query.after && found.size() <= wanted.size());
        expect_equal(found, wanted, subject);
    }
}

awaitable<void> expect_found(fixture& test, std::vector<attribute_filter> filters,
                             std::vector<run_id> wanted, std::string subject)
{
    record_query query;
    query.attributes = std::move(filters);
    co_await expect_query_finds(test, std::move(query), std::move(wanted), std::move(subject));
}

awaitable<record> started_with(fixture& test, std::string foreign_id,
                               std::vector<stored_attribute> attributes)
{
    auto run = test.make_run(std::move(foreign_id));
    auto change = start_of(run);
    change.attributes.values = std::move(attributes);
    co_await test.accept_one(std::move(change));
    co_return run;
}

transition with(transition change, attribute_changes attributes)
{
    change.attributes = std::move(attributes);
    return change;
}

/// Twelve runs of three customers.
awaitable<std::vector<run_id>> runs_of_customers(fixture& test)
{
    std::vector<run_id> runs;
    std::vector<change> batch;
    for (int i = 0; i < 12; ++i) {
        auto run = test.make_run("order-" + std::to_string(i));
        run.status = i % 4;
        auto change = start_of(run);
        change.attributes.values = {{"customer", "c-" + std::to_string(i % 3)},
                                    {"cents", 100 * i},
                                    {"paid", i % 2 == 1},
                                    {"placed", beginning + 1h * i}};
        if (i % 6 == 0)
            change.attributes.values[2].value.reset();
        batch.push_back(std::move(change));
        runs.push_back(run.id);
    }
    auto other = test.make_run("another", "returns");
    auto change = start_of(other);
    change.attributes.values = {{"customer", "c-1"}, {"cents", 500}};
    batch.push_back(std::move(change));
    co_await test.accept(std::move(batch));
    co_return runs;
}

awaitable<void> attributes_choose_runs(fixture& test)
{
    const auto runs = co_await runs_of_customers(test);
    const auto only = [&runs](std::vector<std::size_t> indexes) {
        std::vector<run_id> chosen;
        for (const auto i : indexes)
            chosen.push_back(runs[i]);
        return chosen;
    };
    co_await expect_found(test, {{"customer", "c-1"}}, only({1, 4, 7, 10}), "a text");
    co_await expect_found(test, {{"customer", "c-"}}, {}, "a part of a text");
    co_await expect_found(test, {{"customer", "c-3"}}, {}, "a text that no run has");
    co_await expect_found(test, {{"client", "c-1"}}, {}, "an unknown attribute");
    co_await expect_found(test, {{"cents", 500}}, only({5}), "an integer");
    co_await expect_found(test, {{"cents", "500"}}, {}, "a text instead of an integer");
    co_await expect_found(test, {{"paid", false}}, only({2, 4, 8, 10}), "false");
    co_await expect_found(test, {{"paid", true}}, only({1, 3, 5, 7, 9, 11}), "true");
    co_await expect_found(test, {{"placed", beginning + 3h}}, only({3}), "a time");
    co_await expect_found(test, {{"cents", 300, comparison::less}}, only({0, 1, 2}), "less");
    co_await expect_found(test, {{"cents", 300, comparison::less_or_equal}}, only({0, 1, 2, 3}),
                          "less or equal");
    co_await expect_found(test, {{"cents", 900, comparison::greater}}, only({10, 11}), "greater");
    co_await expect_found(test, {{"cents", 900, comparison::greater_or_equal}}, only({9, 10, 11}),
                          "greater or equal");
    co_await expect_found(test,
                          {{"placed", beginning + 2h, comparison::greater_or_equal},
                           {"placed", beginning + 5h, comparison::less}},
                          only({2, 3, 4}), "a range of times");
    co_await expect_found(
        test, {{"customer", "c-1"}, {"paid", true}, {"cents", 200, comparison::greater}}, only({7}),
        "three attributes");
    co_await expect_found(test, {{"cents", 200, comparison::greater}, {"customer", "c-2"}},
                          only({5, 8, 11}), "a range before an equality");
    co_await expect_found(test, {{"customer", "c-1"}, {"customer", "c-2"}}, {},
                          "two values of one attribute");
    co_await expect_found(test,
                          {{"cents", 300, comparison::less}, {"cents", 300, comparison::greater}},
                          {}, "an empty range");
}

awaitable<void> attributes_combine_with_other_filters(fixture& test)
{
    const auto runs = co_await runs_of_customers(test);
    record_query query;
    query.attributes = {{"customer", "c-1"}};
    query.statuses = {{0, 3}};
    co_await expect_query_finds(test, query, {runs[4], runs[7]}, "a customer and statuses");
    query.statuses.reset();
    query.created_from = beginning + 5s;
    query.created_to = beginning + 11s;
    co_await expect_query_finds(test, query, {runs[4], runs[7]},
                                "a customer and times of creation");
    query.foreign_ids = {{"order-4", "order-5", "order-10"}};
    co_await expect_query_finds(test, query, {runs[4]}, "a customer, times and foreign ids");
    query.created_from.reset();
    query.created_to.reset();
    query.attributes.push_back({"cents", 500, comparison::greater_or_equal});
    co_await expect_query_finds(test, query, {runs[10]}, "a customer, a range and foreign ids");
}

awaitable<void> attributes_follow_transitions(fixture& test)
{
    auto run = co_await started_with(test, "moves", {{"customer", "c-1"}, {"cents", 1}});
    run = next_of(run);
    co_await test.accept_one(with(step_of(run), {.values = {{"cents", 2}}}));
    co_await expect_found(test, {{"customer", "c-1"}}, {run.id}, "an attribute that stays");
    co_await expect_found(test, {{"cents", 1}}, {}, "the value before");
    co_await expect_found(test, {{"cents", 2}}, {run.id}, "the new value");
    run = next_of(run);
    co_await test.accept_one(with(step_of(run), {.values = {{"cents", {}}, {"unknown", {}}}}));
    co_await expect_found(test, {{"cents", 2}}, {}, "a removed attribute");
    run = next_of(run);
    co_await test.accept_one(
        with(step_of(run), {.replaces_all = true, .values = {{"cents", 3}, {"city", "Ulm"}}}));
    co_await expect_found(test, {{"customer", "c-1"}}, {}, "an attribute that was replaced");
    co_await expect_found(test, {{"cents", 3}, {"city", "Ulm"}}, {run.id}, "new attributes");
    run = next_of(run);
    co_await test.accept_one(step_of(run));
    co_await expect_found(test, {{"cents", 3}}, {run.id}, "after a transition without changes");
    run = next_of(run);
    co_await test.accept_one(with(step_of(run), {.replaces_all = true}));
    co_await expect_found(test, {{"city", "Ulm"}}, {}, "after all were removed");
}

awaitable<void> rejected_changes_leave_attributes(fixture& test)
{
    auto run = co_await started_with(test, "stays", {{"customer", "c-1"}});
    const auto late = with(step_of(next_of(next_of(run))), {.values = {{"customer", "c-2"}}});
    const auto rejected = co_await test.apply_one(late);
    expect_status(rejected, apply_status::conflict, "a transition of another version");
    auto second = start_of(test.make_run("stays"));
    second.attributes.values = {{"customer", "c-2"}};
    const auto running = co_await test.apply_one(second);
    expect_status(running, apply_status::already_running, "a second run");
    co_await expect_found(test, {{"customer", "c-1"}}, {run.id}, "the value that is stored");
    co_await expect_found(test, {{"customer", "c-2"}}, {}, "the rejected value");
}

awaitable<void> changes_of_a_batch_change_attributes_in_order(fixture& test)
{
    const auto first = test.make_run("in order");
    const auto second = next_of(first);
    const auto third = finish_of(second);
    std::vector<change> batch;
    batch.push_back(with(start_of(first), {.values = {{"city", "Ulm"}, {"cents", 1}}}));
    batch.push_back(with(step_of(second), {.replaces_all = true, .values = {{"cents", 2}}}));
    batch.push_back(
        with(step_of(third, event_kind::completed), {.values = {{"cents", 3}, {"zip", "89073"}}}));
    co_await test.accept(std::move(batch));
    co_await expect_found(test, {{"cents", 3}, {"zip", "89073"}}, {first.id}, "the last values");
    co_await expect_found(test, {{"city", "Ulm"}}, {}, "a value that was replaced");

    batch.clear();
    batch.push_back(with(step_of(next_of(third)), {.values = {{"city", "Ulm"}}}));
    batch.push_back(removal{third.id, third.version + 1});
    batch.push_back(with(start_of(test.make_run("in order")), {.values = {{"cents", 4}}}));
    const auto next = std::get<transition>(batch.back()).next.id;
    co_await test.accept(std::move(batch));
    co_await expect_found(test, {{"city", "Ulm"}}, {}, "a value of a removed run");
    co_await expect_found(test, {{"cents", 0, comparison::greater}}, {next}, "the next run");
}

awaitable<void> removed_runs_leave_no_attributes(fixture& test)
{
    auto run = co_await started_with(test, "gone", {{"customer", "c-1"}});
    const auto kept = co_await started_with(test, "kept", {{"customer", "c-1"}});
    run = finish_of(run);
    co_await test.accept_one(step_of(run, event_kind::completed));
    co_await expect_found(test, {{"customer", "c-1"}}, {run.id, kept.id}, "a finished run");
    co_await test.accept_one(removal{run.id, run.version});
    co_await expect_found(test, {{"customer", "c-1"}}, {kept.id}, "after the removal");
    run.version = 1;
    run.state = run_state::initiated;
    co_await test.accept_one(start_of(run));
    co_await expect_found(test, {{"customer", "c-1"}}, {kept.id}, "another run with the id");
}

awaitable<void> attributes_are_updated_without_a_version(fixture& test)
{
    auto run = co_await started_with(test, "updated", {{"old", 1}, {"cents", 1}});
    const auto before = co_await test.stored(run.id);
    const attribute_changes wanted{.replaces_all = true,
                                   .values = {{"cents", 1}, {"customer", "c-1"}}};
    const auto unknown = co_await test.apply_one(attribute_update{{}, 1, wanted});
    expect_status(unknown, apply_status::not_found, "an update of an unknown run");
    const auto early = co_await test.apply_one(attribute_update{run.id, 2, wanted});
    expect_status(early, apply_status::conflict, "an update of another version");
    co_await expect_found(test, {{"customer", "c-1"}}, {}, "after rejected updates");

    for (int times = 0; times < 2; ++times) {
        co_await test.accept_one(attribute_update{run.id, 1, wanted});
        co_await expect_found(test, {{"customer", "c-1"}, {"cents", 1}}, {run.id}, "an update");
        co_await expect_found(test, {{"old", 1}}, {}, "an attribute that was replaced");
    }
    const auto after = co_await test.stored(run.id);
    expect_record(after, before, "an updated run");
    const auto events = co_await test.store().history(run.id, 0, 10);
    expect_equal(events.size(), 1, "events of an updated run");

    run = finish_of(run);
    std::vector<change> batch;
    batch.push_back(attribute_update{run.id, 1, {.values = {{"cents", 2}}}});
    batch.push_back(with(step_of(run, event_kind::completed), {.values = {{"customer", "c-2"}}}));
    batch.push_back(attribute_update{run.id, 1, {.values = {{"cents", 4}}}});
    batch.push_back(attribute_update{run.id, 2, {.values = {{"city", "Ulm"}}}});
    const auto results = co_await test.apply(std::move(batch));
    using enum apply_status;
    expect_statuses(results, {accepted, accepted, conflict, accepted}, "updates in a batch");
    co_await expect_found(test, {{"cents", 2}, {"customer", "c-2"}, {"city", "Ulm"}}, {run.id},
                          "a finished run");
}

awaitable<void> every_value_of_an_attribute_is_found(fixture& test)
{
    using integers = std::numeric_limits<std::int64_t>;
    const std::vector<attribute_value> values{"",
                                              "\0"s,
                                              "a\0b"s,
                                              "a\0"s,
                                              "a",
                                              "A",
                                              "not UTF-8: \xff\xfe",
                                              std::string(1024, 'n'),
                                              std::string(1024, '\xff'),
                                              integers::min(),
                                              -1,
                                              0,
                                              1,
                                              256,
                                              integers::max(),
                                              false,
                                              true,
                                              time_point::min(),
                                              time_point{},
                                              beginning,
                                              time_point::max()};
    std::vector<run_id> runs;
    for (const auto& value : values) {
        const auto run =
            co_await started_with(test, "run-" + std::to_string(runs.size()), {{"value", value}});
        runs.push_back(run.id);
    }
    for (std::size_t i = 0; i < values.size(); ++i)
        co_await expect_found(test, {{"value", values[i]}}, {runs[i]},
                              "value " + std::to_string(i));
    co_await expect_found(test, {{"value", integers::min(), comparison::greater_or_equal}},
                          {runs.begin() + 9, runs.begin() + 15}, "all integers");
    co_await expect_found(test, {{"value", 0, comparison::less}}, {runs[9], runs[10]},
                          "negative integers");
    co_await expect_found(test, {{"value", time_point::max(), comparison::less}},
                          {runs.begin() + 17, runs.begin() + 20}, "all times but the last");
    auto named = test.make_run("named");
    const std::string name(1024, 'n');
    co_await test.accept_one(with(start_of(named), {.values = {{name, name}}}));
    co_await expect_found(test, {{name, name}}, {named.id}, "a name of 1,024 bytes");
}

awaitable<void> attributes_are_refused_out_of_range(fixture& test)
{
    const auto run = co_await test.started("plain");
    auto& store = test.store();
    record_query query;
    query.attributes = {{"customer", "c-1"}};
    co_await expect_refused_argument(store.list(query), "attributes without a workflow");
    query.workflow = "orders";
    query.attributes = {{"customer", "c-1", comparison::less}};
    co_await expect_refused_argument(store.list(query), "the order of texts");
    query.attributes = {{"paid", true, comparison::greater_or_equal}};
    co_await expect_refused_argument(store.list(query), "the order of booleans");
    query.attributes.assign(17, {"customer", "c-1"});
    co_await expect_refused_argument(store.list(query), "17 conditions");
    const auto refuse = [&](attribute_changes changes, std::string argument) -> awaitable<void> {
        const std::vector<change> batch{with(step_of(next_of(run)), std::move(changes))};
        co_await expect_refused_argument(store.apply(batch), std::move(argument));
    };
    co_await refuse({.values = {{"", 1}}}, "an empty name");
    co_await refuse({.values = {{"cents", 1}, {"cents", 2}}}, "two values of one name");
}

} // namespace

std::span<const check_entry> attribute_checks()
{
    static constexpr auto checks = std::to_array<check_entry>({
        {"attributes_choose_runs", attributes_choose_runs, 3},
        {"attributes_combine_with_other_filters", attributes_combine_with_other_filters},
        {"attributes_follow_transitions", attributes_follow_transitions},
        {"rejected_changes_leave_attributes", rejected_changes_leave_attributes},
        {"changes_of_a_batch_change_attributes_in_order",
         changes_of_a_batch_change_attributes_in_order},
        {"removed_runs_leave_no_attributes", removed_runs_leave_no_attributes},
        {"attributes_are_updated_without_a_version", attributes_are_updated_without_a_version},
        {"every_value_of_an_attribute_is_found", every_value_of_an_attribute_is_found},
        {"attributes_are_refused_out_of_range", attributes_are_refused_out_of_range},
    });
    return checks;
}

} // namespace pawl::testing
