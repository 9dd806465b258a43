#pragma once

#include "pawl/time.hpp"

namespace pawl::core {

/// `at + span`, or the last (first) instant there is: a span that means "never" must not come round
/// to the past.
constexpr time_point saturating_add(time_point at, duration span) noexcept
{
    if (span > duration::zero() && at > time_point::max() - span)
        return time_point::max();
    if (span < duration::zero() && at < time_point::min() - span)
        return time_point::min();
    return at + span;
}

} // namespace pawl::core
