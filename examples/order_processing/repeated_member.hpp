#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace order_processing {

/// The path of the first member that an object of a JSON document gives again, such as
/// `items[0].price`. A parser keeps one of the two without a word, and the next program the other.
/// Empty when there is none, or when `text` is no JSON.
std::optional<std::string> find_repeated_member(std::string_view text);

} // namespace order_processing
