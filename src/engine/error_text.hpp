#pragma once

#include "pawl/error.hpp"

#include <exception>
#include <string>

namespace pawl::engine_detail {

/// What an exception of any type says of itself.
std::string error_text(const std::exception_ptr& failure);

/// The code of a system_error; errc::store_unavailable for anything else that a store may throw.
error_code error_code_of(const std::exception_ptr& failure);

} // namespace pawl::engine_detail
