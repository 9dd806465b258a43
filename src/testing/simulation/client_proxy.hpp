#pragma once

#include "pawl/detail/engine_api.hpp"

#include <memory>

namespace pawl::testing::detail {

class simulator;

/// The engines as clients reach them: any that is up.
std::shared_ptr<pawl::detail::engine_api> make_client_door(simulator& owner);

} // namespace pawl::testing::detail
