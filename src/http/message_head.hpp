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

/// What an answer's head depends on besides the answer.
struct answer_frame {
    bool keep_alive = true;
    bool http_1_0 = false; ///< the request was; keeping the connection must then be said
    std::string_view date; ///< see http_date()
};

/// Appends the status line and headers of `answer` to `out`.
void write_answer_head(std::string& out, const response& answer, const answer_frame& frame);

/// Appends the request line and headers of `what`, for a resource below `where`, to `out`.
void write_request_head(std::string& out, const client_request& what, const url& where);

/// What is wrong with a message that a program wants to send, in words; empty when nothing is.
/// Lines cannot be smuggled into a head, and framing is not the program's business.
std::optional<std::string> find_fault(const response& answer);
std::optional<std::string> find_fault(const client_request& what);

/// The same of headers alone.
std::optional<std::string> find_fault(const header_list& headers);

/// Whether an answer of this status has a body at all.
bool has_body(int status) noexcept;

} // namespace pawl::http::detail
