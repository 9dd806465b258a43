#include "http/url.hpp"

#include <algorithm>
#include <charconv>

namespace pawl::http::detail {
namespace {

bool consists_of(std::string_view text, std::string_view allowed)
{
    return !text.empty() && text.find_first_not_of(allowed) == text.npos;
}

bool is_path(std::string_view text)
{
    return std::ranges::all_of(
        text, [](char c) { return c > ' ' && c < '\x7f' && c != '?' && c != '#'; });
}

std::optional<std::uint16_t> parse_port(std::string_view text)
{
    std::uint16_t port = 0;
    const auto* const end = text.data() + text.size();
    const auto read = std::from_chars(text.data(), end, port);
    if (read.ec != std::errc{} || read.ptr != end || port == 0)
        return std::nullopt;
    return port;
}

} // namespace

std::optional<url> parse_url(std::string_view text)
{
    url out;
    constexpr std::string_view unix_scheme = "unix:";
    if (text.starts_with(unix_scheme)) {
        out.socket_path = text.substr(unix_scheme.size());
        out.host = out.authority = "localhost";
        if (!out.socket_path.starts_with('/'))
            return std::nullopt;
        return out;
    }
    out.secure = text.starts_with("https://");
    if (!out.secure && !text.starts_with("http://"))
        return std::nullopt;
    text.remove_prefix(text.find("//") + 2);

    const auto slash = std::min(text.find('/'), text.size());
    auto path = text.substr(slash);
    if (!is_path(path))
        return std::nullopt;
    while (path.ends_with('/'))
        path.remove_suffix(1);
    out.path = path;
    text = text.substr(0, slash);
    out.authority = text;

    const auto host_end = text.starts_with('[') ? text.find(']') + 1 : text.find(':');
    auto host = text.substr(0, host_end);
    const auto rest = text.substr(std::min(host_end, text.size()));
    if (host.starts_with('[') && host.ends_with(']')) {
        host = host.substr(1, host.size() - 2);
        if (!consists_of(host, "0123456789abcdefABCDEF:."))
            return std::nullopt;
    } else if (!consists_of(host, "0123456789abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ.-_")) {
        return std::nullopt;
    }
    out.host = host;
    out.port = out.secure ? 443 : 80;
    if (rest.empty())
        return out;
    const auto port = parse_port(rest.substr(1));
    if (!rest.starts_with(':') || !port)
        return std::nullopt;
    out.port = *port;
    return out;
}

} // namespace pawl::http::detail
