#pragma once

#include "admin/api_core.hpp"

#include <vector>

namespace pawl::admin::detail {

/// The routes of the console below the prefix: its files, and the session of a browser.
///
/// Everybody may read the files, which are the same for everybody. `POST PREFIX/session` with a
/// token begins a session, and `DELETE PREFIX/session` ends it.
std::vector<http::route> console_routes(shared_core core);

} // namespace pawl::admin::detail
