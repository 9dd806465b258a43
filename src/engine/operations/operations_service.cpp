#include "engine/operations/operations_service.hpp"

#include "core/reserved_names.hpp"
#include "core/text.hpp"
#include "engine/api/engine_core.hpp"
#include "engine/api/launch.hpp"
#include "engine/run/run_attributes.hpp"
#include "pawl/dead_letter.hpp"
#include "stores/common/store_semantics.hpp"
#include "streams/workflow_source.hpp"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

namespace pawl::engine_detail {

namespace asio = boost::asio;

namespace {

constexpr std::size_t schedule_page = 256;

/// Dead letters of a topic are counted up to this number.
constexpr std::size_t letters_counted = 1'000;

/// Letters that are read at once, because their payloads may be large.
constexpr std::size_t letters_read = 25;

/// The size of the letters of a page after which it ends.
constexpr std::size_t letter_bytes = 4 * 1024 * 1024;

/// What the topics of dead_letter_topic() and its siblings begin with.
constexpr std::string_view letter_prefix = "pawl.dead-letter/";

/// What the roles of connectors begin with, see connector_runner::consumer().
constexpr std::string_view connector_roles = "pawl.connector/";

void check_limit(std::size_t limit)
{
    if (limit < 1 || limit > core::max_page)
        throw error(errc::invalid_argument, "limit is " + std::to_string(limit) +
                                                "; it must be from 1 to " +
                                                std::to_string(core::max_page));
}

asio::awaitable<std::vector<event>> read_history(record_store& store, run_id run,
                                                 std::uint64_t after, std::size_t limit)
{
    check_limit(limit);
    auto events = co_await store.history(run, after, limit);
    co_return events;
}

asio::awaitable<std::vector<message>> read_messages(record_store& store, run_id run,
                                                    std::uint64_t after, std::size_t limit)
{
    check_limit(limit);
    auto messages = co_await store.inbox(run, after, limit);
    co_return messages;
}

asio::awaitable<std::optional<settlement>> read_outcome(record_store& store, run_id run,
                                                        std::uint64_t sequence)
{
    auto settled = co_await store.outcome(run, sequence);
    co_return settled;
}

std::size_t size_of(const stream_event& letter)
{
    std::size_t size = letter.payload.size() + letter.id.size() + letter.key.size();
    for (const auto& [name, value] : letter.headers)
        size += name.size() + value.size();
    return size;
}

asio::awaitable<topic_page> read_letters(record_store& store, std::string topic,
                                         std::uint64_t after, std::size_t limit)
{
    check_limit(limit);
    if (!topic.starts_with(letter_prefix))
        throw error(errc::invalid_argument, core::quoted(topic) +
                                                " is no topic of dead letters: these begin with " +
                                                core::quoted(std::string{letter_prefix}));
    topic_page page;
    page.next = after;
    std::size_t bytes = 0;
    for (bool more = true; more;) {
        const auto wanted = std::min(letters_read, limit - page.events.size());
        auto letters = co_await store.topic_events(topic, page.next, wanted);
        more = letters.size() == wanted;
        for (auto& letter : letters) {
            bytes += size_of(letter);
            if (!page.events.empty() && bytes > letter_bytes)
                break;
            page.next = letter.position;
            page.events.push_back(std::move(letter));
        }
        more = more && page.events.size() < limit && bytes <= letter_bytes;
    }
    const auto following = co_await store.topic_events(topic, page.next, 1);
    page.complete = following.empty();
    co_return page;
}

} // namespace

operations_service::operations_service(detail::engine_core& core) : core_(core), changes_(core)
{
}

record_store& operations_service::store() const
{
    return core_.shared_.store;
}

store_inventory operations_service::inventory() const
{
    return store_inventory{core_.shared_, core_.options_.client_only};
}

void operations_service::overview(overview_options options,
                                  detail::completion<std::vector<workflow_overview>> done)
{
    core_.launch(read_overview(std::move(options)), std::move(done));
}

asio::awaitable<std::vector<workflow_overview>>
operations_service::read_overview(overview_options options)
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
        auto entry = co_await read_overview_of(name, options);
        entry.has_engine = driven.contains(name);
        found.push_back(std::move(entry));
    }
    co_return found;
}

