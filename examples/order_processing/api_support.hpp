#pragma once

#include "api.hpp"
#include "repeated_member.hpp"
#include "workflow.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

/// Helpers of the routes: rejecting a request, reading its query, wrapping a handler.
namespace order_processing::api {

using shared_context = std::shared_ptr<const api_context>;
using route_function = boost::asio::awaitable<pawl::http::response> (*)(shared_context,
                                                                        const pawl::http::request&);

/// Answers the request with a problem of this status; what() is its detail.
class refusal : public std::runtime_error {
public:
    refusal(int status, const std::string& detail) : std::runtime_error(detail), status_(status) {}
    int status() const noexcept { return status_; }

private:
    int status_;
};

/// A route whose errors become problems.
///
/// @param max_requests As pawl::http::route::max_requests.
pawl::http::route make_route(shared_context context, std::string method, std::string pattern,
                             route_function answer, std::size_t max_requests = 0);

/// @throws refusal (400) for a query parameter of any other name.
void allow_query(const pawl::http::request& req, std::initializer_list<std::string_view> names);

/// A query parameter as a whole number. @throws refusal (400) that names it.
std::int64_t query_number(const pawl::http::request& req, std::string_view name,
                          std::int64_t otherwise, std::int64_t lowest, std::int64_t highest);

/// A query parameter that is true, false, 1 or 0. @throws refusal (400) that names it.
bool query_flag(const pawl::http::request& req, std::string_view name);

/// A query parameter's text; empty when it is absent.
std::string query_text(const pawl::http::request& req, std::string_view name);

/// @throws refusal (415) when the request's body is not said to be JSON. A page of another site can
/// send any other type without asking this server first.
void require_json(const pawl::http::request& req);

/// Reads a request's body.
/// @throws refusal (415) when it is not application/json; (400) naming the member that is wrong,
/// unknown, or given twice.
template <class T>
T read_body(const pawl::http::request& req)
{
    require_json(req);
    T document;
    std::string unknown;
    try {
        document = pawl::codec<T>::decode(req.body, pawl::json_reading::tolerant, &unknown);
    } catch (const pawl::decode_error& error) {
        throw refusal{400, error.detail()};
    }
    if (!unknown.empty())
        throw refusal{400, unknown + ": there is no such member"};
    if (const auto repeated = find_repeated_member(req.body))
        throw refusal{400, *repeated + ": is given twice"};
    return document;
}

/// The latest run of the order that the path names. @throws refusal (404)
boost::asio::awaitable<order_snapshot> find_order(shared_context context,
                                                  const pawl::http::request& req);

} // namespace order_processing::api
