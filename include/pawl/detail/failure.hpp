#pragma once

#include "pawl/error.hpp"

#include <exception>
#include <string>
#include <utility>

namespace pawl::detail {

/// Why an operation failed: the code for programs, and a human-readable detail.
struct failure {
    failure() = default;
    failure(error_code reason) : code(reason) {}
    failure(errc reason, std::string text = {})
        : code(make_error_code(reason)), detail(std::move(text))
    {
    }
    failure(error_code reason, std::string text) : code(reason), detail(std::move(text)) {}

    explicit operator bool() const noexcept { return code.failed(); }

    error_code code;
    std::string detail; ///< which argument, run or limit; may be empty
};

/// Returns the failure that an exception stands for; errc::unexpected_exception if it has no code.
failure failure_of(const std::exception_ptr& thrown);

/// Returns pawl::error for a code of Pawl, else system_error; null when nothing failed.
std::exception_ptr exception_of(const failure& result);

/// Lets boost::system::result hold a failure.
[[noreturn]] void throw_exception_from_error(const failure& result,
                                             const boost::source_location& location);

} // namespace pawl::detail
