#pragma once

#include "pawl/error.hpp"

#include <exception>
#include <string>
#include <utility>

namespace pawl::detail {

/// Why an operation failed: the code for programs, and what the code cannot say for people.
struct failure {
    failure() = default;
    failure(error_code why) : code(why) {}
    failure(errc why, std::string text = {}) : code(make_error_code(why)), detail(std::move(text))
    {
    }
    failure(error_code why, std::string text) : code(why), detail(std::move(text)) {}

    explicit operator bool() const noexcept { return code.failed(); }

    error_code code;
    std::string detail; ///< which argument, run or limit; may be empty
};

/// Of an exception of any type: errc::unexpected_exception when it has no code.
failure failure_of(const std::exception_ptr& thrown);

/// pawl::error for a code of Pawl's, else system_error; null when nothing failed.
std::exception_ptr exception_of(const failure& from);

/// So that boost::system::result may hold a failure.
[[noreturn]] void throw_exception_from_error(const failure& from,
                                             const boost::source_location& where);

} // namespace pawl::detail
