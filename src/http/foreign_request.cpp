#include "http/foreign_request.hpp"

#include "http/authority.hpp"
#include "http/text.hpp"

#include <algorithm>

namespace pawl::http::detail {
namespace {

/// A page that has its own name resolved to this server's address sends that name as the Host. It
/// cannot do so with an address, or with "localhost".
bool is_known_host(std::string_view host, const server_options& options)
{
    if (options.hosts.empty() || is_address(host) || equal_ignoring_case(host, "localhost"))
        return true;
    return std::ranges::any_of(
        options.hosts, [&](const std::string& known) { return equal_ignoring_case(known, host); });
}

bool is_known_origin(std::string_view origin, std::string_view host, const server_options& options)
{
    for (const auto& known : options.origins)
        if (known == "*" || equal_ignoring_case(known, origin))
            return true;
    // The scheme does not count: a proxy in front of this server may speak TLS.
    const auto scheme_end = origin.find("://");
    return scheme_end != origin.npos && equal_ignoring_case(origin.substr(scheme_end + 3), host);
}

} // namespace

std::optional<response> refuse_foreign(const request& asked, const server_options& options)
{
    const auto host = asked.header("host");
    if (!is_known_host(host_of(host), options))
        return problem(421, "This server does not answer for the host of the request.");
    const auto origin = asked.headers.find("origin");
    if (origin != asked.headers.end() && !is_known_origin(origin->second, host, options))
        return problem(403, "Pages of another origin may not send requests to this server.");
    return std::nullopt;
}

} // namespace pawl::http::detail
