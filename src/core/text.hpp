#pragma once

#include <cstddef>
#include <string>

namespace pawl::core {

/// The first `max_bytes` bytes of the text, without an incomplete character at the end: databases
/// and JSON reject invalid UTF-8.
std::string truncate_utf8(std::string text, std::size_t max_bytes);

} // namespace pawl::core
