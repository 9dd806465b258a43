// What Boost 1.81's Beast is helped with.
#pragma once

#include <boost/beast/core/string_type.hpp>

#include <string_view>

namespace pawl::http::detail {

inline std::string_view view(boost::beast::string_view text)
{
    return {text.data(), text.size()};
}

/// Whether a chunked body is to be parsed only when there is more of it: once Beast has seen its
/// last chunk it asserts that this is not all, which it can be when the last is the first as well.
inline bool is_short_last_chunk(std::string_view data)
{
    return data.starts_with("0\r\n") && data.size() < std::string_view{"0\r\n\r\n"}.size();
}

} // namespace pawl::http::detail
