#pragma once

#include "pawl/http/client.hpp"

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace pawl::http::detail {

/// Parses one answer. No I/O, no time.
class response_reader {
public:
    enum class result {
        need_more, ///< call again with the bytes that were not consumed, and more
        complete,
        failed, ///< fault() says why
    };

    /// @param to_head the answer to a HEAD request announces a body and has none
    response_reader(bool to_head, std::size_t body_limit);
    ~response_reader();

    /// Takes bytes from the front of `data`; `consumed` says how many. Interim answers (1xx) are
    /// passed over.
    result read(std::string_view data, std::size_t& consumed);

    /// The peer has closed the connection, which ends an answer without a length.
    result end();

    /// True after a byte of an answer has arrived.
    bool started() const noexcept;

    bool keep_alive() const noexcept; ///< of a complete answer
    client_response take();
    const std::string& fault() const noexcept;

private:
    class parser;
    struct state;
    result reject(std::string why);

    std::unique_ptr<state> state_;
};

} // namespace pawl::http::detail
