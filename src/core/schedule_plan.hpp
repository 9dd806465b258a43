#pragma once

#include "core/cron.hpp"
#include "pawl/detail/schedule_api.hpp"

#include <optional>
#include <vector>

namespace pawl::core {

/// A slot that is at most this late is on time: it fires whatever the catch-up policy.
inline constexpr duration on_time = std::chrono::minutes{1};

struct schedule_plan {
    std::vector<time_point> due;    ///< slots to fire now, in order
    time_point considered;          ///< every slot up to this time is dealt with
    std::optional<time_point> next; ///< the first slot after now; empty if there is none
};

/// Finds the due slots of a schedule whose slots up to `considered` are dealt with.
schedule_plan plan_schedule(const cron& when, catch_up_policy catch_up, std::size_t limit,
                            time_point considered, time_point now);

} // namespace pawl::core
