#include "api.hpp"

#include "api_support.hpp"
#include "order_view.hpp"
#include "pawl/diagram.hpp"
#include "percent.hpp"
#include "validation.hpp"
#include "within.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>

namespace order_processing {
namespace {

using api::refusal;
using api::shared_context;
using boost::asio::awaitable;
using boost::asio::use_awaitable;
using pawl::errc;
using pawl::http::request;
using pawl::http::response;

constexpr std::size_t max_id_size = 200;
constexpr std::size_t max_key_size = 1'024; // the engine's limit
constexpr std::size_t max_reason_size = 1'000;

template <class T>
response json(int status, const T& document)
{
    response answer;
    answer.status = status;
    answer.body = to_json(document) + "\n";
    return answer;
}

response text(std::string body, std::string content_type)
{
    response answer;
    answer.body = std::move(body);
    answer.content_type = std::move(content_type);
    return answer;
}

/// Collects the items of a page up to a size in bytes; the first item always fits.
class page_text {
public:
    explicit page_text(std::size_t most) : most_(most) {}

    /// False when the page is full; the item is then not on the page.
    template <class T>
    bool add(const T& item)
    {
        const auto before = items_.size();
        if (before > 0)
            items_ += ',';
        pawl::codec<T>::encode(item, items_);
        if (before == 0 || items_.size() <= most_)
            return true;
        items_.resize(before);
        return false;
    }

