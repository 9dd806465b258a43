// Workarounds for Beast of Boost 1.81.
#pragma once

#include <boost/beast/core/string_type.hpp>

#include <string_view>

namespace pawl::http::detail {

inline std::string_view view(boost::beast::string_view text)
{
    return {text.data(), text.size()};
}

/// Whether `data` is an incomplete last chunk. Beast must not parse it: its assertion fails if the
/// last chunk is also the first.
inline bool is_short_last_chunk(std::string_view data)
{
    return data.starts_with("0\r\n") && data.size() < std::string_view{"0\r\n\r\n"}.size();
}

} // namespace pawl::http::detail
