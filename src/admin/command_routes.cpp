#include "admin/api_core.hpp"
#include "admin/change_body.hpp"
#include "admin/parameters.hpp"
#include "admin/refusal.hpp"
#include "admin/views.hpp"
#include "pawl/schedule_operations.hpp"

#include <boost/asio/use_awaitable.hpp>
#include <boost/json/array.hpp>

#include <fmt/format.h>

namespace pawl::admin::detail {

namespace json = boost::json;
using boost::asio::awaitable;

namespace {

json::object view_of_change(const change_result& made)
{
    return {{"id", to_string(made.run)},
            {"message", std::to_string(made.message)},
            {"outcome", made.outcome == message_outcome::pending ? "pending" : "handled"},
            {"audit_id", made.audit_id}};
}

/// 200 if the change has been executed, 202 if it is only in the inbox.
http::response answer_change(const change_result& made)
{
    auto answer = json_response(to_text(view_of_change(made)));
    answer.status = made.outcome == message_outcome::pending ? 202 : 200;
    return answer;
}

enum class verb { pause, resume, retry, cancel, delete_data, remove };

/// One call, so that all commands read their request alike.
template <verb Verb>
awaitable<http::response> command_run(shared_core core, const http::request& message,
                                      identity sender)
{
    allow_parameters(message, {});
    body_reader body(message);
    auto change = read_change(message, sender, body);
    body.finish();
    const auto run = co_await find_run(core, message);
    const auto& workflow = run.stored.workflow;
    const auto id = run.stored.id;
    auto engine = core->engine;
    change_result made;
    if constexpr (Verb == verb::pause)
        made = co_await engine.async_pause(workflow, id, std::move(change));
    else if constexpr (Verb == verb::resume)
        made = co_await engine.async_resume(workflow, id, std::move(change));
    else if constexpr (Verb == verb::retry)
        made = co_await engine.async_retry(workflow, id, std::move(change));
    else if constexpr (Verb == verb::cancel)
        made = co_await engine.async_cancel(workflow, id, std::move(change));
    else if constexpr (Verb == verb::remove)
        made = co_await engine.async_remove(workflow, id, std::move(change));
    else
        made = co_await engine.async_delete_data(workflow, id, std::move(change));
    co_return answer_change(made);
}

awaitable<http::response> move_run(shared_core core, const http::request& message, identity sender)
{
    allow_parameters(message, {});
    body_reader body(message);
    auto change = read_change(message, sender, body);
    move_request move{.status = body.text("status"), .object = body.document("object")};
    body.finish();
    if (move.status.empty())
        throw refusal(422, "invalid_argument", "the body needs a member status");
    const auto run = co_await find_run(core, message);
    auto engine = core->engine;
    const auto made = co_await engine.async_move(run.stored.workflow, run.stored.id,
                                                 std::move(move), std::move(change));
    co_return answer_change(made);
}

awaitable<http::response> call_run(shared_core core, const http::request& message, identity sender)
{
    allow_parameters(message, {});
    body_reader body(message);
    auto change = read_change(message, sender, body);
    callback_request callback{.name = message.captures.at("name"),
                              .payload = body.document("payload").value_or("")};
    if (const auto version = body.number("payload_version"))
        callback.payload_version = static_cast<std::uint32_t>(*version);
    body.finish();
    const auto run = co_await find_run(core, message);
    auto engine = core->engine;
    const auto made = co_await engine.async_call(run.stored.workflow, run.stored.id,
                                                 std::move(callback), std::move(change));
    co_return answer_change(made);
}

awaitable<http::response> trigger_run(shared_core core, const http::request& message,
                                      identity sender)
{
    allow_parameters(message, {});
    body_reader body(message);
    auto change = read_change(message, sender, body);
    trigger_request start{.foreign_id = body.text("foreign_id"),
                          .object = body.document("object").value_or("{}"),
                          .status = body.text("status")};
    if (body.flag("reject_duplicate"))
        start.id_reuse = id_reuse_policy::reject_duplicate;
    body.finish();
    auto engine = core->engine;
    const auto made = co_await engine.async_trigger(message.captures.at("workflow"),
                                                    std::move(start), std::move(change));
    auto answer = json_response(to_text(view_of_change(made)));
    answer.status = 201;
    answer.headers.emplace_back("Location", fmt::format("{}{}/runs/{}", core->options.prefix,
                                                        api_path, to_string(made.run)));
    co_return answer;
}

awaitable<http::response> redrive_topic(shared_core core, const http::request& message,
                                        identity sender)
{
    allow_parameters(message, {});
    body_reader body(message);
    auto change = read_change(message, sender, body);
    body.finish();
    auto engine = core->engine;
    const auto result =
        co_await engine.async_redrive(message.captures.at("topic"), std::move(change));
    co_return json_response(to_text({{"succeeded", std::to_string(result.succeeded)},
                                     {"failed", std::to_string(result.failed)}}));
}

awaitable<http::response> fire_schedule(shared_core core, const http::request& message,
                                        identity sender)
{
    allow_parameters(message, {});
    body_reader body(message);
    auto change = read_change(message, sender, body);
    body.finish();
    schedule_operations schedules{core->engine};
    const auto made = co_await schedules.async_fire(
        message.captures.at("workflow"), message.captures.at("schedule"), std::move(change));
    co_return answer_change(made);
}

awaitable<http::response> list_slots(shared_core core, const http::request& message, identity)
{
    allow_parameters(message, {"limit"});
    const auto limit = number_parameter(message, "limit", 10, 1, 1'000);
    schedule_operations schedules{core->engine};
    const auto found = co_await schedules.async_slots(message.captures.at("workflow"),
                                                      message.captures.at("schedule"), limit);
    json::array slots;
    for (const auto at : found)
        slots.push_back(json::object{{"at", text_of(at)}});
    co_return json_response(to_text({{"slots", std::move(slots)}}));
}

awaitable<http::response> list_audit(shared_core core, const http::request& message, identity)
{
    allow_parameters(message, {"after", "limit"});
    const auto after = number_parameter(message, "after", 0, 0, UINT64_MAX);
    const auto limit = number_parameter(message, "limit", 100, 1, 1'000);
    auto engine = core->engine;
    const auto page = co_await engine.async_audit(after, limit);
    json::array entries;
    for (const auto& entry : page.entries)
        entries.push_back(view_of(entry));
    co_return json_response(to_text(
        {{"audit", std::move(entries)},
         {"next", page.complete ? json::value(nullptr) : json::value(std::to_string(page.next))}}));
}

} // namespace

std::vector<api_route> command_routes()
{
    using enum permission;
    return {
        {"POST", "/workflows/{workflow}/runs", change_runs, trigger_run},
        {"POST", "/runs/{run}/pause", change_runs, command_run<verb::pause>},
        {"POST", "/runs/{run}/resume", change_runs, command_run<verb::resume>},
        {"POST", "/runs/{run}/retry", change_runs, command_run<verb::retry>},
        {"POST", "/runs/{run}/cancel", change_runs, command_run<verb::cancel>},
        {"POST", "/runs/{run}/callbacks/{name}", change_runs, call_run},
        {"POST", "/runs/{run}/move", repair_runs, move_run},
        {"POST", "/runs/{run}/delete-data", permission::delete_data,
         command_run<verb::delete_data>},
        {"POST", "/runs/{run}/remove", permission::delete_data, command_run<verb::remove>},
        {"POST", "/dead-letters/{topic}/redrive", change_runs, redrive_topic},
        {"POST", "/schedules/{workflow}/{schedule}/fire", change_runs, fire_schedule},
        {"GET", "/schedules/{workflow}/{schedule}/slots", read_runs, list_slots},
        {"GET", "/audit", read_audit, list_audit},
    };
}

} // namespace pawl::admin::detail
