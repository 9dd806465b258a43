#pragma once

#include <cstddef>
#include <string>

namespace pawl::core {

/// The first `max_bytes` bytes of the text, without an incomplete character at the end: databases
/// and JSON reject invalid UTF-8.
std::string truncate_utf8(std::string text, std::size_t max_bytes);

/// The name in quotation marks, for an error; of a long one, the first 128 bytes and "...".
std::string quoted(const std::string& name);

} // namespace pawl::core
