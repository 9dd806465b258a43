#pragma once

#include "admin/parameters.hpp"
#include "pawl/admin/authenticator.hpp"
#include "pawl/operations_requests.hpp"

namespace pawl::admin::detail {

/// Who asks for a change, why, and under which conditions. Throws refusal.
change_request read_change(const http::request& message, const identity& sender, body_reader& body);

} // namespace pawl::admin::detail
