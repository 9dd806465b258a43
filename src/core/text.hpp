#pragma once

#include <cstddef>
#include <string>

namespace pawl::core {

/// The first `most` bytes, less what would be half a character: half of one is no UTF-8, which
/// databases and JSON refuse.
std::string truncate_utf8(std::string text, std::size_t most);

} // namespace pawl::core
