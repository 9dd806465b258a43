#pragma once

#include "pawl/http/message.hpp"
#include "pawl/span.hpp"
#include "pawl/time.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pawl::http {

struct client_options {
    /// Longest time from when the request has a connection slot (see max_connections) to the last
    /// byte of the answer, connecting and the TLS handshake included. Above 0. Default 10 s.
    duration timeout = std::chrono::seconds{10};

    /// The most connections to the host at a time; further requests wait for a slot. At least 1.
    /// Default 64.
    std::size_t max_connections = 64;

    /// Longest time that a request waits for a slot; then it fails with not_sent. Above 0. Default
    /// 1 min.
    duration place_timeout = std::chrono::minutes{1};

    /// The most requests that wait for a slot; one more fails at once with not_sent. 0: none waits.
    /// Default 10,000.
    std::size_t max_waiting = 10'000;

    /// How long a connection attempt to one address of the host runs alone, until the next address
    /// is tried in parallel. 0: all at once. Default 250 ms, as RFC 8305 recommends.
    duration attempt_delay = std::chrono::milliseconds{250};

    /// How long the addresses of a host name are used until the name is resolved again. The address
    /// that answered last is tried first. If it then takes longer than `attempt_delay` to resolve
    /// the name, or fails for now, the previous addresses are used. 0: it is resolved for each
    /// connection. Default 5 s.
    duration address_lifetime = std::chrono::seconds{5};

    /// How long an idle connection may be reused. Expired connections are closed when the client is
    /// next used or destroyed, so that an idle client has no work on its executor. Default 30 s.
    duration idle_timeout = std::chrono::seconds{30};

    /// Largest body of an answer, in bytes; a larger one fails the request. Default 4 MiB.
    std::size_t body_limit = 4 * 1024 * 1024;

    /// Headers, such as Authorization, that are added to each request that has no header of that
    /// name. They appear in no error and no log. Default: none.
    std::vector<std::pair<std::string, std::string>> headers;

    /// For https: a PEM file with the certificates of the trusted CAs. Read once, by the
    /// constructor. Only with an https URL. Default: empty, the CAs that the system trusts.
    std::string ca_file;

    /// Each request is a span, a child of its header traceparent, which the request then replaces
    /// by the span's own. Without that header it begins a trace. Default: none, and headers are
    /// sent as they are.
    span_recording tracing;
};

struct client_request {
    std::string method = "GET";
    std::string target = "/"; ///< path, below the client's URL, and query; percent-encoded
    std::string body;
    std::string content_type = "application/json"; ///< sent if there is a body
    std::vector<std::pair<std::string, std::string>> headers;
};

struct client_response {
    int status = 0;
    std::map<std::string, std::string, std::less<>> headers; ///< names in lower case
    std::string body;
};

/// Whether a request without an answer may have had an effect.
enum class failure {
    not_sent = 1, ///< no connection was established in time: the peer has not seen the request
    ambiguous,    ///< sent at least in part, without a full answer: the peer may have acted on it
};

/// Thrown by client::request() if there is no full answer. `what()` names the request and the
/// cause.
class client_error : public std::runtime_error {
public:
    client_error(failure kind, const std::string& text) : std::runtime_error(text), kind_(kind) {}
    failure kind() const noexcept { return kind_; }

private:
    failure kind_;
};

/// An HTTP/1.1 client: a pool of kept-alive connections to one host, plain or over TLS.
///
/// **TLS.** With https a request is sent only to a server that presents a certificate for the host
/// of the URL, from a trusted CA and not expired. Else it fails with not_sent, and the error says
/// what is wrong with the certificate. TLS 1.2 and 1.3; no client certificates.
///
/// **Retries.** A request that fails on a reused connection, before any byte of an answer, is sent
/// once more on a new connection if its method is idempotent (GET, HEAD, PUT, DELETE), if it has an
/// Idempotency-Key, or if nothing of it was sent. Nothing else is retried. A reused connection that
/// the peer has closed is noticed before it is used.
///
/// Requests that wait for a slot get one in the order in which they were made.
///
/// **Name resolution.** A look-up of the host runs on a thread of its own. If it hangs, the
/// requests that need it fail with not_sent after their timeout, and nothing waits for the thread.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class client {
public:
    /// @param url "http://HOST[:PORT][/PATH]", the same with https, or "unix:PATH", where PATH is
    /// the absolute path of a Unix socket (the header Host is then "localhost"). HOST is a name or
    /// an address. PORT is 80 or 443 by default. PATH goes before the target of each request. The
    /// addresses of a name are tried in parallel, IPv6 and IPv4 in turn, each `attempt_delay` after
    /// the one before; the first connection that is established is used (RFC 8305).
    ///
    /// Errors: throws definition_error if the URL is anything else or an option is out of its
    /// range.
    client(boost::asio::any_io_executor executor, std::string url, client_options options = {});

    /// Closes idle connections. Requests in progress continue.
    ~client();

    client(client&&) noexcept;
    client& operator=(client&&) = delete;

    /// Sends a request.
    ///
    /// Completes: on the caller's executor, with the answer, whatever its status. The exchange runs
    /// on a strand of the client's executor.
    ///
    /// Errors: throws client_error — there was no full answer; error (invalid_argument) — a method,
    /// target or header that cannot be sent, or a header that the client sets itself (Host,
    /// Content-Length, Content-Type, Connection, …).
    ///
    /// Cancellation: terminal, partial and total, at any time. The connection is closed, and the
    /// peer may have acted; the call throws boost::system::system_error (operation_aborted).
    boost::asio::awaitable<client_response> request(client_request message);

    /// As it was given to the constructor.
    const std::string& url() const noexcept;

private:
    class impl;
    std::shared_ptr<impl> impl_;
};

} // namespace pawl::http
