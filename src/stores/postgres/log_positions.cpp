#include "stores/postgres/log_positions.hpp"

namespace pawl::postgres {

bool log_positions::record(std::span<const seen_event> events)
{
    const std::lock_guard lock{mutex_};
    bool may_have_lost = false;
    for (const auto& seen : events) {
        auto& last = last_[seen.shard];
        if (seen.sequence > last.sequence)
            last = seen;
        else
            may_have_lost = true;
    }
    return may_have_lost;
}

void log_positions::record(std::span<const event> page)
{
    if (page.empty())
        return;
    const event& last = page.back();
    const seen_event seen{last.shard, last.sequence, last.run, last.version};
    record(std::span{&seen, 1});
}

void log_positions::discard(std::uint32_t shard)
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
