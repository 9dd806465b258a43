#include "stores/postgres/log_positions.hpp"

namespace pawl::postgres {

bool log_positions::note(std::span<const seen_event> events)
{
    const std::lock_guard lock{mutex_};
    bool is_known = false;
    for (const auto& each : events) {
        auto& last = last_[each.shard];
        if (each.sequence > last.sequence)
            last = each;
        else
            is_known = true;
    }
    return is_known;
}

void log_positions::note(std::span<const event> page)
{
    if (page.empty())
        return;
    const event& last = page.back();
    const seen_event seen{last.shard, last.sequence, last.run, last.version};
    note(std::span{&seen, 1});
}

void log_positions::forget(std::uint32_t shard)
{
    const std::lock_guard lock{mutex_};
    last_.erase(shard);
}

std::vector<seen_event> log_positions::all() const
{
    const std::lock_guard lock{mutex_};
    std::vector<seen_event> events;
    events.reserve(last_.size());
    for (const auto& [shard, last] : last_)
        events.push_back(last);
    return events;
}

} // namespace pawl::postgres
