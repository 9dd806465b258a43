#pragma once

#include "pawl/admin/authenticator.hpp"
#include "pawl/error.hpp"
#include "pawl/http/client.hpp"
#include "pawl/http/server.hpp"
#include "pawl/operations.hpp"
#include "pawl/time.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace pawl::admin {

/// Options of an api.
struct api_options {
    /// Decides who has sent a request: token_file(), trusted_proxy(), loopback_only() or one of
    /// your own. Required.
    std::shared_ptr<admin::authenticator> authenticator;

    /// The path below which the routes are: empty, or a path such as "/admin" that begins with a
    /// slash and does not end with one. Default: empty.
    std::string prefix{};

    /// Host names under which the API may be reached (the header Host, without a port); addresses
    /// and "localhost" always may. A request for another name is answered 421, which prevents DNS
    /// rebinding. Default: empty, none.
    std::vector<std::string> hosts{};

    /// Returns why the engine does not accept work; no error while it does. Normally
    /// engine::readiness(). Default: empty, always ready.
    std::function<error_code()> readiness{};

    /// Called for each request that a rule refuses, with the status and the code of the answer: an
    /// unknown sender, a missing permission, too many requests. The codes are those of the table
    /// "Rules" in src/admin/README.md. Any thread may call it; it must not throw. For example
    /// prometheus_metrics::admin_refused(). Default: empty.
    std::function<void(int status, std::string_view code)> on_refusal{};

    /// Whether `GET PREFIX/` is the console: the pages for a browser, which use the API and nothing
    /// else. Default true.
    bool has_console = true;

    /// The most requests in progress, streams not counted; one more is answered 503 with
    /// Retry-After. So operators never take more of the engine's calls than that. At least 1.
    /// Default 32.
    std::size_t max_requests = 32;

    /// The most streams at a time; one more is answered 503. At least 1. Default 64.
    std::size_t max_streams = 64;

    /// Largest body of a request, in bytes; a larger one is answered 413. The limit of the server
    /// applies before it. At least 1. Default 1 MiB.
    std::size_t max_body = 1024 * 1024;

    /// Failed sign-ins (requests with an invalid token) from one address within a minute; then each
    /// request from that address is answered 429 until the minute is over. At least 1. Default 20.
    std::size_t max_failed_sign_ins = 20;

    /// How often a stream looks for changes. Above 0. Default 1 s.
    duration stream_interval = std::chrono::seconds{1};

    /// How long a stream lasts. The browser then opens it again, and signs in again. Above 0.
    /// Default 10 min.
    duration stream_lifetime = std::chrono::minutes{10};
};

/// The admin API: what operators read and change, over HTTP and JSON.
///
/// It has no feature that pawl::operations lacks. `GET PREFIX/api/v1/openapi.json` describes it;
/// src/admin/README.md is the guide for operators. Errors are application/problem+json, with the
/// name of the errc as `code`. Times are RFC 3339 in UTC, 64-bit numbers are texts, and an object
/// is as its codec has written it.
///
/// Each route has a permission; which role has which permission is in src/admin/README.md. Methods
/// that change something need the content type application/json, and a browser sends them only from
/// a page of the same origin.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class api {
public:
    /// @throws definition_error when an option is out of its range; what() names it.
    api(operations core, api_options options);

    /// The routes, for an http::server of your own: mount them beside other routes. They may
    /// outlive the api. The server's `origins` should not have "*".
    std::vector<http::route> routes() const;

    /// Answers a request without a server, sent by `sender`, who has been identified otherwise. The
    /// rules for browsers (Host, Origin, content type) and the limits are not applied.
    ///
    /// Completes: with the answer; an unknown path is answered 404. `GET /stream` is answered 404.
    boost::asio::awaitable<http::response> handle(http::client_request request,
                                                  identity sender) const;

private:
    class impl;
    std::shared_ptr<const impl> impl_;
};

} // namespace pawl::admin
