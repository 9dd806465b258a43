#include "engine/operations/run_reader.hpp"

#include "engine/api/engine_core.hpp"
#include "engine/run/run_attributes.hpp"
#include "stores/common/store_semantics.hpp"

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

namespace pawl::engine_detail {

namespace asio = boost::asio;

record_store& run_reader::store() const
{
    return core_.shared_.store;
}

store_inventory run_reader::inventory() const
{
    return store_inventory{core_.shared_, core_.options_.client_only};
}

asio::awaitable<std::vector<workflow_overview>> run_reader::overview(overview_options options)
{
    if (options.count_limit < 1 || options.count_limit > core::max_page)
        throw error(errc::invalid_argument,
                    "overview_options::count_limit is " + std::to_string(options.count_limit) +
                        "; it must be from 1 to " + std::to_string(core::max_page));
    const auto known = inventory();
    auto names = co_await known.workflows();
    if (!options.workflow.empty())
        std::erase_if(names, [&](const auto& name) { return name != options.workflow; });
    const auto driven = co_await known.driven(names);
    std::vector<workflow_overview> found;
    for (const auto& name : names) {
        auto entry = co_await overview_of(name, options);
        entry.has_engine = driven.contains(name);
        found.push_back(std::move(entry));
    }
    co_return found;
}

asio::awaitable<workflow_overview> run_reader::overview_of(std::string workflow,
                                                           overview_options options)
{
    workflow_overview entry;
    entry.workflow = workflow;
    status_labels labels;
    co_await inventory().add_labels({workflow}, labels);
    const auto counts = co_await store().count(workflow, false);
    for (const auto& count : counts) {
        entry.counts.push_back(
            {count.status, labels.label(workflow, count.status), count.state, count.runs});
        (is_finished(count.state) ? entry.finished : entry.unfinished) += count.runs;
        if (count.state == run_state::paused)
            entry.paused += count.runs;
    }
    std::ranges::sort(entry.counts, {}, [](const labeled_count& count) {
        return std::tuple{count.status, count.state};
    });
    if (entry.unfinished > 0) {
        entry.failing = co_await count_attention(workflow, attention_kind::failing, options);
        entry.overdue = co_await count_attention(workflow, attention_kind::overdue, options);
    }
    co_return entry;
}

asio::awaitable<capped_count> run_reader::count_attention(std::string workflow,
                                                          attention_kind attention,
                                                          overview_options options)
{
    run_filter filter;
    filter.workflow = std::move(workflow);
    filter.attention = attention;
    filter.overdue_by = options.overdue_by;
    filter.limit = options.count_limit;
    status_labels labels;
    const auto found = co_await find_runs(std::move(filter), labels);
    co_return capped_count{found.runs.size(), !found.complete};
}

asio::awaitable<bool> run_reader::is_known(std::string workflow)
{
    if (core_.shared_.workflows.contains(workflow))
        co_return true;
    const auto names = co_await inventory().workflows();
    co_return std::ranges::binary_search(names, workflow);
}

asio::awaitable<list_search> run_reader::resolve(run_filter filter, time_point now,
                                                 status_labels& labels)
{
    check_filter(filter);
    list_search search;
    search.now = now;
    if (filter.statuses) {
        co_await inventory().add_labels({filter.workflow}, labels);
        search.statuses.emplace();
        for (const auto& text : *filter.statuses)
            search.statuses->push_back(labels.number(filter.workflow, text));
    }
    if (filter.attention == attention_kind::overdue) {
        const bool known = filter.workflow.empty() || co_await is_known(filter.workflow);
        if (known) {
            const auto shards = co_await inventory().shards_of(filter.workflow);
            search.first_shard = shards.first;
            search.end_shard = shards.second;
        }
    }
    if (!filter.attributes.empty()) {
        record_query query;
        query.workflow = filter.workflow;
        query.attributes = filter.attributes;
        if (const auto own = core_.shared_.workflows.find(filter.workflow);
            own != core_.shared_.workflows.end())
            check_attribute_filters(*own->second.impl, query);
    }
    search.filter = std::move(filter);
    co_return search;
}

asio::awaitable<found_runs> run_reader::find_runs(run_filter filter, status_labels& labels)
{
    auto search = co_await resolve(std::move(filter), core_.shared_.clock.now(), labels);
    auto found = co_await list_runs(store(), std::move(search));
    co_return found;
}

asio::awaitable<run_page> run_reader::list(run_filter filter)
{
    status_labels labels;
    auto found = co_await find_runs(std::move(filter), labels);
    run_page page;
    page.next = std::move(found.next);
    page.searched_to = found.searched_to;
    page.examined = found.examined;
    page.complete = found.complete;
    page.runs = co_await views_of(std::move(found.runs));
    co_return page;
}

asio::awaitable<std::vector<run_view>> run_reader::views_of(std::vector<record> runs)
{
    std::set<std::string> names;
    for (const auto& run : runs)
        names.insert(run.workflow);
    status_labels labels;
    co_await inventory().add_labels(names, labels);
    const auto driven = co_await inventory().driven({names.begin(), names.end()});
    std::vector<run_view> views;
    for (auto& run : runs) {
        auto label = labels.label(run.workflow, run.status);
        const bool has_engine = driven.contains(run.workflow);
        views.push_back({std::move(run), std::move(label), has_engine});
    }
    co_return views;
}

asio::awaitable<std::optional<run_view>> run_reader::read(run_id run)
{
    auto found = co_await store().find(run);
    if (!found)
        co_return std::nullopt;
    status_labels labels;
    co_await inventory().add_labels({found->workflow}, labels);
    const auto driven = co_await inventory().driven({found->workflow});
    run_view view;
    view.status_label = labels.label(found->workflow, found->status);
    view.has_engine = driven.contains(found->workflow);
    view.stored = std::move(*found);
    co_return view;
}

} // namespace pawl::engine_detail
