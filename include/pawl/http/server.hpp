#pragma once

#include "pawl/http/message.hpp"
#include "pawl/log.hpp"
#include "pawl/time.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pawl::http {

/// One route: "GET", "/orders/{id}/history", and what answers it.
///
/// A `{name}` matches one path segment that is not empty. Where several patterns match a path, the
/// one with the earlier literal segment does, whatever the method. "/a" and "/a/" are two paths.
/// Segments are split before they are decoded, so that a capture can hold a slash.
struct route {
    std::string method;
    std::string pattern;
    handler answer;

    /// Requests of this route that are answered at a time. One more is answered 503 with
    /// Retry-After, and its connection stays open. For handlers that wait long: each of their
    /// requests holds a connection. Default 0: no limit but server_options::max_connections.
    std::size_t max_requests = 0;
};

/// One answer of a server, for an access log and for counters. The texts last for the call.
struct answer_record {
    std::string_view request_id;
    std::string_view peer;   ///< the address that the connection came from
    std::string_view method; ///< empty when the request line could not be read
    std::string_view path;   ///< as it was sent, without the query
    std::string_view route;  ///< the pattern of the route; empty when the path has none
    std::string_view user;   ///< request::user
    int status = 0;          ///< 499 when the peer left before it was answered
    std::size_t size = 0;    ///< of the answer's body, in bytes
    duration took{};         ///< from the last byte of the request until the answer was sent
};

struct server_options {
    std::string address = "127.0.0.1"; ///< an IPv4 or IPv6 address to listen on
    std::uint16_t port = 0;            ///< 0 picks a free one: see server::port()

    /// PEM files for TLS 1.2 and 1.3: the server's certificate, with those of the CAs between it
    /// and the root behind it, and its private key without a password. Both are read once, when the
    /// server is made. Default empty: plain HTTP.
    std::string certificate_chain_file;
    std::string private_key_file;

    /// Largest request body, in bytes; a larger one is answered 413. Default 1 MiB.
    std::size_t body_limit = 1024 * 1024;

    /// Largest request line and headers together, in bytes; larger is answered 431. Default 16 KiB.
    std::size_t header_limit = 16 * 1024;

    /// From the first byte of a request to its last; then 408, and the connection is closed. Also
    /// for the TLS handshake. Default 10 s.
    duration read_timeout = std::chrono::seconds{10};

    /// How long a kept-alive connection may wait for its next request. Default 60 s.
    duration idle_timeout = std::chrono::seconds{60};

    /// To send one answer to a slow reader. Default 10 s.
    duration write_timeout = std::chrono::seconds{10};

    /// Connections at a time; more wait in the listen queue. Keep it below the limit on the
    /// process's descriptors: what handlers call needs descriptors too. Default 10,000.
    std::size_t max_connections = 10'000;

    /// While another connection waits and max_connections are open, or the process or the system
    /// has no free descriptor, the connection is closed that has waited longest for its peer to
    /// send something, once it has waited this long. So peers that open connections and say nothing
    /// do not keep others out. A peer that has sent a part of a request is answered 408.
    /// Default 500 ms.
    duration crowded_idle_timeout = std::chrono::milliseconds{500};

    /// Names that the Host of a request may have, without a port, besides an address and
    /// "localhost". A request with another one is answered 421. Without this limit a page in a
    /// browser reaches a server that only its user can reach, by resolving the page's own name to
    /// the server's address (DNS rebinding). Default empty: any name.
    std::vector<std::string> hosts;

    /// Origins, such as "https://shop.example", whose pages may send requests, besides the server's
    /// own, which is the Host of the request; "*" stands for any. A request with another Origin is
    /// answered 403. Default empty: its own only.
    std::vector<std::string> origins;

    /// Decides whether a request may go on: returns the answer that refuses it, or nothing. `route`
    /// is the pattern of its route, empty when the path has none. It may set request::user. Called
    /// before the request's handler, on the strand of the connection: from several threads at a
    /// time where the executor has several. It must not block or throw. Default: all go on.
    std::function<std::optional<response>(request& asked, std::string_view route)> authorize;

    /// Called after each answer, also for those that the server gives by itself, on the strand of
    /// the connection: from several threads at a time where the executor has several. It must not
    /// block or throw.
    ///
    /// If it is set, each request has an id: its X-Request-Id, if that is of 1 to 128 letters,
    /// digits and "-_.", else 16 random hexadecimal digits. The handler finds it in the request's
    /// header x-request-id, the answer has it as X-Request-Id, and so has the log where a handler
    /// fails. Default: none.
    std::function<void(const answer_record&)> on_answer;

    /// Where log lines go. Empty: nowhere. Default: warnings and errors to standard error.
    log_sink log = log_to_stderr;
};

/// An HTTP/1.1 server with keep-alive and pipelining in order, plain or over TLS.
///
/// Answers by itself: 404 for an unknown path, 405 with Allow for an unknown method, HEAD from GET,
/// 400 for what is not HTTP, has ambiguous framing, a path or query that cannot be decoded, or a
/// query that gives a name twice, 403 and 421 as the options say, 408, 413, 417, 431, 501; 204 for
/// "OPTIONS *". A connection on which a malformed request was refused is closed.
///
/// A target in absolute form ("GET http://HOST/PATH") is taken as its path, and its HOST counts
/// instead of the Host header.
///
/// A peer that closes its connection, or only its sending side, has left: its request ends at once,
/// and its handler is cancelled. A peer that vanishes without closing is noticed by TCP keep-alive
/// within a minute.
///
/// Each connection has a strand of its own on the executor.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class server {
public:
    /// Binds and listens; serving begins with start().
    /// @throws boost::system::system_error when the address cannot be bound; what() names it.
    /// @throws definition_error for a malformed or repeated route, an option out of its range, or a
    /// certificate or key that cannot be used.
    server(boost::asio::any_io_executor executor, std::vector<route> routes,
           server_options options = {});

    /// Precondition: never started, or async_stop has completed.
    ~server();

    server(server&&) noexcept;
    server& operator=(server&&) = delete;

    /// The port that it listens on.
    std::uint16_t port() const noexcept;

    /// "http://ADDRESS:PORT", or the same with https
    std::string url() const;

    /// Connections that are open, or whose handler has not ended yet.
    std::size_t connections() const noexcept;

    /// Begins to accept. Does not block. Without effect after async_stop.
    void start();

    /// Stops to accept, closes idle connections, lets requests that have begun to arrive or are
    /// being answered finish until `deadline` from now, then cancels them, and completes when the
    /// last connection is closed. Idempotent; legal before start().
    ///
    /// Precondition: not called from a handler, which it would wait for.@n
    /// Cancellation: none; a stop that has begun goes on. It completes late only when a handler
    /// disregards its own cancellation.
    boost::asio::awaitable<void> async_stop(any_duration deadline);

private:
    class impl;
    std::shared_ptr<impl> impl_;
};

} // namespace pawl::http
