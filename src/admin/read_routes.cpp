#include "admin/api_core.hpp"
#include "admin/filter_parameters.hpp"
#include "admin/openapi.hpp"
#include "admin/parameters.hpp"
#include "admin/refusal.hpp"
#include "admin/views.hpp"

#include <boost/asio/use_awaitable.hpp>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

#include <fmt/format.h>

#include <charconv>

namespace pawl::admin::detail {

namespace json = boost::json;
using boost::asio::awaitable;

namespace {

template <class View>
json::array views_of(const std::vector<View>& all)
{
    json::array out;
    for (const auto& one : all)
        out.push_back(view_of(one));
    return out;
}

json::value count_text(std::uint64_t value)
{
    return json::value(std::to_string(value));
}

json::value text_or_null(const std::string& text)
{
    return text.empty() ? json::value(nullptr) : json::value(text);
}

awaitable<http::response> show_sender(shared_core, const http::request& message, identity sender)
{
    allow_parameters(message, {});
    const auto granted = to_string(sender.granted);
    co_return json_response(to_text({{"name", sender.name},
                                     {"role", json::string_view{granted.data(), granted.size()}},
                                     {"method", sender.method}}));
}

/// Ready: the engine that answers accepts work, and each workflow with unfinished runs has an
/// engine.
awaitable<http::response> show_status(shared_core core, const http::request& message, identity)
{
    allow_parameters(message, {});
    error_code fault;
    if (core->options.readiness)
        fault = core->options.readiness();
    auto engine = core->engine;
    const auto engines = co_await engine.async_engines();
    auto view = view_of(engines);
    view.erase("shards");
    view["ready"] = !fault && engines.undriven.empty();
    std::string reason;
    if (fault)
        reason = fault.message();
    else if (!engines.undriven.empty())
        reason = fmt::format("no live engine has the workflow {}, which has unfinished runs",
                             fmt::join(engines.undriven, ", "));
    view["reason"] = reason;
    co_return json_response(to_text(view));
}

awaitable<http::response> show_overview(shared_core core, const http::request& message, identity)
{
    allow_parameters(message, {"workflow", "count_limit", "overdue_seconds"});
    overview_options options;
    options.workflow = text_parameter(message, "workflow");
    options.count_limit = number_parameter(message, "count_limit", options.count_limit, 1, 1'000);
    options.overdue_by =
        std::chrono::seconds{number_parameter(message, "overdue_seconds", 60, 0, 31'536'000)};
    auto engine = core->engine;
    const auto all = co_await engine.async_overview(std::move(options));
    co_return json_response(to_text({{"workflows", views_of(all)}}));
}

awaitable<http::response> list_workflows(shared_core core, const http::request& message, identity)
{
    allow_parameters(message, {});
    auto engine = core->engine;
    const auto all = co_await engine.async_definitions();
    co_return json_response(to_text({{"workflows", views_of(all)}}));
}

awaitable<http::response> show_workflow(shared_core core, const http::request& message, identity)
{
    allow_parameters(message, {});
    const auto name = message.captures.at("workflow");
    auto engine = core->engine;
    const auto found = co_await engine.async_definitions(name);
    if (found.empty())
        throw refusal(404, "not_found", fmt::format("the store knows no workflow '{}'", name));
    co_return json_response(to_text(view_of(found.front())));
}

awaitable<http::response> list_runs(shared_core core, const http::request& message, identity)
{
    auto engine = core->engine;
    const auto page = co_await engine.async_list(filter_of_page(message));
    json::array runs;
    for (const auto& run : page.runs)
        runs.push_back(summary_of(run));
    co_return json_response(
        to_text({{"runs", std::move(runs)},
                 {"next", text_or_null(page.next)},
                 {"complete", page.complete},
                 {"searched_to", page.searched_to ? json::value(text_of(*page.searched_to))
                                                  : json::value(nullptr)},
                 {"examined", count_text(page.examined)}}));
}

http::response versioned(std::string body, const run_view& run)
{
    auto answer = json_response(std::move(body));
    answer.headers.emplace_back("ETag", fmt::format("\"{}\"", run.stored.version));
    return answer;
}

awaitable<http::response> show_run(shared_core core, const http::request& message, identity)
{
    allow_parameters(message, {});
    const auto run = co_await find_run(core, message);
    co_return versioned(to_text(detail_of(run)), run);
}

awaitable<http::response> show_object(shared_core core, const http::request& message, identity)
{
    allow_parameters(message, {});
    const auto run = co_await find_run(core, message);
    const json::object members{{"id", to_string(run.stored.id)},
                               {"version", std::to_string(run.stored.version)},
                               {"object_version", run.stored.object_version}};
    co_return versioned(with_document(members, "object", run.stored.object), run);
}

awaitable<http::response> show_history(shared_core core, const http::request& message, identity)
{
    allow_parameters(message, {"after", "limit"});
    const auto after = number_parameter(message, "after", 0, 0, UINT64_MAX);
    const auto limit = number_parameter(message, "limit", 1'000, 1, 1'000);
    const auto run = co_await find_run(core, message);
    auto engine = core->engine;
    const auto definitions = co_await engine.async_definitions(run.stored.workflow);
    const auto entries = co_await engine.async_history(run.stored.id, after, limit);
    const auto labels = labels_of(definitions);
    json::array all;
    for (const auto& entry : entries)
        all.push_back(view_of(entry, labels));
    const bool more = entries.size() == limit;
    co_return json_response(
        to_text({{"id", to_string(run.stored.id)},
                 {"history", std::move(all)},
                 {"next", more ? count_text(entries.back().version) : json::value(nullptr)}}));
}

awaitable<http::response> list_messages(shared_core core, const http::request& message, identity)
{
    allow_parameters(message, {"after", "limit"});
    const auto after = number_parameter(message, "after", 0, 0, UINT64_MAX);
    const auto limit = number_parameter(message, "limit", 100, 1, 1'000);
    const auto run = co_await find_run(core, message);
    auto engine = core->engine;
    const auto pending = co_await engine.async_messages(run.stored.id, after, limit);
    std::vector<std::string> documents;
    for (const auto& one : pending)
        documents.push_back(with_document(view_of(one), "payload", one.payload));
    const auto next = pending.size() == limit ? fmt::format("\"{}\"", pending.back().sequence)
                                              : std::string{"null"};
    co_return json_response(
        fmt::format("{{\"messages\":{},\"next\":{}}}", join_documents(documents), next));
}

std::string_view name_of(message_outcome outcome)
{
    switch (outcome) {
    case message_outcome::pending:
        return "pending";
    case message_outcome::handled:
        return "handled";
    case message_outcome::rejected:
        return "rejected";
    case message_outcome::failed:
        return "failed";
    case message_outcome::expired:
        break;
    }
    return "expired";
}

awaitable<http::response> show_outcome(shared_core core, const http::request& message, identity)
{
    allow_parameters(message, {});
    const auto& text = message.captures.at("sequence");
    std::uint64_t sequence = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), sequence);
    if (read.ec != std::errc{} || read.ptr != text.data() + text.size())
        throw refusal(404, "not_found", fmt::format("'{}' is not the number of a message", text));
    const auto run = co_await find_run(core, message);
    auto engine = core->engine;
    const auto found = co_await engine.async_outcome(run.stored.id, sequence);
    if (!found)
        throw refusal(404, "not_found", fmt::format("the run has no message {}", sequence));
    const auto outcome = name_of(found->outcome);
    co_return json_response(to_text({{"sequence", std::to_string(sequence)},
                                     {"outcome", json::string_view{outcome.data(), outcome.size()}},
                                     {"detail", found->detail}}));
}

awaitable<http::response> list_schedules(shared_core core, const http::request& message, identity)
{
    allow_parameters(message, {"workflow"});
    auto engine = core->engine;
    const auto all = co_await engine.async_schedules(text_parameter(message, "workflow"));
    co_return json_response(to_text({{"schedules", views_of(all)}}));
}

awaitable<http::response> list_connectors(shared_core core, const http::request& message, identity)
{
    allow_parameters(message, {});
    auto engine = core->engine;
    const auto all = co_await engine.async_connectors();
    co_return json_response(to_text({{"connectors", views_of(all)}}));
}

awaitable<http::response> show_engines(shared_core core, const http::request& message, identity)
{
    allow_parameters(message, {});
    auto engine = core->engine;
    const auto engines = co_await engine.async_engines();
    co_return json_response(to_text(view_of(engines)));
}

awaitable<http::response> list_topics(shared_core core, const http::request& message, identity)
{
    allow_parameters(message, {});
    auto engine = core->engine;
    const auto topics = co_await engine.async_dead_letter_topics();
    co_return json_response(to_text({{"topics", views_of(topics)}}));
}

awaitable<http::response> list_letters(shared_core core, const http::request& message, identity)
{
    allow_parameters(message, {"after", "limit"});
    const auto after = number_parameter(message, "after", 0, 0, UINT64_MAX);
    const auto limit = number_parameter(message, "limit", 100, 1, 1'000);
    auto engine = core->engine;
    const auto page =
        co_await engine.async_dead_letters(message.captures.at("topic"), after, limit);
    std::vector<std::string> documents;
    for (const auto& letter : page.events)
        documents.push_back(with_document(view_of(letter), "payload", letter.payload));
    const auto next = page.complete ? std::string{"null"} : fmt::format("\"{}\"", page.next);
    co_return json_response(
        fmt::format("{{\"letters\":{},\"next\":{}}}", join_documents(documents), next));
}

awaitable<http::response> describe(shared_core, const http::request& message, identity)
{
    allow_parameters(message, {});
    co_return json_response(openapi_document);
}

} // namespace

std::vector<api_route> read_routes()
{
    using enum permission;
    return {
        {"GET", "/openapi.json", read_runs, describe},
        {"GET", "/me", read_runs, show_sender},
        {"GET", "/status", read_runs, show_status},
        {"GET", "/overview", read_runs, show_overview},
        {"GET", "/workflows", read_runs, list_workflows},
        {"GET", "/workflows/{workflow}", read_runs, show_workflow},
        {"GET", "/runs", read_runs, list_runs},
        {"GET", "/runs/{run}", read_runs, show_run},
        {"GET", "/runs/{run}/history", read_runs, show_history},
        {"GET", "/runs/{run}/object", read_payloads, show_object},
        {"GET", "/runs/{run}/messages", read_payloads, list_messages},
        {"GET", "/runs/{run}/messages/{sequence}", read_runs, show_outcome},
        {"GET", "/schedules", read_runs, list_schedules},
        {"GET", "/connectors", read_runs, list_connectors},
        {"GET", "/engines", read_runs, show_engines},
        {"GET", "/dead-letters", read_runs, list_topics},
        {"GET", "/dead-letters/{topic}", read_payloads, list_letters},
    };
}

} // namespace pawl::admin::detail
