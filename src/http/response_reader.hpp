#pragma once

#include "pawl/http/client.hpp"

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace pawl::http::detail {

/// Makes one answer of the bytes of a connection. No I/O, no time.
class response_reader {
public:
    enum class result {
        need_more, ///< offer what was not consumed again, with more behind it
        complete,
        failed, ///< fault() says why
    };

    /// @param to_head the answer to a HEAD request announces a body and has none
    response_reader(bool to_head, std::size_t body_limit);
    ~response_reader();

    /// Takes bytes from the front of `data`; `consumed` says how many. Interim answers (1xx) are
    /// passed over.
    result read(std::string_view data, std::size_t& consumed);

    /// The peer has closed the connection, which is how some answers end.
    result end();

    /// True once a byte of an answer has come.
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
