#include "engine/step_limiter.hpp"

#include <utility>

namespace pawl::engine_detail {

bool step_limiter::try_acquire()
{
    const std::lock_guard lock{mutex_};
    if (free_ == 0)
        return false;
    --free_;
    return true;
}

bool step_limiter::acquire_or_wait(run_id run, time_point due_since)
{
    const std::lock_guard lock{mutex_};
    if (free_ > 0) {
        --free_;
        return true;
    }
    if (in_line_.contains(run))
        return false;
    if (line_.size() < max_waiting_) {
        line_.push_back(run);
        in_line_.insert(run);
    } else if (!turned_away_ || due_since < *turned_away_) {
        turned_away_ = due_since;
    }
    return false;
}

step_limiter::released step_limiter::release()
{
    const std::lock_guard lock{mutex_};
    released result;
    if (line_.empty()) {
        ++free_;
    } else {
        result.granted = line_.front();
        in_line_.erase(line_.front());
        line_.pop_front();
    }
    if (line_.size() <= max_waiting_ / 2)
        result.rescan_from = std::exchange(turned_away_, std::nullopt);
    return result;
}

} // namespace pawl::engine_detail
