#pragma once

#include "pawl/time.hpp"

namespace pawl::core {

/// `time + span`, clamped to the range of time_point: a span that means "never" must not wrap
/// around to the past.
constexpr time_point saturating_add(time_point time, duration span) noexcept
{
    if (span > duration::zero() && time > time_point::max() - span)
        return time_point::max();
    if (span < duration::zero() && time < time_point::min() - span)
        return time_point::min();
    return time + span;
}

} // namespace pawl::core
