#pragma once

#include "pawl/time.hpp"

#include <chrono>
#include <exception>
#include <functional>

namespace pawl {

/// How failed attempts of a handler are retried.
///
/// The n-th failure is followed by a wait of `initial * multiplier^(n-1)`, at most `max_interval`,
/// lengthened by up to `jitter`. Every kind of failure counts: an exception of any type, an attempt
/// that exceeds its time limit, an object that cannot be encoded. The attempts of steps, timeouts
/// and callbacks are stored and survive a restart. They start from zero when the run makes progress
/// or is resumed; those of a callback belong to its message.
///
/// When the attempts are used up, a step or a timeout pauses the run with the last error as its
/// reason (a step enters its `on_exhausted` status, if it has one); the message of a callback
/// fails; the event of a hook or connector becomes a dead letter.
struct retry_policy {
    /// Wait after the first failure. Above zero. Default 1 s.
    duration initial = std::chrono::seconds{1};

    /// Growth of the wait from one failure to the next. 1 keeps it constant. At least 1. Default 2.
    double multiplier = 2.0;

    /// Longest wait, before `jitter`. At least `initial` if `multiplier` is above 1. Default 1 min.
    duration max_interval = std::chrono::minutes{1};

    /// Each wait is lengthened by a random part of up to this fraction, so that runs that failed
    /// together do not retry together. 0 to 1. Default 0.1.
    double jitter = 0.1;

    /// Maximum number of attempts, including the first one. 0: no limit. Default 10.
    int max_attempts = 10;

    /// Returns true for an error that must not be retried: the attempts then count as used up.
    /// Called on the run's strand while the exception is being handled. If it throws, the error is
    /// retried. Default: empty, every error is retried.
    std::function<bool(const std::exception_ptr&)> permanent{};
};

} // namespace pawl
