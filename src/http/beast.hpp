// What Boost 1.81's Beast is helped with.
#pragma once

#include <boost/beast/core/string_type.hpp>

#include <cstddef>
#include <string_view>

namespace pawl::http::detail {

inline std::string_view view(boost::beast::string_view text)
{
    return {text.data(), text.size()};
}

/// A message whose body is chunked goes on for at least so many bytes until it is complete: its
/// parser asserts that it sees them together, where the last chunk is the first as well.
constexpr std::size_t shortest_chunked_end = std::string_view{"0\r\n\r\n"}.size();

} // namespace pawl::http::detail
