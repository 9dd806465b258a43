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

/// One request, fully read and decoded. Beast does not appear in it.
struct request {
    std::string method;                                    ///< "GET", "POST", …
    std::string path;                                      ///< without the query, percent-decoded
    std::map<std::string, std::string, std::less<>> query; ///< percent-decoded, '+' as a space
    std::map<std::string, std::string, std::less<>>
        captures;                                            ///< what `{name}` of the route matched
    std::map<std::string, std::string, std::less<>> headers; ///< names in lower case
    std::string body;
    std::string user; ///< who sent it, as server_options::authorize tells; else empty

    /// A header's value, or "" when it is absent. `name` in lower case.
    std::string_view header(std::string_view name) const;
};

/// An answer. One that cannot be sent as it is (a status outside 200 to 599, a line break in a
/// header, a header that frames the message, such as Connection) becomes a 500 and is logged.
struct response {
    int status = 200;
    std::string body;
    std::string content_type = "application/json";
    std::vector<std::pair<std::string, std::string>> headers; ///< besides content type and length
};

/// A problem as RFC 9457 describes it: application/problem+json with status, title and detail.
/// `title` is the status's reason phrase.
response problem(int status, std::string_view detail);

/// Thrown by a handler: the request gets no answer, and its connection is closed. For a service
/// that shall fail in a way that its callers must bear.
class drop_connection : public std::exception {
public:
    enum class when {
        now,
        peer_has_closed, ///< keeps a silent connection until then, or until the server stops
    };

    explicit drop_connection(when moment = when::now) noexcept : moment_(moment) {}
    when moment() const noexcept { return moment_; }
    const char* what() const noexcept override { return "the handler dropped the connection"; }

private:
    when moment_;
};

/// Answers one request. An exception other than drop_connection becomes a 500 that tells the peer
/// nothing of its text, which is logged.
///
/// Runs on the connection's strand; the request lives until it completes. The server cancels it
/// (terminal) when the peer has left, or when a stop's deadline has passed. There is no time limit
/// on a handler.
using handler = std::function<boost::asio::awaitable<response>(const request&)>;

} // namespace pawl::http
