#include "engine/run/concurrency_limiter.hpp"

#include <algorithm>

namespace pawl::engine_detail {

bool concurrency_limiter::take_free()
{
    if (free_ == 0)
        return false;
    --free_;
    return true;
}

bool concurrency_limiter::try_acquire()
{
    const std::lock_guard lock{mutex_};
    return turned_away_.empty() && take_free();
}

bool concurrency_limiter::acquire_or_wait(std::uint32_t shard, const due_position& position)
{
    const std::lock_guard lock{mutex_};
    if (turned_away_.empty() && take_free())
        return true;
    add(shard, position);
    return false;
}

/// Behind runs that the line had no room for, it waits where they do.
void concurrency_limiter::add(std::uint32_t shard, const due_position& position)
{
    const auto is_before = [&](const auto& entry) {
        return entry.second < position;
    };
    if (!in_line_.contains(position.id) && std::ranges::any_of(turned_away_, is_before))
        turn_away(shard, position);
    else
        join(shard, position);
}

void concurrency_limiter::join(std::uint32_t shard, const due_position& position)
{
    const auto [known, is_new] = in_line_.try_emplace(position.id, position, shard);
    if (!is_new) {
        line_.erase(known->second);
        known->second = {position, shard};
    }
    line_.emplace(position, shard);
    if (line_.size() <= max_waiting_)
        return;
    const auto last = *std::prev(line_.end());
    turn_away(last.second, last.first);
}

void concurrency_limiter::turn_away(std::uint32_t shard, const due_position& position)
{
    if (const auto known = in_line_.find(position.id); known != in_line_.end()) {
        line_.erase(known->second);
        in_line_.erase(known);
    }
    const auto [at, is_new] = turned_away_.try_emplace(shard, position);
    if (!is_new)
        at->second = std::min(at->second, position);
    if (reading_ == shard && (!meanwhile_ || position < *meanwhile_))
        meanwhile_ = position;
}

std::optional<run_id> concurrency_limiter::release()
{
    const std::lock_guard lock{mutex_};
    if (line_.empty()) {
        ++free_;
        return std::nullopt;
    }
    const auto granted = line_.begin()->first.id;
    line_.erase(line_.begin());
    in_line_.erase(granted);
    return granted;
}

bool concurrency_limiter::wait_for_slot(std::uint32_t shard, const due_position& position)
{
    const std::lock_guard lock{mutex_};
    if (turned_away_.empty() && free_ > 0)
        return false;
    add(shard, position);
    return true;
}

bool concurrency_limiter::is_short() const
{
    const std::lock_guard lock{mutex_};
    return !turned_away_.empty() && line_.size() <= max_waiting_ / 2;
}

std::optional<concurrency_limiter::refill_place> concurrency_limiter::refill_from()
{
    const std::lock_guard lock{mutex_};
    // Once begun it goes on until the line is full.
    refilling_ = !turned_away_.empty() && line_.size() < max_waiting_ &&
                 (refilling_ || line_.size() <= max_waiting_ / 2);
    if (!refilling_)
        return std::nullopt;
    const auto first =
        std::ranges::min_element(turned_away_, {}, [](const auto& entry) { return entry.second; });
    reading_ = first->first;
    meanwhile_.reset();
    return refill_place{first->first, first->second, max_waiting_ - line_.size()};
}

std::optional<bool> concurrency_limiter::refill(std::uint32_t shard, const due_position& position)
{
    const std::lock_guard lock{mutex_};
    const auto waits_longer = [&](const auto& entry) {
        return entry.first != shard && entry.second < position;
    };
    if (std::ranges::any_of(turned_away_, waits_longer))
        return std::nullopt;
    if (take_free())
        return true;
    if (in_line_.contains(position.id))
        return false;
    if (line_.size() >= max_waiting_)
        return std::nullopt;
    join(shard, position);
    return false;
}

void concurrency_limiter::refilled(std::uint32_t shard, std::optional<due_position> next)
{
    const std::lock_guard lock{mutex_};
    if (meanwhile_ && (!next || *meanwhile_ < *next))
        next = meanwhile_;
    reading_.reset();
    if (next)
        turned_away_[shard] = *next;
    else
        turned_away_.erase(shard);
}

void concurrency_limiter::forget_shard(std::uint32_t shard)
{
    const std::lock_guard lock{mutex_};
    turned_away_.erase(shard);
}

std::optional<due_position> concurrency_limiter::first() const
{
    const std::lock_guard lock{mutex_};
    std::optional<due_position> earliest;
    if (!line_.empty())
        earliest = line_.begin()->first;
    for (const auto& [shard, position] : turned_away_)
        if (!earliest || position < *earliest)
            earliest = position;
    return earliest;
}

} // namespace pawl::engine_detail
