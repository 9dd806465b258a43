#pragma once

#include "pawl/error.hpp"
#include "pawl/http/message.hpp"

#include <stdexcept>
#include <string>
#include <string_view>

namespace pawl::admin::detail {

/// Thrown by a route to answer with a problem.
class refusal : public std::runtime_error {
public:
    /// @param code For programs: the name of an errc, or a name of the API's own.
    refusal(int status, std::string_view code, const std::string& detail)
        : std::runtime_error(detail), status_(status), code_(code)
    {
    }

    int status() const noexcept { return status_; }
    const std::string& code() const noexcept { return code_; }

private:
    int status_;
    std::string code_;
};

/// Returns the name of the enumerator; "unknown" for a number without one.
std::string_view name_of(errc code) noexcept;

/// The HTTP status of an error of Pawl.
int status_of(errc code) noexcept;

/// application/problem+json with the member `code`; 503 and 429 have Retry-After.
http::response make_problem(int status, std::string_view code, std::string_view detail);

/// The problem of an error. Errors of other categories are answered 500 without their text.
/// @param is_conditional The request had an If-Match: a conflict is answered 412.
http::response make_problem(const system_error& failure, bool is_conditional = false);

} // namespace pawl::admin::detail
