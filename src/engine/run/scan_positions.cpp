#include "engine/run/scan_positions.hpp"

#include "engine/api/engine_parts.hpp"

#include <algorithm>

namespace pawl::engine_detail {

bool shard_scan::may_be_read(time_point now) const
{
    // A clock that was set back must not delay the scan.
    return not_before <= now || not_before > now + failure_pause;
}

std::optional<time_point> shard_scan::read_at(time_point now, bool places_are_free) const
{
    std::optional<time_point> earliest;
    const auto consider = [&](time_point time) {
        earliest = std::min(earliest.value_or(time), time);
    };
    if (next)
        consider(next->at);
    if (sweep)
        consider(now);
    if (sweep_at)
        consider(*sweep_at);
    if (backlog && places_are_free)
        consider(now);
    if (earliest && !may_be_read(now))
        earliest = std::max(*earliest, not_before);
    return earliest;
}

void shard_scan::add_sweep(due_position from, time_point to)
{
    if (sweep) {
        from = std::min(from, sweep->from);
        to = std::max(to, sweep->to);
    }
    sweep = due_range{from, to};
}

void shard_scan::move_next_back(const due_position& position)
{
    if (!next || position < *next)
        next = position;
}

void scan_positions::forget_shard(std::uint32_t shard)
{
    set_backlog(shard, std::nullopt);
    shards_[shard] = {};
}

void scan_positions::set_backlog(std::uint32_t shard, std::optional<due_position> position)
{
    auto& backlog = shards_[shard].backlog;
    if (backlog)
        backlogs_.erase({*backlog, shard});
    backlog = position;
    if (backlog)
        backlogs_.emplace(*backlog, shard);
}

std::optional<due_position> scan_positions::first_backlog() const
{
    return backlogs_.empty() ? std::nullopt : std::optional{backlogs_.begin()->first};
}

std::optional<std::pair<due_position, std::uint32_t>>
scan_positions::first_readable_backlog(time_point now) const
{
    const auto first = std::ranges::find_if(
        backlogs_, [&](const auto& entry) { return shards_[entry.second].may_be_read(now); });
    return first == backlogs_.end() ? std::nullopt : std::optional{*first};
}

std::vector<std::uint32_t> scan_positions::shards_to_read(time_point now) const
{
    std::vector<std::uint32_t> found;
    for (std::uint32_t shard = 0; shard < size(); ++shard)
        if (shards_[shard].read_at(now, false).value_or(time_point::max()) <= now)
            found.push_back(shard);
    return found;
}

time_point scan_positions::read_at(time_point now, bool places_are_free) const
{
    auto earliest = time_point::max();
    for (const auto& scan : shards_)
        earliest = std::min(earliest, scan.read_at(now, places_are_free).value_or(earliest));
    return earliest;
}

void scan_positions::sweep_at(std::uint32_t shard, time_point time)
{
    auto& planned = shards_[shard].sweep_at;
    planned = std::min(planned.value_or(time), time);
}

void scan_positions::sweep_all_at(time_point time)
{
    for (std::uint32_t shard = 0; shard < size(); ++shard)
        sweep_at(shard, time);
}

} // namespace pawl::engine_detail
