#pragma once

#include "pawl/retry_policy.hpp"
#include "pawl/time.hpp"

#include <cstddef>

namespace pawl {

/// The rules of handlers that are given none of their own. See builder::defaults().
///
/// builder::build() reports values out of their range.
struct step_defaults {
    /// How failed attempts of steps, timeouts and callbacks are retried. Default: a
    /// default-constructed retry_policy.
    retry_policy retry{};

    /// Maximum duration of an attempt of a step, timeout or callback. Zero: no limit. Default zero.
    duration attempt_timeout{};

    /// Runs that may be inside a step at a time, for each step, in one engine. At most
    /// max_concurrency_ceiling. 0: no limit. Default 0.
    std::size_t max_concurrency = 0;

    /// How long a run waits between entering a status and the first attempt of its step. Default
    /// zero.
    duration start_delay{};
};

} // namespace pawl
