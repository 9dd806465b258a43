#pragma once

#include "admin/guard.hpp"
#include "admin/permission.hpp"
#include "admin/refusal.hpp"
#include "pawl/admin.hpp"

#include <boost/asio/awaitable.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace pawl::admin::detail {

/// The overview that streams send. However many streams there are, it is read once an interval.
struct overview_cache {
    std::mutex mutex;
    std::string text;
    std::chrono::steady_clock::time_point read_at{};
};

/// What the routes share.
struct api_core {
    api_core(operations core, api_options set)
        : engine(std::move(core)), options(std::move(set)), rules(options)
    {
    }

    const operations engine;
    const api_options options;
    guard rules;
    std::atomic<std::size_t> requests = 0; ///< in progress
    overview_cache overview;
};

using shared_core = std::shared_ptr<api_core>;

/// Answers a request that the sender may make. Throws refusal, or system_error of Pawl.
using route_function = boost::asio::awaitable<http::response> (*)(shared_core core,
                                                                  const http::request& message,
                                                                  identity sender);

/// A route of the API. Without a permission it does not compile.
struct api_route {
    api_route(std::string_view verb, std::string_view path, permission need, route_function fn)
        : method(verb), pattern(path), needed(need), answer(fn)
    {
    }

    std::string_view method;
    std::string_view pattern; ///< below PREFIX/api/v1
    permission needed;
    route_function answer;
};

inline constexpr std::string_view api_path = "/api/v1";
inline constexpr std::string_view stream_pattern = "/stream";
inline constexpr permission stream_permission = permission::read_runs;

std::vector<api_route> read_routes();
std::vector<api_route> command_routes();
std::vector<api_route> bulk_routes();
boost::asio::awaitable<http::response> open_stream(shared_core core, const http::request& message,
                                                   identity sender);

/// All routes.
std::vector<api_route> api_routes();

/// Answers a request of an identified sender; an error becomes a problem.
boost::asio::awaitable<http::response> answer_route(shared_core core, api_route route,
                                                    const http::request& message, identity sender);

/// The run that the path names: by its id, or by WORKFLOW:FOREIGN_ID, which is the newest run of
/// the foreign id. Throws refusal if no such run exists.
boost::asio::awaitable<run_view> find_run(shared_core core, const http::request& message);

/// The problem of a request that a rule refuses; tells api_options::on_refusal.
http::response refuse(const api_core& core, const refusal& reason);

http::response json_response(std::string body);

} // namespace pawl::admin::detail
