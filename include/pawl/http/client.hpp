#pragma once

#include "pawl/http/message.hpp"
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
    /// From the moment when the request has its place among max_connections to the last byte of the
    /// answer, connecting and the TLS handshake included. Default 10 s.
    duration timeout = std::chrono::seconds{10};

    /// Connections to the host at a time; more requests wait for one. Default 64.
    std::size_t max_connections = 64;

    /// How long a request may wait for its place, while others have all of them. It fails then with
    /// not_sent. Default 1 min.
    duration place_timeout = std::chrono::minutes{1};

    /// Requests that wait for a place at a time. One more fails at once with not_sent. Default
    /// 10,000.
    std::size_t max_waiting = 10'000;

    /// How long to wait for a connection to one address of the host before the next address is
    /// tried beside it. Default 250 ms, as RFC 8305 recommends.
    duration attempt_delay = std::chrono::milliseconds{250};

    /// How long the addresses of a name are used before they are looked up again. The one that
    /// answered last is tried first. Default 5 s.
    duration address_lifetime = std::chrono::seconds{5};

    /// Idle connections are kept this long. They are closed when the client is used next, or
    /// destroyed: a quiet client leaves no work behind on its executor. Default 30 s.
    duration idle_timeout = std::chrono::seconds{30};

    /// Largest answer that is read, in bytes. Default 4 MiB.
    std::size_t body_limit = 4 * 1024 * 1024;

    /// Sent with each request that does not have a header of that name itself: an Authorization.
    /// They appear in no error and no log. Default: none.
    std::vector<std::pair<std::string, std::string>> headers;

    /// For https: a PEM file with the certificates of the CAs that are trusted. Read once, when the
    /// client is made. Default empty: the CAs that the system trusts.
    std::string ca_file;
};

struct client_request {
    std::string method = "GET";
    std::string target = "/"; ///< path below that of the URL, and query; percent-encoded
    std::string body;
    std::string content_type = "application/json"; ///< sent when there is a body
    std::vector<std::pair<std::string, std::string>> headers;
};

struct client_response {
    int status = 0;
    std::map<std::string, std::string, std::less<>> headers; ///< names in lower case
    std::string body;
};

/// What went wrong with a request that got no answer, by what is known of its effect.
enum class failure {
    not_sent = 1, ///< no connection, or time ran out before one: the peer has not seen the request
    ambiguous,    ///< sent at least in part, and no full answer came: the peer may have acted on it
};

/// @par what() names the request and the cause. operation_aborted after cancellation is thrown as
/// boost::system::system_error instead.
class client_error : public std::runtime_error {
public:
    client_error(failure kind, const std::string& what) : std::runtime_error(what), kind_(kind) {}
    failure kind() const noexcept { return kind_; }

private:
    failure kind_;
};

/// A pool of kept-alive connections to one host, plain or over TLS.
///
/// With https a request is sent only to a server that shows a certificate for the URL's HOST, from
/// a trusted CA and not expired; else the request fails with not_sent, and the error says what is
/// wrong with the certificate. TLS 1.2 and 1.3; no client certificates.
///
/// A request that fails on a connection that was idle, before any byte of an answer, and whose
/// method is idempotent (GET, HEAD, PUT, DELETE) or that carries an Idempotency-Key, is sent once
/// more on a fresh connection; so is any request of which nothing was sent. An idle connection that
/// the peer has closed is noticed before it is used. Requests that wait for a connection get one in
/// the order in which they came.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class client {
public:
    /// @param url "http://HOST[:PORT][/PATH]", or the same with https. HOST is a name or an
    /// address; PORT is 80 or 443 by default; PATH goes before the target of each request. The
    /// addresses of a name are tried side by side, IPv6 and IPv4 in turns, each a little later than
    /// the one before; the first connection that is made is used (RFC 8305).
    /// @throws definition_error when it is anything else, or an option is out of its range.
    client(boost::asio::any_io_executor executor, std::string url, client_options options = {});

    /// Closes idle connections. Requests that are under way keep what they need alive.
    ~client();

    client(client&&) noexcept;
    client& operator=(client&&) = delete;

    /// Sends a request and completes with its answer, whatever its status.
    ///
    /// Executor: the caller's; the exchange itself happens on a strand of the client's executor.@n
    /// Cancellation: terminal, partial and total, at any time; the connection is then closed, and
    /// the peer may have acted.
    /// @throws client_error when there was no full answer.
    /// @throws error (errc::invalid_argument) for a method, target or header that cannot be sent,
    /// or that the client sets itself (Host, Content-Length, Content-Type, Connection, ...).
    boost::asio::awaitable<client_response> request(client_request what);

    const std::string& url() const noexcept;

private:
    class impl;
    std::shared_ptr<impl> impl_;
};

} // namespace pawl::http
