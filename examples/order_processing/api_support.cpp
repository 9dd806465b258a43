#include "api_support.hpp"

#include "media_type.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace order_processing::api {
namespace {

using boost::asio::awaitable;
using pawl::errc;
using pawl::http::problem;
using pawl::http::request;
using pawl::http::response;

/// The HTTP status for an error of the engine; 0 when the server itself is at fault.
int status_of(const pawl::error_code& code)
{
    if (code.category() != pawl::pawl_category())
        return 0;
    switch (static_cast<errc>(code.value())) {
    case errc::already_running:
    case errc::already_ran:
    case errc::already_finished:
    case errc::finished_in_other_status:
    case errc::already_paused:
    case errc::not_paused:
    case errc::not_finished:
    case errc::callback_failed:
        return 409;
    case errc::not_found:
        return 404;
    case errc::too_large:
        return 413;
    case errc::invalid_argument:
        return 422;
    case errc::stalled:
    case errc::store_flush_failed:
        return 503; // until an operator has checked the disk and restarted the server
    default:
        return pawl::is_retryable(code) || code == errc::not_running ? 503 : 0;
    }
}

response refuse(int status, std::string_view detail)
{
    response answer = problem(status, detail);
    if (status == 503)
        answer.headers.emplace_back("Retry-After", "1");
    return answer;
}

awaitable<response> guarded(shared_context context, route_function answer, const request& req)
{
    try {
        response answered = co_await answer(std::move(context), req);
        co_return answered;
    } catch (const refusal& refused) {
        co_return refuse(refused.status(), refused.what());
    } catch (const boost::system::system_error& error) {
        const int status = status_of(error.code());
        if (status == 0)
            throw;
        co_return refuse(status, error.code().message());
    }
}

[[noreturn]] void refuse_query(std::string_view name, const std::string& bound)
{
    throw refusal{400, "the query parameter " + std::string{name} + " must be " + bound};
}

} // namespace

pawl::http::route make_route(shared_context context, std::string method, std::string pattern,
                             route_function answer, std::size_t max_requests)
{
    auto handler = [=](const request& req) {
        return guarded(context, answer, req);
    };
    return {std::move(method), std::move(pattern), std::move(handler), max_requests};
}

void allow_query(const request& req, std::initializer_list<std::string_view> names)
{
    for (const auto& [name, value] : req.query)
        if (std::find(names.begin(), names.end(), name) == names.end())
            throw refusal{400, "there is no query parameter " + name};
}

std::int64_t query_number(const request& req, std::string_view name, std::int64_t otherwise,
                          std::int64_t lowest, std::int64_t highest)
{
    const auto found = req.query.find(name);
    if (found == req.query.end())
        return otherwise;
    const std::string& text = found->second;
    std::int64_t value = 0;
    const auto end = text.data() + text.size();
    const auto read = std::from_chars(text.data(), end, value);
    if (read.ec != std::errc{} || read.ptr != end || value < lowest || value > highest)
        refuse_query(name, "a whole number from " + std::to_string(lowest) + " to " +
                               std::to_string(highest));
    return value;
}

bool query_flag(const request& req, std::string_view name)
{
    const auto found = req.query.find(name);
    if (found == req.query.end() || found->second == "false" || found->second == "0")
        return false;
    if (found->second != "true" && found->second != "1")
        refuse_query(name, "true or false");
    return true;
}

std::string query_text(const request& req, std::string_view name)
{
    const auto found = req.query.find(name);
    return found == req.query.end() ? std::string{} : found->second;
}

void require_json(const request& req)
{
    if (!is_json(req))
        throw refusal{415, "the body must be application/json"};
}

awaitable<order_snapshot> find_order(shared_context context, const request& req)
{
    const std::string id = req.captures.at("id");
    auto orders = context->orders;
    auto found = co_await orders.async_find_latest(id, boost::asio::use_awaitable);
    if (!found)
        throw refusal{404, "there is no order " + id};
    co_return std::move(*found);
}

} // namespace order_processing::api
