#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pawl::http::detail {

/// A host to connect to.
struct url {
    std::string host; ///< a name or an address; without brackets
    std::uint16_t port = 0;
    std::string authority; ///< as the Host header has it: "host:port", "[::1]:80"
};

/// Reads "http://HOST:PORT". Empty for anything else, a path or a slash at the end included.
std::optional<url> parse_url(std::string_view text);

} // namespace pawl::http::detail
