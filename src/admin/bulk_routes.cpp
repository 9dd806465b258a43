// Bulk changes: what is changed for all runs that match a filter.
#include "admin/api_core.hpp"
#include "admin/change_body.hpp"
#include "admin/filter_parameters.hpp"
#include "admin/parameters.hpp"
#include "admin/refusal.hpp"
#include "admin/views.hpp"
#include "pawl/bulk.hpp"

#include <boost/asio/use_awaitable.hpp>
#include <boost/json/array.hpp>

#include <fmt/format.h>

#include <optional>
#include <string>
#include <utility>

namespace pawl::admin::detail {

namespace json = boost::json;
using boost::asio::awaitable;

namespace {

json::value optional_time(const std::optional<time_point>& at)
{
    return at ? json::value(text_of(*at)) : json::value(nullptr);
}

json::value text_of_code(const error_code& code)
{
    const auto name = name_of(static_cast<errc>(code.value()));
    return json::value(json::string_view{name.data(), name.size()});
}

json::object object_of(const bulk_view& bulk)
{
    json::array refused;
    for (const auto& group : bulk.refused)
        refused.push_back(
            json::object{{"code", text_of_code(group.code)}, {"runs", std::to_string(group.runs)}});
    json::array problems;
    for (const auto& problem : bulk.problems)
        problems.push_back(json::object{
            {"run", to_string(problem.run)},
            {"workflow", problem.workflow},
            {"foreign_id", problem.foreign_id},
            {"code", problem.code ? text_of_code(problem.code) : json::value("pending")},
            {"detail", problem.detail}});
    return {{"id", to_string(bulk.run)},
            {"action", to_string(bulk.action)},
            {"workflow", bulk.workflow},
            {"status", bulk.status},
            {"requested_by", bulk.by.name},
            {"reason", bulk.reason},
            {"audit_id", bulk.audit_id},
            {"started_at", text_of(bulk.started_at)},
            {"ended_at", optional_time(bulk.ended_at)},
            {"run_state", std::string{to_string(bulk.state)}},
            {"last_error", bulk.last_error},
            {"has_engine", bulk.has_engine},
            {"examined", std::to_string(bulk.examined)},
            {"selected", std::to_string(bulk.selected)},
            {"done", std::to_string(bulk.done)},
            {"passed_over", std::to_string(bulk.passed_over)},
            {"pending", std::to_string(bulk.pending)},
            {"refused", std::move(refused)},
            {"problems", std::move(problems)},
            {"searched_to", optional_time(bulk.searched_to)}};
}

http::response preview_response(const bulk_preview& preview)
{
    json::array samples;
    for (const auto& run : preview.samples)
        samples.push_back(summary_of(run));
    return json_response(
        to_text({{"runs", json::object{{"count", std::to_string(preview.runs.count)},
                                       {"is_capped", preview.runs.is_capped}}},
                 {"samples", std::move(samples)},
                 {"examined", std::to_string(preview.examined)}}));
}

/// One route for each action, because actions need different permissions.
template <bulk_action Action>
awaitable<http::response> start_bulk(shared_core core, const http::request& message,
                                     identity sender)
{
    bulk_request wanted{.action = Action, .filter = filter_of_all(message)};
    body_reader body(message);
    auto change = read_change(message, sender, body);
    const bool is_dry_run = body.flag("dry_run");
    if (Action == bulk_action::move)
        wanted.status = body.text("status");
    body.finish();
    bulk_changes bulk{core->engine};
    if (is_dry_run) {
        const auto preview = co_await bulk.async_preview(std::move(wanted));
        co_return preview_response(preview);
    }
    const auto started = co_await bulk.async_start(std::move(wanted), std::move(change));
    auto answer = json_response(to_text(object_of(started)));
    answer.status = 201;
    answer.headers.emplace_back("Location", fmt::format("{}{}/bulk/{}", core->options.prefix,
                                                        api_path, to_string(started.run)));
    co_return answer;
}

awaitable<http::response> show_bulk(shared_core core, const http::request& message, identity)
{
    allow_parameters(message, {});
    const auto& text = message.captures.at("run");
    bulk_changes bulk{core->engine};
    const auto id = parse_run_id(text);
    std::optional<bulk_view> found;
    if (id)
        found = co_await bulk.async_read(*id);
    if (!found)
        throw refusal(404, "not_found", fmt::format("there is no bulk change '{}'", text));
    co_return json_response(to_text(object_of(*found)));
}

awaitable<http::response> list_bulk(shared_core core, const http::request& message, identity)
{
    allow_parameters(message, {"after", "limit"});
    const auto limit = number_parameter(message, "limit", 50, 1, 1'000);
    bulk_changes bulk{core->engine};
    const auto page = co_await bulk.async_list(text_parameter(message, "after"), limit);
    json::array changes;
    for (const auto& one : page.changes)
        changes.push_back(object_of(one));
    co_return json_response(
        to_text({{"bulk", std::move(changes)},
                 {"next", page.next.empty() ? json::value(nullptr) : json::value(page.next)}}));
}

} // namespace

std::vector<api_route> bulk_routes()
{
    using enum permission;
    return {
        {"POST", "/bulk/retry", change_runs, start_bulk<bulk_action::retry>},
        {"POST", "/bulk/pause", change_runs, start_bulk<bulk_action::pause>},
        {"POST", "/bulk/resume", change_runs, start_bulk<bulk_action::resume>},
        {"POST", "/bulk/cancel", change_runs, start_bulk<bulk_action::cancel>},
        {"POST", "/bulk/move", repair_runs, start_bulk<bulk_action::move>},
        {"POST", "/bulk/delete-data", permission::delete_data,
         start_bulk<bulk_action::delete_data>},
        {"GET", "/bulk", read_runs, list_bulk},
        {"GET", "/bulk/{run}", read_runs, show_bulk},
    };
}

} // namespace pawl::admin::detail
