#pragma once

#include <string_view>

namespace pawl::http::detail {

/// Whether `text` is HOST or HOST:PORT: a name, an IPv4 address, or an IPv6 address in brackets.
bool is_authority(std::string_view text) noexcept;

/// HOST of an authority, with the brackets of an IPv6 address.
std::string_view host_of(std::string_view authority) noexcept;

/// Whether `host` is an address and not a name.
bool is_address(std::string_view host);

} // namespace pawl::http::detail
