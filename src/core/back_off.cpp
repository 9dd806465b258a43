#include "core/decide.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace pawl::core {

duration back_off(const retry_policy& policy, int failures, std::uint64_t entropy) noexcept
{
    assert(failures >= 1);
    const double initial = static_cast<double>(policy.initial.count());
    const double limit = std::max(initial, static_cast<double>(policy.max_interval.count()));
    const double grown =
        policy.multiplier <= 1 ? initial : initial * std::pow(policy.multiplier, failures - 1);
    const double place = static_cast<double>(entropy >> 11) * 0x1p-53;
    const double wait = std::min(grown, limit) * (1 + policy.jitter * place);
    return duration{static_cast<duration::rep>(std::min(wait, 9e15))};
}

} // namespace pawl::core
