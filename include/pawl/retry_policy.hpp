#pragma once

#include "pawl/time.hpp"

#include <chrono>
#include <exception>
#include <functional>

namespace pawl {

/// How failed attempts of a step or timeout handler are repeated.
///
/// The n-th failure is followed by a wait of `initial * multiplier^(n-1)`, at most `max_interval`,
/// made up to `jitter` longer. Attempts are counted in the record, per visit: they survive a
/// restart and start again from zero when the run makes progress. Every kind of failure counts: an
/// exception of any type, an attempt past its time limit, an object that cannot be encoded.
///
/// When they run out the run is paused with its last error as the reason, unless the step names a
/// status to go to instead (step_options::exhausted).
struct retry_policy {
    /// Wait after the first failure. Above zero. Default 1 s.
    duration initial = std::chrono::seconds{1};

    /// Growth of the wait from one failure to the next. 1 keeps it constant. At least 1. Default 2.
    double multiplier = 2.0;

    /// The longest wait. At least `initial` when multiplier is above 1. Default 1 min.
    duration max_interval = std::chrono::minutes{1};

    /// Each wait is made up to this fraction longer, so that runs that failed together do not
    /// come back together. 0 to 1. Default 0.1.
    double jitter = 0.1;

    /// Attempts of one visit, the first one included. 0 repeats for ever. Default 10.
    int max_attempts = 10;

    /// True for errors that must not be repeated: the attempts count as used up. Called on the
    /// run's strand with the exception in flight. Default: every error is repeated.
    std::function<bool(const std::exception_ptr&)> permanent{};
};

} // namespace pawl
