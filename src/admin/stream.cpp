#include "admin/api_core.hpp"
#include "admin/parameters.hpp"
#include "admin/refusal.hpp"
#include "admin/views.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/array.hpp>

#include <fmt/format.h>

#include <charconv>
#include <optional>

namespace pawl::admin::detail {

namespace asio = boost::asio;
using asio::awaitable;

namespace {

/// A comment is sent after this time without an event, so that proxies keep the connection.
constexpr auto heartbeat_interval = std::chrono::seconds{15};

/// Entries of a history that are sent at a time. A reader that is further behind gets `reset`.
constexpr std::size_t max_entries = 200;

/// One open stream: what it shows, and what it has sent.
struct open_view {
    shared_core core;
    http::request request; ///< by which the reader has signed in
    bool shows_overview = false;
    std::optional<run_id> run;
    std::optional<std::uint64_t> version; ///< of the run that the reader knows
    status_labels labels{};
    std::string overview{};
};

/// Server-sent events; see the HTML standard, section 9.2.
std::string event_text(std::string_view name, std::string_view data, std::string_view id = {})
{
    // The data is JSON without line breaks.
    auto text = fmt::format("event: {}\ndata: {}\n", name, data);
    if (!id.empty())
        text += fmt::format("id: {}\n", id);
    return text + "\n";
}

awaitable<std::string> read_overview(shared_core core)
{
    const auto now = std::chrono::steady_clock::now();
    {
        const std::lock_guard lock(core->overview.mutex);
        if (!core->overview.text.empty() &&
            now - core->overview.read_at < core->options.stream_interval)
            co_return core->overview.text;
    }
    auto engine = core->engine;
    const auto all = co_await engine.async_overview();
    boost::json::array workflows;
    for (const auto& one : all)
        workflows.push_back(view_of(one));
    auto text = to_text({{"workflows", std::move(workflows)}});
    const std::lock_guard lock(core->overview.mutex);
    core->overview.text = text;
    core->overview.read_at = now;
    co_return text;
}

/// The events that bring the reader from the version that it knows to the present one.
awaitable<std::string> read_run_changes(std::shared_ptr<open_view> view)
{
    auto engine = view->core->engine;
    const auto found = co_await engine.async_read(*view->run);
    if (!found)
        co_return event_text("removed", "{}");
    const auto present = found->stored.version;
    const auto known = view->version.value_or(0);
    if (view->version && known == present)
        co_return "";
    std::string out;
    if (view->version) {
        if (view->labels.empty()) {
            const auto definitions = co_await engine.async_definitions(found->stored.workflow);
            view->labels = labels_of(definitions);
        }
        const auto entries = co_await engine.async_history(*view->run, known, max_entries);
        const bool is_behind = entries.size() == max_entries && entries.back().version < present;
        // A version above the present one is of a store that went back, after a failover.
        if (is_behind || known > present)
            out += event_text("reset", "{}");
        else
            for (const auto& entry : entries)
                out += event_text("history", to_text(view_of(entry, view->labels)),
                                  std::to_string(entry.version));
    }
    view->version = present;
    out += event_text("run", to_text(summary_of(*found)), std::to_string(present));
    co_return out;
}

awaitable<std::string> read_changes(std::shared_ptr<open_view> view)
{
    std::string out;
    if (view->shows_overview) {
        auto text = co_await read_overview(view->core);
        if (text != view->overview) {
            out += event_text("overview", text);
            view->overview = std::move(text);
        }
    }
    if (view->run)
        out += co_await read_run_changes(view);
    co_return out;
}

/// Sends what has changed since the last time, so that a slow reader misses states in between and
/// costs no memory.
awaitable<void> send_changes(std::shared_ptr<open_view> view, http::body_writer& body)
{
    const auto& options = view->core->options;
    const auto end = std::chrono::steady_clock::now() + options.stream_lifetime;
    auto last_sent = std::chrono::steady_clock::now();
    asio::steady_timer pause(co_await asio::this_coro::executor);
    co_await body.write("retry: 2000\n\n");
    while (std::chrono::steady_clock::now() < end) {
        // A token may have been revoked. The browser then opens the stream again, and is refused.
        if (!view->core->rules.is_admitted(view->request, stream_permission))
            co_return;
        std::string text;
        std::optional<http::response> failed;
        try {
            text = co_await read_changes(view);
        } catch (const system_error& failure) {
            if (failure.code().category() != pawl_category())
                throw;
            failed = make_problem(failure);
        }
        if (failed) {
            while (!failed->body.empty() && failed->body.back() == '\n')
                failed->body.pop_back();
            co_await body.write(event_text("problem", failed->body));
            co_return;
        }
        const auto now = std::chrono::steady_clock::now();
        if (text.empty() && now - last_sent >= heartbeat_interval)
            text = ": alive\n\n";
        if (!text.empty()) {
            last_sent = now;
            co_await body.write(std::move(text));
        }
        pause.expires_after(options.stream_interval);
        co_await pause.async_wait(asio::use_awaitable);
    }
}

} // namespace

awaitable<http::response> open_stream(shared_core core, const http::request& message, identity)
{
    allow_parameters(message, {"overview", "run"});
    auto view = std::make_shared<open_view>(open_view{.core = core, .request = message});
    view->shows_overview = flag_parameter(message, "overview");
    if (const auto text = text_parameter(message, "run"); !text.empty()) {
        view->run = parse_run_id(text);
        if (!view->run)
            throw refusal(
                400, "invalid_argument",
                fmt::format("the query parameter run is '{}'; it must be the id of a run", text));
    }
    if (!view->shows_overview && !view->run)
        throw refusal(400, "invalid_argument",
                      "a stream needs the query parameter overview=true, or run, or both");
    const auto last = message.header("last-event-id");
    std::uint64_t version = 0;
    const auto read = std::from_chars(last.data(), last.data() + last.size(), version);
    if (read.ec == std::errc{} && read.ptr == last.data() + last.size())
        view->version = version;

    http::response answer;
    answer.content_type = "text/event-stream";
    answer.stream = [view](http::body_writer& body) {
        return send_changes(view, body);
    };
    co_return answer;
}

} // namespace pawl::admin::detail
