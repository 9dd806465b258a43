#pragma once

#include "pawl/record.hpp"
#include "pawl/trace.hpp"

#include <cstdint>

namespace pawl::core {

/// The trace of the run's trigger; if there is none, a trace with the run's id and without a span.
trace_context trace_of(const record& run);

/// The span of one attempt of a handler. Depends only on the run, visit, handler and attempt.
trace_context trace_of(const record& run, std::uint64_t handler, int attempt);

} // namespace pawl::core
