#pragma once

#include "http/url.hpp"
#include "pawl/http/client.hpp"
#include "pawl/http/message.hpp"

#include <ctime>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pawl::http::detail {

using header_list = std::vector<std::pair<std::string, std::string>>;

/// Properties of the connection that an answer's head depends on.
struct answer_frame {
    bool keep_alive = true;
    bool http_1_0 = false; ///< the request was; keeping the connection must then be said
    bool streamed = false; ///< the body follows in parts: in chunks, or to the end with HTTP/1.0
    std::string_view date; ///< see http_date()
};

/// Appends the status line and headers of `answer` to `out`.
void write_answer_head(std::string& out, const response& answer, const answer_frame& frame);

/// Appends the request line and headers of `request`, for a resource below `target`, to `out`.
void write_request_head(std::string& out, const client_request& request, const url& target);

/// Describes the fault of a message that a program wants to send; empty if it has none. Line breaks
/// in headers, and headers that frame the message, are faults.
std::optional<std::string> find_fault(const response& answer);
std::optional<std::string> find_fault(const client_request& request);

/// The same of headers alone.
std::optional<std::string> find_fault(const header_list& headers);

/// Whether an answer of this status has a body at all.
bool has_body(int status) noexcept;

} // namespace pawl::http::detail
