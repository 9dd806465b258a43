#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pawl::http::detail {

/// A host to connect to, and where its resources begin.
struct url {
    bool secure = false; ///< https
    std::string host;    ///< a name or an address; without brackets
    std::uint16_t port = 0;
    std::string authority;   ///< as the Host header has it: "host", "host:8080", "[::1]:80"
    std::string path;        ///< goes before each target: "" or "/v2"; no slash at its end
    std::string socket_path; ///< of a Unix socket; then `host` and `port` are not used
};

/// Reads "http://HOST[:PORT][/PATH]", the same with https, and "unix:PATH" with an absolute path.
/// Empty for anything else, a user, a query and a fragment included.
std::optional<url> parse_url(std::string_view text);

} // namespace pawl::http::detail
