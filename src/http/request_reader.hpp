#pragma once

#include "http/target.hpp"
#include "pawl/http/message.hpp"

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace pawl::http::detail {

/// Parses the requests of one connection. No I/O, no time.
///
/// The header is parsed as a whole, so that its limit is exact and so that it can be checked for
/// faults that Beast's parser accepts. The body is parsed as it arrives.
class request_reader {
public:
    enum class result {
        need_more, ///< call again with the bytes that were not consumed, and more
        complete,  ///< message() is a whole request; call next() before the one after it
        refused,   ///< answer with refusal() and close the connection
    };

    request_reader(std::size_t header_limit, std::size_t body_limit);
    ~request_reader();

    /// Takes bytes from the front of `data`; `consumed` says how many.
    result read(std::string_view data, std::size_t& consumed);

    /// True after a byte of a request has arrived.
    bool started() const noexcept;

    /// True once after a header that expects "100 Continue", if no byte of the body has arrived.
    bool take_continue() noexcept;

    /// Bytes to read at once: more for a body than for a header.
    std::size_t read_size() const noexcept;

    request& message() noexcept;
    const std::vector<std::string>& segments() const noexcept; ///< of the path
    std::string_view path_as_sent() const noexcept;            ///< without the query
    std::string title() const; ///< "GET /orders/1": for logs, as it was sent
    bool keep_alive() const noexcept;
    bool http_1_0() const noexcept;

    response refusal() const;

    /// Refuses the request for a reason outside the parser, such as a time limit.
    void refuse(int status, std::string_view detail);

    void next();

private:
    class parser;
    struct state;
    result read_header(std::string_view data, std::size_t& consumed);
    result read_body(std::string_view data, std::size_t& consumed);
    result reject(int status, std::string_view detail);

    std::unique_ptr<state> state_;
};

} // namespace pawl::http::detail
