#pragma once

#include "pawl/observer.hpp"
#include "pawl/record.hpp"
#include "pawl/trace.hpp"

#include <cstdint>

namespace pawl::core {

/// Identifies an attempt of a handler of a run. An attempt that was interrupted and is made again
/// differs in the time at which it began.
struct attempt_identity {
    std::uint64_t handler = 0; ///< see run_context::handler_number()
    int attempt = 1;
    std::uint64_t version = 0; ///< of the record that the attempt began with
    time_point began_at;
};

/// The span of an attempt or of the end of a run, and what it belongs to.
struct placed_span {
    trace_context span;
    trace_context parent; ///< an empty span id if it is in another trace than `start`
    trace_context start;  ///< see run_span()
};

/// The span of an attempt. It depends on the arguments only: simulations repeat their traces.
placed_span attempt_span(const record& run, const attempt_identity& attempt,
                         const trace_policy& policy);

/// The span of the end of a run, at the time of its last commit.
placed_span end_span(const record& run, const trace_policy& policy);

} // namespace pawl::core
