#pragma once

#include "pawl/http/message.hpp"
#include "pawl/log.hpp"
#include "pawl/span.hpp"
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

/// A route: a method, a pattern such as "/orders/{id}/history", and its handler.
///
/// A `{name}` matches one path segment that is not empty. A `{name...}`, which must be the last
/// segment, matches all that remain, at least one; they are joined by slashes and may be empty. If
/// several patterns match a path, the one with the earlier literal segment is used, whatever the
/// method, and `{name}` is preferred to `{name...}`. "/a" and "/a/" are two paths. The path is
/// split before its segments are decoded, so that a capture may contain a slash.
struct route {
    std::string method;
    std::string pattern;
    handler answer;

    /// The most requests of this route in progress, streams included; one more is answered 503 with
    /// Retry-After, and its connection stays open. For handlers that wait long, because each
    /// request holds a connection. Default 0: no limit but server_options::max_connections.
    std::size_t max_requests = 0;
};

/// One answer of a server, for an access log or counters. The texts are valid during the call.
struct answer_record {
    std::string_view request_id;
    std::string_view peer;   ///< request::peer
    std::string_view method; ///< empty when the request line could not be read
    std::string_view path;   ///< as it was sent, without the query
    std::string_view route;  ///< the pattern of the route; empty if no route matches
    std::string_view user;   ///< request::user
    int status = 0;          ///< 499 if the peer closed the connection before the answer
    std::size_t size = 0;    ///< of the answer's body, in bytes; of a stream, what was sent
    duration took{};         ///< from the last byte of the request until the answer was sent
};

struct server_options {
    std::string address = "127.0.0.1"; ///< the IPv4 or IPv6 address to listen on
    std::uint16_t port = 0;            ///< 0: a free port, see server::port()

    /// Set: the server listens on a Unix socket of this path, and not on `address` and `port`. Only
    /// the user of the process can connect (mode 0600). The socket of a process that has ended is
    /// replaced; the socket of a process that listens, or a file of another type, is an error. The
    /// server removes the socket when it stops. Default: empty.
    std::string socket_path;

    /// PEM files for TLS 1.2 and 1.3: the server's certificate, followed by those of the
    /// intermediate CAs, and its private key without a password. Set both or none. Both are read
    /// once, by the constructor. Default: empty, plain HTTP.
    std::string certificate_chain_file;
    std::string private_key_file;

    /// Largest request body, in bytes; a larger one is answered 413. Default 1 MiB.
    std::size_t body_limit = 1024 * 1024;

    /// Largest request line and headers together, in bytes; a larger one is answered 431. At
    /// least 1. Default 16 KiB.
    std::size_t header_limit = 16 * 1024;

    /// Longest time from the first byte of a request to its last; then it is answered 408 and the
    /// connection is closed. Also the longest time for the TLS handshake. Above 0. Default 10 s.
    duration read_timeout = std::chrono::seconds{10};

    /// How long a kept-alive connection may wait for its next request until it is closed. Above 0.
    /// Default 60 s.
    duration idle_timeout = std::chrono::seconds{60};

    /// Longest time to send one answer; then the connection is closed. Above 0. Default 10 s.
    duration write_timeout = std::chrono::seconds{10};

    /// The most open connections; more wait in the listen queue. Keep it below the process's limit
    /// on descriptors, because handlers need descriptors too. At least 1. Default 10,000.
    std::size_t max_connections = 10'000;

    /// How long a connection may wait for data from its peer while the server is full, which means
    /// that another connection waits and max_connections are open or no descriptor is free. The
    /// server then closes the connection that has waited longest, so that silent peers do not keep
    /// others out. A peer that has sent a part of a request is answered 408. Above 0. Default 500
    /// ms.
    duration crowded_idle_timeout = std::chrono::milliseconds{500};

    /// Allowed host names of requests (the header Host), without a port; addresses and "localhost"
    /// are always allowed. A request for another name is answered 421. It prevents DNS rebinding: a
    /// web page that resolves its own name to the server's address reaches a server that only the
    /// browser's user can reach. Default: empty, any name.
    std::vector<std::string> hosts;

