#include "core/schedule_plan.hpp"

#include <algorithm>

namespace pawl::core {

namespace {

/// The latest `count` slots in (after, until]. The search window grows backwards from `until`, so
/// that the cost depends on the slots found and not on the length of the interval.
std::vector<time_point> latest_slots(const cron& when, time_point after, time_point until,
                                     std::size_t count)
{
    for (duration window = std::chrono::hours{1};; window *= 8) {
        const bool everything = until - after <= window;
        std::vector<time_point> slots;
        for (auto slot = when.next(everything ? after : until - window); slot && *slot <= until;
             slot = when.next(*slot))
            slots.push_back(*slot);
        if (slots.size() > count)
            slots.erase(slots.begin(), slots.end() - static_cast<std::ptrdiff_t>(count));
        if (everything || slots.size() == count)
            return slots;
    }
}

} // namespace

schedule_plan plan_schedule(const cron& when, catch_up_policy catch_up, std::size_t limit,
                            time_point considered, time_point now)
{
    schedule_plan plan;
    plan.considered = considered;
    const auto first = when.next(considered);
    if (!first || *first > now) {
        plan.next = first;
        return plan;
    }
    const auto late = std::max(considered, now - on_time);
    if (catch_up == catch_up_policy::last)
        plan.due = latest_slots(when, considered, late, 1);
    else if (catch_up == catch_up_policy::all)
        plan.due = latest_slots(when, considered, late, limit);
    for (auto slot = when.next(late); slot && *slot <= now; slot = when.next(*slot))
        plan.due.push_back(*slot);
    plan.considered = now;
    plan.next = when.next(now);
    return plan;
}

} // namespace pawl::core
