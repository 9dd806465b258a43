#pragma once

#include <exception>
#include <string>

namespace pawl::detail {

/// Returns the text of an exception of any type; an exception without a text is named by its type.
/// Never empty.
std::string exception_text(const std::exception_ptr& failure);

} // namespace pawl::detail