asio::awaitable<workflow_overview> operations_service::read_overview_of(std::string workflow,
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

asio::awaitable<capped_count> operations_service::count_attention(std::string workflow,
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

void operations_service::list(run_filter filter, detail::completion<run_page> done)
{
    core_.launch(read_list(std::move(filter)), std::move(done));
}

/// Whether the store has runs or a definition of the workflow. Others must not be given shards.
asio::awaitable<bool> operations_service::is_known(std::string workflow)
{
    if (core_.shared_.workflows.contains(workflow))
        co_return true;
    const auto names = co_await inventory().workflows();
    co_return std::ranges::binary_search(names, workflow);
}

asio::awaitable<found_runs> operations_service::find_runs(run_filter filter, status_labels& labels)
{
    check_filter(filter);
    list_search search;
    search.now = core_.shared_.clock.now();
    if (filter.statuses) {
        co_await inventory().add_labels({filter.workflow}, labels);
        search.statuses.emplace();
        for (const auto& text : *filter.statuses)
            search.statuses->push_back(labels.number(filter.workflow, text));
    }
    if (filter.attention == attention_kind::overdue) {
        const bool known = filter.workflow.empty() || co_await is_known(filter.workflow);
        if (!known)
            co_return found_runs{};
        const auto shards = co_await inventory().shards_of(filter.workflow);
        search.first_shard = shards.first;
        search.end_shard = shards.second;
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
    auto found = co_await list_runs(store(), std::move(search));
    co_return found;
}

asio::awaitable<run_page> operations_service::read_list(run_filter filter)
{
    status_labels labels;
    auto found = co_await find_runs(std::move(filter), labels);
    std::set<std::string> names;
    for (const auto& run : found.runs)
        names.insert(run.workflow);
    co_await inventory().add_labels(names, labels);
    const auto driven = co_await inventory().driven({names.begin(), names.end()});
    run_page page;
    page.next = std::move(found.next);
    page.searched_to = found.searched_to;
    page.examined = found.examined;
    page.complete = found.complete;
    for (auto& run : found.runs) {
        auto label = labels.label(run.workflow, run.status);
        const bool has_engine = driven.contains(run.workflow);
        page.runs.push_back({std::move(run), std::move(label), has_engine});
    }
    co_return page;
}

void operations_service::read(run_id run, detail::completion<std::optional<run_view>> done)
{
    core_.launch(read_run(run), std::move(done));
}

asio::awaitable<std::optional<run_view>> operations_service::read_run(run_id run)
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

void operations_service::history(run_id run, std::uint64_t after, std::size_t limit,
                                 detail::completion<std::vector<event>> done)
{
    core_.launch(read_history(store(), run, after, limit), std::move(done));
}

void operations_service::messages(run_id run, std::uint64_t after, std::size_t limit,
                                  detail::completion<std::vector<message>> done)
{
    core_.launch(read_messages(store(), run, after, limit), std::move(done));
}

void operations_service::outcome(run_id run, std::uint64_t sequence,
                                 detail::completion<std::optional<settlement>> done)
{
    core_.launch(read_outcome(store(), run, sequence), std::move(done));
}

void operations_service::definitions(std::string workflow,
                                     detail::completion<std::vector<workflow_view>> done)
{
    core_.launch(read_workflows(std::move(workflow)), std::move(done));
}

asio::awaitable<std::vector<workflow_view>> operations_service::read_workflows(std::string workflow)
{
    auto names = co_await inventory().workflows();
    if (!workflow.empty())
        std::erase_if(names, [&](const auto& name) { return name != workflow; });
    const auto driven = co_await inventory().driven(names);
    std::vector<workflow_view> found;
    for (const auto& name : names) {
        auto view = co_await inventory().definitions_of(name);
        view.has_engine = driven.contains(name);
        found.push_back(std::move(view));
    }
    co_return found;
}

namespace {

asio::awaitable<engines_view> read_engines(store_inventory inventory)
{
    auto view = co_await inventory.engines();
    co_return view;
}

} // namespace

void operations_service::engines(detail::completion<engines_view> done)
{
    core_.launch(read_engines(inventory()), std::move(done));
}

void operations_service::schedules(std::string workflow,
                                   detail::completion<std::vector<schedule_info>> done)
{
    core_.launch(read_schedules(std::move(workflow)), std::move(done));
}

asio::awaitable<std::vector<schedule_info>> operations_service::read_schedules(std::string workflow)
{
    std::vector<schedule_info> found;
    record_query query;
    query.workflow = core::schedules_workflow;
    query.states = {run_state::initiated, run_state::running, run_state::paused};
    query.limit = schedule_page;
    do {
        const auto page = co_await store().list(query);
        for (const auto& run : page.runs)
            if (auto info = read_schedule(run); workflow.empty() || info.workflow == workflow)
                found.push_back(std::move(info));
        query.after = page.next;
    } while (query.after);
    std::ranges::sort(found, {},
                      [](const schedule_info& info) { return std::tie(info.workflow, info.name); });
    co_return found;
}

void operations_service::connectors(detail::completion<std::vector<connector_view>> done)
{
    core_.launch(read_connectors(), std::move(done));
}

asio::awaitable<std::vector<connector_view>> operations_service::read_connectors()
{
    std::map<std::string, connector_view> found;
    const bool is_shared = store().shared();
    for (const auto& runner : core_.connectors_) {
        const auto& connector = runner->connector();
        auto& view = found[connector.name];
        view.workflow = connector.workflow;
        if (const auto* log = dynamic_cast<streams::workflow_source*>(connector.source.get()))
            view.source = log->workflow();
        if (!is_shared)
            view.engine = core_.shards_->owner();
    }
    const auto held = co_await store().roles(connector_roles);
    for (const auto& role : held)
        found[role.role.substr(connector_roles.size())].engine = role.owner;
    std::vector<connector_view> views;
    for (auto& [name, view] : found) {
        view.name = name;
        view.dead_letter_topic = dead_letter_topic(name);
        const auto letters = co_await read_letter_topic(view.dead_letter_topic);
        view.dead_letters = letters.letters;
        view.lag = co_await read_lag(view);
        views.push_back(std::move(view));
    }
    co_return views;
}

/// The events that the connector has not acknowledged. Gaps of removed runs count as events.
asio::awaitable<std::optional<std::uint64_t>> operations_service::read_lag(connector_view connector)
{
    std::shared_ptr<streams::workflow_source> log;
    std::string consumer;
    for (const auto& runner : core_.connectors_)
        if (runner->connector().name == connector.name) {
            log = std::dynamic_pointer_cast<streams::workflow_source>(runner->connector().source);
            consumer = runner->consumer();
        }
    if (!log)
        co_return std::nullopt;
    const auto shards = co_await inventory().shards_of(log->workflow());
    std::uint64_t lag = 0;
    for (auto shard = shards.first; shard < shards.second; ++shard) {
        const auto next = co_await log->position(consumer, shard);
        const auto end = co_await store().log_end(shard);
        if (next <= end)
            lag += end + 1 - std::max<std::uint64_t>(next, 1);
    }
    co_return lag;
}

void operations_service::dead_letter_topics(
    detail::completion<std::vector<dead_letter_topic_view>> done)
{
    core_.launch(read_letter_topics(), std::move(done));
}

asio::awaitable<dead_letter_topic_view> operations_service::read_letter_topic(std::string topic)
{
    dead_letter_topic_view view;
    view.topic = std::move(topic);
    const auto end = co_await store().topic_end(view.topic);
    const auto first = co_await store().topic_events(view.topic, 0, 1);
    if (first.empty())
        co_return view;
    view.oldest_at = first.front().at;
    // Letters are only trimmed from the beginning, so that their positions have no gaps.
    const auto letters = end + 1 - first.front().position;
    view.letters = {std::min<std::uint64_t>(letters, letters_counted), letters > letters_counted};
    co_return view;
}

asio::awaitable<std::vector<dead_letter_topic_view>> operations_service::read_letter_topics()
{
    std::set<std::string> topics;
    const auto names = co_await inventory().workflows();
    for (const auto& name : names) {
        topics.insert(callback_dead_letter_topic(name));
        topics.insert(hook_dead_letter_topic(name));
        topics.insert(request_dead_letter_topic(name));
    }
    for (const auto& runner : core_.connectors_)
        topics.insert(dead_letter_topic(runner->connector().name));
    const auto held = co_await store().roles(connector_roles);
    for (const auto& role : held)
        topics.insert(
            dead_letter_topic(std::string_view{role.role}.substr(connector_roles.size())));
    std::vector<dead_letter_topic_view> found;
    for (const auto& topic : topics) {
        auto view = co_await read_letter_topic(topic);
        if (view.letters.count > 0)
            found.push_back(std::move(view));
    }
    co_return found;
}

void operations_service::dead_letters(std::string topic, std::uint64_t after, std::size_t limit,
                                      detail::completion<topic_page> done)
{
    core_.launch(read_letters(store(), std::move(topic), after, limit), std::move(done));
}

void operations_service::change(detail::run_change wanted, change_request request,
                                detail::completion<change_result> done)
{
    core_.launch(changes_.change(std::move(wanted), std::move(request)), std::move(done));
}

void operations_service::trigger(std::string workflow, trigger_request start,
                                 change_request request, detail::completion<change_result> done)
{
    core_.launch(changes_.trigger(std::move(workflow), std::move(start), std::move(request)),
                 std::move(done));
}

void operations_service::redrive(std::string topic, change_request request,
                                 detail::completion<redrive_result> done)
{
    core_.launch(changes_.redrive(std::move(topic), std::move(request)), std::move(done));
}

void operations_service::audit(std::uint64_t after, std::size_t limit,
                               detail::completion<audit_page> done)
{
    core_.launch(read_audit(after, limit), std::move(done));
}

asio::awaitable<audit_page> operations_service::read_audit(std::uint64_t after, std::size_t limit)
{
    check_limit(limit);
    auto page = co_await changes_.log().read(after, limit);
    co_return page;
}

} // namespace pawl::engine_detail

namespace pawl {

std::string to_string(attention_kind kind)
{
    switch (kind) {
    case attention_kind::failing:
        return "failing";
    case attention_kind::paused:
        return "paused";
    case attention_kind::overdue:
        return "overdue";
    }
    return "attention_kind(" + std::to_string(static_cast<int>(kind)) + ")";
}

std::optional<attention_kind> parse_attention_kind(std::string_view text) noexcept
{
    for (const auto kind :
         {attention_kind::failing, attention_kind::paused, attention_kind::overdue})
        if (text == to_string(kind))
            return kind;
    return std::nullopt;
}

} // namespace pawl
