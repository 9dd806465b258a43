#include "services/service.hpp"

#include "media_type.hpp"
#include "pawl/time.hpp"
#include "services/json.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

namespace order_processing::services {

namespace asio = boost::asio;
using pawl::http::drop_connection;
using pawl::http::problem;
using pawl::http::request;
using pawl::http::response;
using pawl::http::route;

namespace {

struct endpoint {
    std::shared_ptr<service> owner;
    read_query read;
};

/// Stored: never change. 64-bit FNV-1a (Fowler, Noll, Vo).
std::uint64_t hash_of(std::string_view bytes)
{
    std::uint64_t hash = 14695981039346656037ull;
    for (const char byte : bytes)
        hash = (hash ^ static_cast<unsigned char>(byte)) * 1099511628211ull;
    return hash;
}

std::string key_of(const request& req)
{
    constexpr std::size_t max_key_size = 255;
    const auto key = req.header("idempotency-key");
    const auto visible = [](char c) {
        return c > ' ' && c < '\x7f';
    };
    if (key.empty())
        throw field_error("The header Idempotency-Key is missing.");
    if (key.size() > max_key_size || !std::all_of(key.begin(), key.end(), visible))
        throw field_error("The header Idempotency-Key must be 1 to 255 visible ASCII characters.");
    return std::string{key};
}

response replay(const kept_answer& kept)
{
    response again;
    again.status = kept.status;
    again.body = kept.body;
    if (kept.status >= 400)
        again.content_type = "application/problem+json";
    again.headers.emplace_back("Idempotent-Replay", "true");
    return again;
}

/// Performs an effect that has not happened under its key, or returns the stored answer.
response make_once(books& in, const std::string& service_name, const std::string& key,
                   kept_answer claim, const effect& make)
{
    if (const auto kept = in.find_answer(service_name, key)) {
        if (kept->target != claim.target || kept->body_hash != claim.body_hash)
            return {.status = 422,
                    .body = json_writer{}
                                .add("type", "urn:order-processing:key-reused")
                                .add("title", "Unprocessable Content")
                                .add("status", 422)
                                .add("detail", "This Idempotency-Key was used for another request.")
                                .done(),
                    .content_type = "application/problem+json"};
        return replay(*kept);
    }
    auto answer = make(in, key);
    claim.status = answer.status;
    claim.body = answer.body;
    in.keep_answer(service_name, key, claim);
    return answer;
}

asio::awaitable<response> answer_plainly(std::shared_ptr<const endpoint> target, const request& req)
{
    std::optional<response> refused;
    ledger::work work;
    if (!req.body.empty() && !is_json(req))
        co_return problem(415, "The body must be application/json.");
    try {
        work = target->read(req);
    } catch (const field_error& error) {
        refused = problem(400, error.what());
    }
    if (refused)
        co_return std::move(*refused);
    co_return co_await target->owner->books_of_all->perform(std::move(work));
}

asio::awaitable<response> answer_with_faults(std::shared_ptr<const endpoint> target,
                                             const request& req)
{
    const auto plan = target->owner->misbehaviour.next();
    if (plan.latency.count() > 0) {
        const auto executor = co_await asio::this_coro::executor;
        asio::steady_timer timer{executor, plan.latency};
        co_await timer.async_wait(asio::use_awaitable);
    }
    if (plan.error)
        co_return problem(503, "The service is out of order for now.");
    if (plan.drop_before)
        throw drop_connection{};
    if (plan.hang)
        throw drop_connection{drop_connection::when::peer_has_closed};
    auto answer = co_await answer_plainly(target, req);
    if (plan.drop_after)
        throw drop_connection{};
    co_return answer;
}

fault_settings read_faults(const request& req)
{
    const auto settings = read_document<fault_settings>(req.body, true);
    const auto check = [](std::string_view name, auto value, auto highest) {
        require(value >= 0 && value <= highest, name, fmt::format("be from 0 to {}", highest));
    };
    check("latency_ms", settings.latency_ms, std::int64_t{3'600'000});
    check("jitter_ms", settings.jitter_ms, std::int64_t{3'600'000});
    check("error_rate", settings.error_rate, 1.0);
    check("drop_before_rate", settings.drop_before_rate, 1.0);
    check("drop_after_rate", settings.drop_after_rate, 1.0);
    check("hang_rate", settings.hang_rate, 1.0);
    check("pending_polls", settings.pending_polls, std::int64_t{1'000'000});
    return settings;
}

std::string show(const entry& shown_entry)
{
    json_writer shown;
    shown.add("sequence", shown_entry.sequence)
        .add("service", shown_entry.service)
        .add("kind", shown_entry.kind)
        .add("key", shown_entry.key)
        .add("order_id", shown_entry.order_id)
        .add("id", shown_entry.id);
    if (shown_entry.amount)
        shown.add("amount", *shown_entry.amount);
    if (shown_entry.payment_method)
        shown.add("payment_method", *shown_entry.payment_method);
    if (shown_entry.items)
        shown.add_json("items", *shown_entry.items);
    return shown.add("at", pawl::time_point{pawl::duration{shown_entry.recorded_at}}).done();
}

std::int64_t query_number(const request& req, std::string_view name, std::int64_t otherwise,
                          std::int64_t lowest, std::int64_t highest)
{
    const auto found = req.query.find(name);
    if (found == req.query.end())
        return otherwise;
    std::int64_t value = 0;
    const auto end = found->second.data() + found->second.size();
    const auto read = std::from_chars(found->second.data(), end, value);
    if (read.ec != std::errc{} || read.ptr != end || value < lowest || value > highest)
        throw field_error(
            fmt::format("{} must be a whole number from {} to {}.", name, lowest, highest));
    return value;
}

ledger::work read_ledger(const std::string& service_name, const request& req)
{
    constexpr std::int64_t max_page = 100'000;
    const auto after = query_number(req, "after", 0, 0, std::numeric_limits<std::int64_t>::max());
    const auto limit = query_number(req, "limit", max_page, 1, max_page);
    const auto order = req.query.find("order_id");
    const auto order_id = order == req.query.end() ? std::string{} : order->second;
    return [=](books& in) {
        std::string shown;
        for (const auto& found :
             in.entries(service_name, order_id, after, static_cast<std::size_t>(limit))) {
            if (!shown.empty())
                shown += ',';
            shown += show(found);
        }
        return response{.body = json_writer{}.add_json("entries", "[" + shown + "]").done()};
    };
}

} // namespace

route query_route(const std::shared_ptr<service>& owner, std::string method, std::string pattern,
                  read_query read)
{
    const auto target = std::make_shared<const endpoint>(endpoint{owner, std::move(read)});
    return {std::move(method), std::move(pattern), [target](const request& req) {
                return answer_with_faults(target, req);
            }};
}

route plain_route(const std::shared_ptr<service>& owner, std::string method, std::string pattern,
                  read_query read)
{
    const auto target = std::make_shared<const endpoint>(endpoint{owner, std::move(read)});
    return {std::move(method), std::move(pattern), [target](const request& req) {
                return answer_plainly(target, req);
            }};
}

route effect_route(const std::shared_ptr<service>& owner, std::string method, std::string pattern,
                   read_effect read)
{
    auto read_once = [name = owner->name, read = std::move(read)](const request& req) {
        auto key = key_of(req);
        kept_answer wanted;
        wanted.target = req.method + " " + req.path;
        wanted.body_hash = hash_of(req.body);
        return
            [name, key = std::move(key), wanted = std::move(wanted), make = read(req)](books& in) {
                return make_once(in, name, key, wanted, make);
            };
    };
    return query_route(owner, std::move(method), std::move(pattern), std::move(read_once));
}

std::vector<route> common_routes(const std::shared_ptr<service>& owner)
{
    const auto answer_at_once = [](response answer) -> ledger::work {
        return [answer = std::move(answer)](books&) {
            return answer;
        };
    };
    return {
        plain_route(owner, "GET", "/ledger",
                    [name = owner->name](const request& req) { return read_ledger(name, req); }),
        plain_route(owner, "GET", "/healthz",
                    [=, name = owner->name](const request&) {
                        return answer_at_once(
                            {.body =
                                 json_writer{}.add("status", "ok").add("service", name).done()});
                    }),
        plain_route(owner, "GET", "/faults",
                    [=](const request&) {
                        return answer_at_once({.body = to_json(owner->misbehaviour.settings())});
                    }),
        plain_route(owner, "PUT", "/faults",
                    [=](const request& req) {
                        const auto settings = read_faults(req);
                        owner->misbehaviour.set(settings);
                        return answer_at_once({.body = to_json(settings)});
                    }),
    };
}

} // namespace order_processing::services
