#include "engine/run/wake_list.hpp"

#include <algorithm>
#include <iterator>

namespace pawl::engine_detail {

std::optional<wake_list::entry> wake_list::add(entry added)
{
    if (const auto known = by_run_.find(added.run); known != by_run_.end()) {
        const auto& present = *known->second;
        if (added.failures == 0 && present.failures > 0)
            return std::nullopt;
        if (added.failures == present.failures && present.at <= added.at)
            return std::nullopt;
        by_time_.erase(known->second);
        by_run_.erase(known);
    }
    const auto [position, is_new] = by_time_.insert(added);
    by_run_.emplace(added.run, position);
    if (by_time_.size() <= max_size)
        return std::nullopt;
    return remove(std::prev(by_time_.end())->run);
}

std::optional<wake_list::entry> wake_list::remove(run_id run)
{
    const auto known = by_run_.find(run);
    if (known == by_run_.end())
        return std::nullopt;
    const auto removed = *known->second;
    by_time_.erase(known->second);
    by_run_.erase(known);
    return removed;
}

const wake_list::entry* wake_list::find(run_id run) const
{
    const auto known = by_run_.find(run);
    return known == by_run_.end() ? nullptr : &*known->second;
}

} // namespace pawl::engine_detail
