#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace order_processing {

/// The path of the first member that an object of a JSON document contains twice, such as
/// `items[0].price`. Parsers keep one of the two silently, and not all keep the same one. Empty
/// when no member is repeated, or when `text` is not JSON.
std::optional<std::string> find_repeated_member(std::string_view text);

} // namespace order_processing