    /// The document: `members` and the items under `name`, then `next` if there is one.
    response finish(const std::string& members, const std::string& name, const std::string& next)
    {
        return text("{" + members + "\"" + name + "\":[" + std::move(items_) + "]" +
                        (next.empty() ? "" : ",\"next\":" + next) + "}\n",
                    "application/json");
    }

private:
    const std::size_t most_;
    std::string items_;
};

response accepted(const order_snapshot& order)
{
    return json(202, accepted_order{order.foreign_id, to_string(order.id)});
}

/// Rejects an order whose id cannot be used in a path: such an order could not be found again.
void check_id(const std::string& id)
{
    const auto is_control = [](unsigned char c) {
        return c < 0x20 || c == 0x7f;
    };
    if (id.find_first_not_of(' ') == std::string::npos)
        throw refusal{422, "id: the order needs an id"};
    if (id.size() > max_id_size)
        throw refusal{422, "id: must have at most " + std::to_string(max_id_size) + " bytes"};
    if (std::any_of(id.begin(), id.end(), is_control))
        throw refusal{422, "id: must not contain control characters"};
    // A client removes these segments from a path, however they are encoded.
    if (id == "." || id == "..")
        throw refusal{422, "id: must not be . or .."};
}

/// Tells whether a repeated request has the same bytes. 64-bit FNV-1a (Fowler, Noll, Vo). Stored:
/// never change.
std::string digest_of(const request& req)
{
    std::uint64_t hash = 14695981039346656037ull;
    for (const auto* part : {&req.body, &req.path})
        for (const char byte : *part)
            hash = (hash ^ static_cast<unsigned char>(byte)) * 1099511628211ull;
    return fmt::format("{:016x}", hash);
}

/// The key of a request names the order's run that the request has started. Rejects the key for
/// another request. @return False when an earlier request has started the run.
awaitable<bool> check_repetition(shared_context context, pawl::run_id run, Order sent)
{
    auto orders = context->orders;
    const auto found = co_await orders.async_find(run, use_awaitable);
    if (!found || found->object.request_digest.empty())
        co_return true; // its data is deleted, or it is older than the digest
    if (found->object.request_digest != sent.request_digest)
        throw refusal{422, "this Idempotency-Key was used for another request"};
    co_return found->object.created_at == sent.created_at;
}

std::string read_key(const request& req)
{
    std::string key{req.header("idempotency-key")};
    if (key.size() > max_key_size)
        throw refusal{400, "Idempotency-Key: must have at most " + std::to_string(max_key_size) +
                               " bytes"};
    return key;
}

awaitable<response> submit(shared_context context, const request& req)
{
    api::allow_query(req, {"new_run"});
    auto sent = api::read_body<order_request>(req);
    check_id(sent.id);
    if (sent.items.size() > max_items)
        throw refusal{422, "items: must have at most " + std::to_string(max_items) + " lines"};
    Order order = new_order(std::move(sent), context->clock->now());

    pawl::trigger_options<OrderStatus> options;
    options.start = OrderStatus::Created;
    options.id_reuse = api::query_flag(req, "new_run") ? pawl::id_reuse_policy::allow_after_finish
                                                       : pawl::id_reuse_policy::reject_duplicate;
    options.idempotency_key = read_key(req);
    if (!options.idempotency_key.empty())
        order.request_digest = digest_of(req);
    options.trace_parent = req.header("traceparent");

    auto orders = context->orders;
    pawl::run_id run;
    try {
        run = co_await orders.async_trigger(order.id, order, options, use_awaitable);
    } catch (const pawl::system_error& error) {
        if (error.code() == errc::already_running)
            throw refusal{409, "order " + order.id + " is being processed"};
        if (error.code() == errc::already_ran)
            throw refusal{409, "order " + order.id +
                                   " has been processed; a new run of it has to "
                                   "be asked for with ?new_run=true"};
        throw;
    }
    bool first = true;
    if (!order.request_digest.empty())
        first = co_await check_repetition(context, run, order);
    if (first)
        context->counters.order_accepted();
    response answer = json(202, accepted_order{order.id, to_string(run)});
    answer.headers.emplace_back("Location", "/orders/" + percent_encoded(order.id));
    co_return answer;
}

awaitable<response> show(shared_context context, const request& req)
{
    api::allow_query(req, {});
    const order_snapshot order = co_await api::find_order(context, req);
    co_return json(200, view_of(order));
}

awaitable<response> history(shared_context context, const request& req)
{
    api::allow_query(req, {"limit", "after"});
    const auto limit = static_cast<std::size_t>(api::query_number(req, "limit", 1'000, 1, 1'000));
    auto after = static_cast<std::uint64_t>(
        api::query_number(req, "after", 0, 0, std::numeric_limits<std::int64_t>::max()));
    const order_snapshot order = co_await api::find_order(context, req);
    auto orders = context->orders;
    const auto events = co_await orders.async_history(order.id, after, limit, use_awaitable);
    page_text page{context->max_page_bytes};
    bool more = events.size() == limit;
    for (const pawl::event& event : events) {
        if (!page.add(view_of(event, order.state))) {
            more = true;
            break;
        }
        after = event.version;
    }
    const accepted_order accepted{order.foreign_id, to_string(order.id)};
    auto members = to_json(accepted).substr(1);
    members.back() = ',';
    co_return page.finish(members, "transitions", more ? std::to_string(after) : "");
}

pawl::record_query read_query(const request& req)
{
    api::allow_query(req, {"customer", "status", "run_state", "limit", "after"});
    pawl::record_query query;
    query.limit = static_cast<std::size_t>(api::query_number(req, "limit", 25, 1, 1'000));
    if (const auto name = api::query_text(req, "customer"); !name.empty())
        query.attributes = {customer == name};
    if (const auto name = api::query_text(req, "status"); !name.empty()) {
        const auto status = parse_order_status(name);
        if (!status)
            throw refusal{400, "the query parameter status: there is no status " + name};
        query.statuses = {{static_cast<int>(*status)}};
    }
    if (const auto name = api::query_text(req, "run_state"); !name.empty()) {
        const auto state = pawl::parse_run_state(name);
        if (!state)
            throw refusal{400, "the query parameter run_state: there is no run state " + name};
        query.states = {{*state}};
    }
    if (const auto id = api::query_text(req, "after"); !id.empty()) {
        const auto after = pawl::parse_list_position(id);
        if (!after)
            throw refusal{400, "the query parameter after must be the `next` of a page"};
        query.after = *after;
    }
    return query;
}

/// Reads a few orders at a time, because their size is known only after reading.
awaitable<response> list(shared_context context, const request& req)
{
    constexpr std::size_t at_once = 25;
    auto query = read_query(req);
    auto left = query.limit;
    auto orders = context->orders;
    page_text shown{context->max_page_bytes};
    pawl::list_position last;
    bool full = false;
    do {
        query.limit = std::min(left, at_once);
        const auto page = co_await orders.async_list(query, use_awaitable);
        for (const order_snapshot& order : page.runs) {
            full = !shown.add(view_of(order));
            if (full)
                break;
            last = {order.created_at, order.id};
            --left;
        }
        query.after = full ? last : page.next;
    } while (!full && query.after && left > 0);
    co_return shown.finish("", "orders",
                           query.after ? "\"" + to_string(query.after) + "\"" : std::string{});
}

/// The reason in a body that may be left out.
std::string read_reason(const request& req)
{
    if (req.body.empty())
        return {};
    auto reason = api::read_body<cancel_request>(req).reason;
    if (reason.size() > max_reason_size)
        throw refusal{422,
                      "reason: must have at most " + std::to_string(max_reason_size) + " bytes"};
    return reason;
}

response cancel_outcome(const order_snapshot& order, const char* outcome)
{
    return json(202, cancel_answer{order.foreign_id, to_string(order.id), outcome});
}

/// Answers at once if it is too late, or if the order is paused and has to be resumed first.
/// Otherwise waits for the order's current step, which decides.
awaitable<response> cancel(shared_context context, const request& req)
{
    api::allow_query(req, {});
    const cancel_request wish{read_reason(req)};
    const order_snapshot order = co_await api::find_order(context, req);
    if (is_finished(order.state))
        throw refusal{409,
                      "too late: the order has ended as " + std::string{to_string(order.status)}};
    if (order.status == OrderStatus::Cancelled)
        co_return cancel_outcome(order, "cancelled");
    if (!order.object.shipment_key.empty())
        throw refusal{409, "too late: the order is being shipped"};

    auto orders = context->orders;
    // A repeated request joins the callback that is waiting. A request that came too late for an
    // attempt to ship counts for that attempt only.
    pawl::callback_options once;
    once.idempotency_key =
        fmt::format("cancel-{}-{}", static_cast<int>(order.status), order.attempt);
    if (order.state == pawl::run_state::paused) {
        co_await orders.async_send(order.id, "cancel", wish, once, use_awaitable);
        co_return cancel_outcome(order, "pending");
    }
    const auto call = [&](auto token) {
        return orders.async_call(order.id, "cancel", wish, once, token);
    };
    const auto settled = co_await within<pawl::settlement>(context->cancel_wait, call);
    if (!settled)
        co_return cancel_outcome(order, "pending");

    const auto after = co_await orders.async_find(order.id, use_awaitable);
    if (after && after->status != OrderStatus::Cancelled && after->status != OrderStatus::Refunded)
        throw refusal{409, "too late: the order is being shipped"};
    co_return cancel_outcome(order, "cancelled");
}

awaitable<response> pause(shared_context context, const request& req)
{
    api::allow_query(req, {});
    std::string reason = read_reason(req);
    if (reason.empty())
        reason = "paused by an operator";
    const order_snapshot order = co_await api::find_order(context, req);
    auto orders = context->orders;
    pawl::command_reason command{std::move(reason), req.user};
    co_await orders.async_pause(order.id, std::move(command), use_awaitable);
    co_return accepted(order);
}

awaitable<response> resume(shared_context context, const request& req)
{
    api::allow_query(req, {});
    const order_snapshot order = co_await api::find_order(context, req);
    auto orders = context->orders;
    pawl::command_reason command{"resumed by an operator", req.user};
    co_await orders.async_resume(order.id, std::move(command), use_awaitable);
    co_return accepted(order);
}

/// Scrubs every run of the order: personal data is in all of them.
awaitable<response> delete_data(shared_context context, const request& req)
{
    api::allow_query(req, {});
    const order_snapshot order = co_await api::find_order(context, req);
    if (!is_finished(order.state))
        throw refusal{409, "the order has not ended"};
    auto orders = context->orders;
    pawl::record_query query;
    query.foreign_ids = {order.foreign_id};
    query.states = {pawl::run_state::completed, pawl::run_state::cancelled};
    query.limit = 1'000;
    const pawl::command_reason command{"requested", req.user};
    do {
        const auto page = co_await orders.async_list(query, use_awaitable);
        for (const order_snapshot& run : page.runs)
            co_await orders.async_delete_data(run.id, command, use_awaitable);
        query.after = page.next;
    } while (query.after);
    co_return accepted(order);
}

awaitable<response> wait(shared_context context, const request& req)
{
    api::allow_query(req, {"timeout_ms"});
    using std::chrono::milliseconds;
    const auto most = std::chrono::duration_cast<milliseconds>(context->max_wait);
    const milliseconds limit{api::query_number(
        req, "timeout_ms", std::min<std::int64_t>(30'000, most.count()), 0, most.count())};
    const order_snapshot order = co_await api::find_order(context, req);
    if (is_finished(order.state)) // also where there is no time to wait
        co_return json(200, view_of(order));
    auto orders = context->orders;
    const auto await = [&](auto token) {
        return orders.async_await_finished(order.id, token);
    };
    const auto ended = co_await within<order_snapshot>(limit, await);
    if (!ended)
        throw refusal{504, "the order has not ended yet"};
    co_return json(200, view_of(*ended));
}

awaitable<response> diagram(shared_context context, const request&)
{
    co_return text(pawl::diagram(context->orders.definition()), "text/plain; charset=utf-8");
}

awaitable<response> show_metrics(shared_context context, const request&)
{
    if (context->update_metrics)
        co_await context->update_metrics();
    co_return text(context->counters.text(), metrics::content_type);
}

awaitable<response> healthz(shared_context, const request&)
{
    co_return text("{\"status\":\"ok\"}\n", "application/json");
}

awaitable<response> readyz(shared_context context, const request&)
{
    if (const auto reason = context->readiness())
        throw refusal{503, reason.message()};
    pawl::record_query query;
    query.limit = 1;
    auto orders = context->orders;
    co_await orders.async_list(query, use_awaitable);
    co_return text("{\"status\":\"ready\"}\n", "application/json");
}

awaitable<response> describe(shared_context, const request&)
{
    co_return text(openapi_document, "application/json");
}

} // namespace

std::vector<pawl::http::route> customer_routes(api_context context)
{
    const auto shared = std::make_shared<const api_context>(std::move(context));
    return {
        api::make_route(shared, "POST", "/orders", submit),
        api::make_route(shared, "GET", "/orders", list, shared->max_listing),
        api::make_route(shared, "GET", "/orders/{id}", show),
        api::make_route(shared, "GET", "/orders/{id}/history", history, shared->max_listing),
        api::make_route(shared, "POST", "/orders/{id}/cancel", cancel, shared->max_waiting),
        api::make_route(shared, "GET", "/orders/{id}/wait", wait, shared->max_waiting),
        api::make_route(shared, "GET", "/workflow", diagram),
        api::make_route(shared, "GET", "/healthz", healthz),
        api::make_route(shared, "GET", "/openapi.json", describe),
    };
}

std::vector<pawl::http::route> operator_routes(api_context context)
{
    const auto shared = std::make_shared<const api_context>(std::move(context));
    std::vector<pawl::http::route> routes{
        api::make_route(shared, "POST", "/orders/{id}/pause", pause),
        api::make_route(shared, "POST", "/orders/{id}/resume", resume),
        api::make_route(shared, "DELETE", "/orders/{id}/data", delete_data),
        api::make_route(shared, "GET", "/metrics", show_metrics, shared->max_listing),
        api::make_route(shared, "GET", "/healthz", healthz),
        api::make_route(shared, "GET", "/openapi.json", describe),
        api::make_route(shared, "GET", "/readyz", readyz),
    };
    routes.insert(routes.end(), shared->admin_routes.begin(), shared->admin_routes.end());
    return routes;
}

std::vector<pawl::http::route> order_routes(api_context context)
{
    auto all = customer_routes(context);
    for (auto& route : operator_routes(std::move(context)))
        if (route.pattern != "/healthz" && route.pattern != "/openapi.json")
            all.push_back(std::move(route));
    return all;
}

} // namespace order_processing
