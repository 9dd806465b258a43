#pragma once

#include "pawl/http/message.hpp"

#include <string>
#include <string_view>

namespace pawl::admin::detail {

/// Returns whether a text may be a bearer token (RFC 6750): then it may also stand in a cookie.
bool is_token(std::string_view text) noexcept;

/// Returns the token in the cookie of a session; empty if the request has none, or an Authorization
/// header, which has precedence. The view is into the request.
std::string_view session_token(const http::request& message);

/// Returns the request without its body, sent with the token in the header Authorization.
http::request with_token(const http::request& message, std::string_view token);

/// Returns the value of Set-Cookie that begins a session. The cookie holds the token itself, so
/// that it is valid at each engine that has the same token file. No script can read it, other sites
/// cannot have it sent, and a browser that has come by TLS sends it by TLS only.
///
/// @param message The request to sign in, which a browser sends with its Origin.
std::string begin_session(const http::request& message, std::string_view prefix,
                          std::string_view token);

/// Returns the value of Set-Cookie that ends a session.
std::string end_session(std::string_view prefix);

} // namespace pawl::admin::detail
