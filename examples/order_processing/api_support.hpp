#pragma once

#include "api.hpp"
#include "workflow.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

/// What the routes share: refusing a request, reading its query, wrapping a handler.
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

/// A route whose errors become problems, and whose answers are counted. A request whose peer has
/// left is counted with the status 499.
///
/// @param max_requests As pawl::http::route::max_requests.
pawl::http::route make_route(shared_context context, std::string method, std::string pattern,
                             route_function answer, std::size_t max_requests = 0);

/// @throws refusal (400) for a query parameter of any other name.
void allow_query(const pawl::http::request& asked, std::initializer_list<std::string_view> names);

/// A query parameter as a whole number. @throws refusal (400) that names it.
std::int64_t query_number(const pawl::http::request& asked, std::string_view name,
                          std::int64_t otherwise, std::int64_t lowest, std::int64_t highest);

/// A query parameter that is true, false, 1 or 0. @throws refusal (400) that names it.
bool query_flag(const pawl::http::request& asked, std::string_view name);

/// A query parameter's text; empty when it is absent.
std::string query_text(const pawl::http::request& asked, std::string_view name);

/// Reads a request's body. @throws refusal (400) that names the member which is wrong.
template <class T>
T read_body(const pawl::http::request& asked)
{
    try {
        return pawl::codec<T>::decode(asked.body);
    } catch (const pawl::decode_error& error) {
        throw refusal{400, error.detail()};
    }
}

/// The latest run of the order that the path names. @throws refusal (404)
boost::asio::awaitable<order_snapshot> find_order(shared_context context,
                                                  const pawl::http::request& asked);

} // namespace order_processing::api
