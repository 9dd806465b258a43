#pragma once

#include "pawl/http/server.hpp"

#include <optional>

namespace pawl::http::detail {

/// Refuses a request that a page of another site may have made in somebody's browser: 421 for a
/// Host that is not in server_options::hosts, 403 for an Origin that is not the server's own and
/// not in server_options::origins. Empty when the request may be answered.
std::optional<response> refuse_foreign(const request& asked, const server_options& options);

} // namespace pawl::http::detail