    /// Allowed origins of web pages that send requests, such as "https://shop.example"; "*" allows
    /// all. The server's own origin, the Host of the request, is always allowed. A request with
    /// another Origin is answered 403. Default: empty, the server's own only.
    std::vector<std::string> origins;

    /// Called before the handler of a request: returns the answer that rejects the request, or
    /// nothing to accept it. It may set request::user. `route` is the pattern of the route, empty
    /// if none matches. Called on the strand of the connection, so concurrently if the executor has
    /// several threads. It must not block or throw. Default: none; all requests are accepted.
    std::function<std::optional<response>(request& message, std::string_view route)> authorize;

    /// Called after each answer, those included that the server gives by itself. Called on the
    /// strand of the connection, so concurrently if the executor has several threads. It must not
    /// block or throw. Default: none.
    ///
    /// If it is set, each request has an id: its X-Request-Id, if that has 1 to 128 letters, digits
    /// and "-_.", else 16 random hexadecimal digits. The id is in the header x-request-id of the
    /// request that the handler gets, in the answer, and in the log line of a handler that fails.
    std::function<void(const answer_record&)> on_answer;

    /// Each request is a span, a child of its header traceparent, whose value in the request that
    /// the handler gets is then the span's own. Without that header it begins a trace. Default:
    /// none, and headers are as they were sent.
    span_recording tracing;

    /// Receives log lines. Empty: no log. Default: warnings and errors go to standard error.
    log_sink log = log_to_stderr;
};

/// An HTTP/1.1 server with keep-alive and pipelining in order, plain or over TLS.
///
/// It answers by itself:
/// - 404 for an unknown path, 405 with Allow for an unknown method of a path;
/// - HEAD like GET, without the body; 204 for "OPTIONS *";
/// - 400 for a request that is not HTTP, has ambiguous framing, has a path or query that cannot be
///   decoded, or a query with a repeated name; the connection of a malformed request is closed;
/// - 403 and 421, see server_options::origins and hosts; 408, 413, 431, see the limits there; 417;
///   501; 503, see route::max_requests.
///
/// The HOST of a target in absolute form ("GET http://HOST/PATH") replaces the Host header.
///
/// When a peer closes its connection, or its sending side only, its request ends at once and the
/// handler is cancelled. A peer that vanishes without closing is detected by TCP keep-alive within
/// a minute.
///
/// Each connection has a strand of its own on the executor.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class server {
public:
    /// Binds the address and listens. start() begins to accept connections.
    ///
    /// Errors: throws boost::system::system_error, naming the address, if it cannot be bound;
    /// definition_error for a malformed or repeated route, an option out of its range, or a
    /// certificate or key that cannot be used.
    server(boost::asio::any_io_executor executor, std::vector<route> routes,
           server_options options = {});

    /// Precondition: never started, or async_stop has completed.
    ~server();

    server(server&&) noexcept;
    server& operator=(server&&) = delete;

    /// The port that the server listens on; 0 for a Unix socket.
    std::uint16_t port() const noexcept;

    /// "http://ADDRESS:PORT", or the same with https; "unix:PATH" for a Unix socket. client takes
    /// it.
    std::string url() const;

    /// The number of connections that are open, or whose handler has not ended.
    std::size_t connections() const noexcept;

    /// Begins to accept connections. Does not block. Has no effect after async_stop().
    void start();

    /// Stops accepting, closes idle connections, cancels streams, and lets requests that have begun
    /// to arrive or are being answered finish. After `timeout` it cancels their handlers and closes
    /// their connections. May be called before start(), and several times.
    ///
    /// Precondition: not called by a handler, because it waits for the handlers.
    ///
    /// Completes: when the last connection is closed. That is later than `timeout` only if a
    /// handler ignores its cancellation.
    ///
    /// Cancellation: none; the stop continues.
    boost::asio::awaitable<void> async_stop(any_duration timeout);

private:
    class impl;
    std::shared_ptr<impl> impl_;
};

} // namespace pawl::http
