// What a host gives an engine to be called, so that nothing that it throws reaches the engine.
#pragma once

#include "pawl/log.hpp"
#include "pawl/observer.hpp"

#include <memory>

namespace pawl::engine_detail {

/// A sink that throws nothing: a line for which `given` throws goes to standard error.
log_sink guarded(log_sink given);

/// An observer that throws nothing: what `given` throws is logged, the first time and then ever
/// more seldom. Null for null.
std::shared_ptr<observer> guarded(std::shared_ptr<observer> given, const log_sink& log);

} // namespace pawl::engine_detail
