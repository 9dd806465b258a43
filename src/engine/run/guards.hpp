// Wrappers of the application's callbacks that keep their exceptions from the engine.
#pragma once

#include "pawl/log.hpp"
#include "pawl/observer.hpp"

#include <memory>

namespace pawl::engine_detail {

/// A sink that never throws: if `sink` throws, the entry goes to standard error.
log_sink guarded(log_sink sink);

/// An observer that never throws: the 1st, 2nd, 4th, 8th ... exception of `target` is logged. Null
/// for null.
std::shared_ptr<observer> guarded(std::shared_ptr<observer> target, const log_sink& log);

} // namespace pawl::engine_detail
