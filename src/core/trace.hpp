#pragma once

#include "pawl/record.hpp"
#include "pawl/trace.hpp"

#include <cstdint>

namespace pawl::core {

/// What the run's trigger was part of; without that, a trace of its own that has the run's id, and
/// no span.
trace_context trace_of(const record& run);

/// The span of one attempt of a handler: the same whenever it is asked for, for the same run,
/// visit, handler and attempt.
trace_context trace_of(const record& run, std::uint64_t handler, int attempt);

} // namespace pawl::core
