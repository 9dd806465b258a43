#include "http/authority.hpp"

#include <boost/asio/ip/address.hpp>

#include <algorithm>
#include <string>

namespace pawl::http::detail {
namespace {

/// A reg-name of RFC 3986 without the comma: where two Host headers were joined to one, it stands
/// between them.
bool is_name(std::string_view text) noexcept
{
    return std::ranges::all_of(text, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               std::string_view{"-._~%!$&'()*+;="}.find(c) != std::string_view::npos;
    });
}

bool is_port(std::string_view text) noexcept
{
    return text.size() <= 5 &&
           std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

} // namespace

std::string_view host_of(std::string_view authority) noexcept
{
    if (authority.starts_with('['))
        return authority.substr(0, authority.find(']') + 1);
    return authority.substr(0, authority.find(':'));
}

bool is_authority(std::string_view text) noexcept
{
    const auto host = host_of(text);
    if (host.empty())
        return false;
    const auto rest = text.substr(host.size());
    if (!rest.empty() && !(rest.starts_with(':') && is_port(rest.substr(1))))
        return false;
    return host.starts_with('[') ? is_address(host) : is_name(host);
}

bool is_address(std::string_view host)
{
    boost::system::error_code error;
    if (host.starts_with('[') && host.ends_with(']'))
        boost::asio::ip::make_address_v6(std::string{host.substr(1, host.size() - 2)}, error);
    else
        boost::asio::ip::make_address_v4(std::string{host}, error);
    return !error;
}

} // namespace pawl::http::detail
