#include "engine/operations/operations_service.hpp"

#include "core/reserved_names.hpp"
#include "engine/api/engine_core.hpp"
#include "engine/api/launch.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

namespace pawl::engine_detail {

namespace asio = boost::asio;

namespace {

constexpr std::size_t schedule_page = 256;

asio::awaitable<std::vector<event>> read_history(record_store& store, run_id run,
                                                 std::uint64_t after, std::size_t limit)
{
    check_page_limit(limit);
    auto events = co_await store.history(run, after, limit);
    co_return events;
}

asio::awaitable<std::vector<message>> read_messages(record_store& store, run_id run,
                                                    std::uint64_t after, std::size_t limit)
{
    check_page_limit(limit);
    auto messages = co_await store.inbox(run, after, limit);
    co_return messages;
}

asio::awaitable<std::optional<settlement>> read_outcome(record_store& store, run_id run,
                                                        std::uint64_t sequence)
{
    auto settled = co_await store.outcome(run, sequence);
    co_return settled;
}

} // namespace

operations_service::operations_service(detail::engine_core& core)
    : core_(core), runs_(core), connectors_(core), changes_(core), remover_(core, changes_),
      schedules_(core, changes_), bulk_(core, runs_, changes_)
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
    core_.launch(runs_.overview(std::move(options)), std::move(done));
}

void operations_service::list(run_filter filter, detail::completion<run_page> done)
{
    core_.launch(runs_.list(std::move(filter)), std::move(done));
}

void operations_service::read(run_id run, detail::completion<std::optional<run_view>> done)
{
    core_.launch(runs_.read(run), std::move(done));
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
    core_.launch(connectors_.connectors(), std::move(done));
}

void operations_service::dead_letter_topics(
    detail::completion<std::vector<dead_letter_topic_view>> done)
{
    core_.launch(connectors_.letter_topics(), std::move(done));
}

void operations_service::dead_letters(std::string topic, std::uint64_t after, std::size_t limit,
                                      detail::completion<topic_page> done)
{
    core_.launch(connectors_.letters(std::move(topic), after, limit), std::move(done));
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

void operations_service::remove(std::string workflow, run_id run, change_request request,
                                detail::completion<change_result> done)
{
    core_.launch(remover_.remove(std::move(workflow), run, std::move(request)), std::move(done));
}

void operations_service::redrive(std::string topic, change_request request,
                                 detail::completion<redrive_result> done)
{
    core_.launch(changes_.redrive(std::move(topic), std::move(request)), std::move(done));
}

void operations_service::fire(std::string workflow, std::string schedule, change_request request,
                              detail::completion<change_result> done)
{
    core_.launch(schedules_.fire(std::move(workflow), std::move(schedule), std::move(request)),
                 std::move(done));
}

void operations_service::slots(std::string workflow, std::string schedule, std::size_t count,
                               detail::completion<std::vector<time_point>> done)
{
    core_.launch(schedules_.slots(std::move(workflow), std::move(schedule), count),
                 std::move(done));
}

void operations_service::preview_bulk(bulk_request wanted, detail::completion<bulk_preview> done)
{
    core_.launch(bulk_.preview(std::move(wanted)), std::move(done));
}

void operations_service::start_bulk(bulk_request wanted, change_request request,
                                    detail::completion<bulk_view> done)
{
    core_.launch(bulk_.start(std::move(wanted), std::move(request)), std::move(done));
}

void operations_service::read_bulk(run_id bulk, detail::completion<std::optional<bulk_view>> done)
{
    core_.launch(bulk_.read(bulk), std::move(done));
}

void operations_service::list_bulk(std::string after, std::size_t limit,
                                   detail::completion<bulk_page> done)
{
    core_.launch(bulk_.list(std::move(after), limit), std::move(done));
}

void operations_service::audit(std::uint64_t after, std::size_t limit,
                               detail::completion<audit_page> done)
{
    core_.launch(read_audit(after, limit), std::move(done));
}

asio::awaitable<audit_page> operations_service::read_audit(std::uint64_t after, std::size_t limit)
{
    check_page_limit(limit);
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
