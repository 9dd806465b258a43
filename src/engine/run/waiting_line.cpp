#include "engine/run/waiting_line.hpp"

#include <algorithm>
#include <iterator>

namespace pawl::engine_detail {

namespace {

/// The part of the longest lane that leaves a full line at once, so that the search for the longest
/// lane is rare.
constexpr std::size_t trimmed_part = 8;

} // namespace

waiting_lane* waiting_line::find_lane(const lane_key& key)
{
    const auto known = lanes_.find(key);
    return known == lanes_.end() ? nullptr : &known->second;
}

waiting_lane& waiting_line::open_lane(const lane_key& key)
{
    const auto [entry, is_new] = lanes_.try_emplace(key);
    entry->second.key = &entry->first;
    return entry->second;
}

void waiting_line::close_lane(waiting_lane& lane)
{
    lanes_.erase(lanes_.find(*lane.key));
}

waiting_lane* waiting_line::add(waiting_lane& lane, std::uint32_t shard,
                                const due_position& position)
{
    queued_.emplace(position.id, queued_run{&lane, position, shard});
    lane.runs.emplace(position, shard);
    note_size(lane, lane.runs.size() - 1);
    if (queued_.size() <= max_runs_)
        return nullptr;
    auto& longest = has_lanes_ ? longest_lane() : lane;
    const auto leaving = has_lanes_ ? longest.runs.size() / trimmed_part : 0;
    for (std::size_t i = 0; i < std::max<std::size_t>(leaving, 1); ++i) {
        const auto last = *std::prev(longest.runs.end());
        add_overflow(last.second, last.first);
    }
    return &longest;
}

waiting_lane& waiting_line::longest_lane()
{
    return *std::prev(by_size_.end())->lane;
}

/// The lane had `before` runs.
void waiting_line::note_size(waiting_lane& lane, std::size_t before)
{
    if (!has_lanes_)
        return;
    by_size_.erase({before, &lane});
    if (!lane.runs.empty())
        by_size_.insert({lane.runs.size(), &lane});
}

waiting_lane* waiting_line::remove(run_id run)
{
    const auto known = queued_.find(run);
    if (known == queued_.end())
        return nullptr;
    const auto [lane, position, shard] = known->second;
    lane->runs.erase({position, shard});
    note_size(*lane, lane->runs.size() + 1);
    queued_.erase(known);
    return lane;
}

std::pair<due_position, std::uint32_t> waiting_line::pop(waiting_lane& lane)
{
    const auto first = *lane.runs.begin();
    lane.runs.erase(lane.runs.begin());
    note_size(lane, lane.runs.size() + 1);
    queued_.erase(first.first.id);
    return first;
}

bool waiting_line::is_behind_overflow(const due_position& position) const
{
    return !has_lanes_ && std::ranges::any_of(overflow_, [&](const auto& entry) {
        return entry.second < position;
    });
}

void waiting_line::add_overflow(std::uint32_t shard, const due_position& position)
{
    remove(position.id);
    const auto [first, is_new] = overflow_.try_emplace(shard, position);
    if (!is_new)
        first->second = std::min(first->second, position);
    if (!reading_)
        return;
    auto& added = added_while_reading_.try_emplace(shard, position).first->second;
    added = std::min(added, position);
}

bool waiting_line::is_short() const
{
    return !overflow_.empty() && queued_.size() <= max_runs_ / 2;
}

std::optional<waiting_line::refill_request> waiting_line::refill_from()
{
    // A refill continues until the line is full.
    refilling_ = !overflow_.empty() && !is_full() && (refilling_ || is_short());
    if (!refilling_)
        return std::nullopt;
    refill_request request{{}, max_runs_ - queued_.size()};
    for (const auto& [shard, position] : overflow_)
        request.from.emplace_back(position, shard);
    std::ranges::sort(request.from);
    reading_ = true;
    added_while_reading_.clear();
    return request;
}

void waiting_line::end_refill(const read_positions& read)
{
    for (const auto& [shard, position] : read) {
        if (!overflow_.contains(shard)) // forgotten meanwhile
            continue;
        auto next = position;
        const auto added = added_while_reading_.find(shard);
        if (added != added_while_reading_.end())
            next = std::min(next.value_or(added->second), added->second);
        if (next)
            overflow_[shard] = *next;
        else
            overflow_.erase(shard);
    }
    reading_ = false;
    added_while_reading_.clear();
}

std::vector<waiting_lane*> waiting_line::forget_shard(std::uint32_t shard)
{
    overflow_.erase(shard);
    std::vector<waiting_lane*> changed;
    for (auto& [key, lane] : lanes_) {
        const auto left = std::erase_if(lane.runs, [&](const auto& run) {
            if (run.second == shard)
                queued_.erase(run.first.id);
            return run.second == shard;
        });
        if (left == 0)
            continue;
        note_size(lane, lane.runs.size() + left);
        changed.push_back(&lane);
    }
    return changed;
}

const waiting_line::queued_run* waiting_line::find_run(run_id run) const
{
    const auto known = queued_.find(run);
    return known == queued_.end() ? nullptr : &known->second;
}

std::optional<due_position> waiting_line::first_waiting() const
{
    std::optional<due_position> earliest;
    const auto consider = [&](const due_position& position) {
        earliest = std::min(earliest.value_or(position), position);
    };
    for (const auto& [key, lane] : lanes_)
        if (!lane.runs.empty())
            consider(lane.runs.begin()->first);
    for (const auto& [shard, position] : overflow_)
        consider(position);
    return earliest;
}

} // namespace pawl::engine_detail
