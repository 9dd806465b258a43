#pragma once

#include <boost/asio/awaitable.hpp>

#include <exception>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pawl::http {

/// One request, fully read and decoded.
struct request {
    std::string method;                                    ///< "GET", "POST", …
    std::string path;                                      ///< without the query, percent-decoded
    std::map<std::string, std::string, std::less<>> query; ///< percent-decoded, '+' as a space
    std::map<std::string, std::string, std::less<>> captures; ///< values of the route's `{name}`s
    std::map<std::string, std::string, std::less<>> headers;  ///< names in lower case
    std::string body;
    std::string user; ///< the sender, if server_options::authorize has set it; else empty
    std::string peer; ///< the address that the connection came from; "unix" for a Unix socket

    /// The value of a header, or "" if it is absent. `name` is in lower case.
    std::string_view header(std::string_view name) const;
};

/// Where the function of response::stream writes the body.
class body_writer {
public:
    /// Sends the next part of the body. An empty part has no effect.
    ///
    /// Completes: when the part has been handed to the operating system. A writer therefore holds
    /// one part in memory, however slowly the peer reads.
    ///
    /// Errors: throws boost::system::system_error (operation_aborted) — the connection was closed:
    /// by the peer, because the part was not sent within server_options::write_timeout, or by
    /// server::async_stop().
    virtual boost::asio::awaitable<void> write(std::string part) = 0;

protected:
    ~body_writer() = default;
};

/// An answer. The server sends a 500 instead, and logs it, if the answer cannot be sent: a status
/// outside 200 to 599, a line break in a header, a header that frames the message, such as
/// Connection.
struct response {
    int status = 200; ///< 200 to 599
    std::string body;
    std::string content_type = "application/json";
    std::vector<std::pair<std::string, std::string>> headers; ///< without content type and length

    /// Set: the body is what the function writes, and `body` is not used. The server calls it when
    /// it has sent the head, and ends the answer when it completes. It must not use the request,
    /// but copies of its parts. An exception is logged and closes the connection, by which the peer
    /// can tell that the answer is incomplete. It is not called for HEAD.
    ///
    /// Cancellation: as of a handler; async_stop() cancels it at once, because a stream may have no
    /// end.
    std::function<boost::asio::awaitable<void>(body_writer&)> stream;
};

/// Makes an answer in the format of RFC 9457: application/problem+json with status, title and
/// detail. The title is the reason phrase of the status.
response problem(int status, std::string_view detail);

/// Throw it in a handler to close the connection without an answer: to simulate a service that
/// fails.
class drop_connection : public std::exception {
public:
    enum class when {
        now,
        peer_has_closed, ///< stays silent until the peer closes, or the server stops
    };

    explicit drop_connection(when moment = when::now) noexcept : moment_(moment) {}
    when moment() const noexcept { return moment_; }
    const char* what() const noexcept override { return "the handler dropped the connection"; }

private:
    when moment_;
};

/// Answers one request.
///
/// It runs on the strand of the connection. The request is valid until it completes. An exception,
/// other than drop_connection, is logged and becomes a 500 whose body does not quote it.
///
/// Cancellation: the server cancels it (terminal) when the peer has closed the connection, or after
/// the timeout of server::async_stop(). There is no time limit on a handler.
using handler = std::function<boost::asio::awaitable<response>(const request&)>;

} // namespace pawl::http
