#pragma once

#include "pawl/engine.hpp"

namespace pawl::engine_detail {

/// The options with a name that no other engine of the store has, and with a log and an observer
/// whose exceptions reach nobody. Throws definition_error for an option that is out of range.
engine_options checked(engine_options options);

} // namespace pawl::engine_detail
