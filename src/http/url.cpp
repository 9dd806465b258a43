#include "http/url.hpp"

#include <algorithm>
#include <charconv>

namespace pawl::http::detail {
namespace {

bool consists_of(std::string_view text, std::string_view allowed)
{
    return !text.empty() && text.find_first_not_of(allowed) == text.npos;
}

} // namespace

std::optional<url> parse_url(std::string_view text)
{
    constexpr std::string_view scheme = "http://";
    if (!text.starts_with(scheme))
        return std::nullopt;
    text.remove_prefix(scheme.size());
    const auto colon = text.rfind(':');
    if (colon == text.npos)
        return std::nullopt;

    url out;
    out.authority = text;
    auto host = text.substr(0, colon);
    if (host.starts_with('[') && host.ends_with(']')) {
        host = host.substr(1, host.size() - 2);
        if (!consists_of(host, "0123456789abcdefABCDEF:."))
            return std::nullopt;
    } else if (!consists_of(host, "0123456789abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ.-_")) {
        return std::nullopt;
    }
    out.host = host;

    const auto port = text.substr(colon + 1);
    const auto* const end = port.data() + port.size();
    const auto read = std::from_chars(port.data(), end, out.port);
    if (read.ec != std::errc{} || read.ptr != end || out.port == 0)
        return std::nullopt;
    return out;
}

} // namespace pawl::http::detail
