#pragma once

#include "pawl/detail/engine_api.hpp"

#include <memory>

namespace pawl::testing::detail {

class simulator;

/// The API for clients: passes each call to an engine that is running.
std::shared_ptr<pawl::detail::engine_api> make_client_proxy(simulator& owner);

} // namespace pawl::testing::detail
