#pragma once

#include <exception>
#include <string>

namespace pawl::detail {

/// What an exception of any type says of itself; never empty: one without a text is named by its
/// type.
std::string exception_text(const std::exception_ptr& failure);

} // namespace pawl::detail
