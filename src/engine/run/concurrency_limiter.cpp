#include "engine/run/concurrency_limiter.hpp"

#include <algorithm>

namespace pawl::engine_detail {

bool concurrency_limiter::take_free_slot()
{
    if (free_ == 0)
        return false;
    --free_;
    return true;
}

bool concurrency_limiter::try_acquire()
{
    const std::lock_guard lock{mutex_};
    return overflow_.empty() && take_free_slot();
}

bool concurrency_limiter::acquire_or_wait(std::uint32_t shard, const due_position& position)
{
    const std::lock_guard lock{mutex_};
    if (!is_behind_overflow(position) && take_free_slot())
        return true;
    add(shard, position);
    return false;
}

/// Whether runs that did not fit into the queue have waited longer.
bool concurrency_limiter::is_behind_overflow(const due_position& position) const
{
    return std::ranges::any_of(overflow_,
                               [&](const auto& entry) { return entry.second < position; });
}

/// A run behind runs that did not fit into the queue does not join it either. No run joins the
/// queue while a slot is free: only the release of a slot takes runs from it.
void concurrency_limiter::add(std::uint32_t shard, const due_position& position)
{
    if (!queued_.contains(position.id) && is_behind_overflow(position))
        add_overflow(shard, position);
    else
        enqueue(shard, position);
}

void concurrency_limiter::enqueue(std::uint32_t shard, const due_position& position)
{
    const auto [known, is_new] = queued_.try_emplace(position.id, position, shard);
    if (!is_new) {
        queue_.erase(known->second);
        known->second = {position, shard};
    }
    queue_.emplace(position, shard);
    if (queue_.size() <= max_waiting_)
        return;
    const auto last = *std::prev(queue_.end());
    add_overflow(last.second, last.first);
}

void concurrency_limiter::add_overflow(std::uint32_t shard, const due_position& position)
{
    if (const auto known = queued_.find(position.id); known != queued_.end()) {
        queue_.erase(known->second);
        queued_.erase(known);
    }
    const auto [at, is_new] = overflow_.try_emplace(shard, position);
    if (!is_new)
        at->second = std::min(at->second, position);
    if (reading_ == shard && (!added_while_reading_ || position < *added_while_reading_))
        added_while_reading_ = position;
}

std::optional<run_id> concurrency_limiter::release()
{
    const std::lock_guard lock{mutex_};
    if (queue_.empty()) {
        ++free_;
        return std::nullopt;
    }
    const auto granted = queue_.begin()->first.id;
    queue_.erase(queue_.begin());
    queued_.erase(granted);
    return granted;
}

bool concurrency_limiter::wait_for_slot(std::uint32_t shard, const due_position& position)
{
    const std::lock_guard lock{mutex_};
    if (free_ > 0 && !is_behind_overflow(position))
        return false;
    add(shard, position);
    return true;
}

bool concurrency_limiter::is_short() const
{
    const std::lock_guard lock{mutex_};
    return !overflow_.empty() && queue_.size() <= max_waiting_ / 2;
}

std::optional<concurrency_limiter::refill_request> concurrency_limiter::refill_from()
{
    const std::lock_guard lock{mutex_};
    // A refill continues until the queue is full.
    refilling_ = !overflow_.empty() && queue_.size() < max_waiting_ &&
                 (refilling_ || queue_.size() <= max_waiting_ / 2);
    if (!refilling_)
        return std::nullopt;
    const auto first =
        std::ranges::min_element(overflow_, {}, [](const auto& entry) { return entry.second; });
    reading_ = first->first;
    added_while_reading_.reset();
    return refill_request{first->first, first->second, max_waiting_ - queue_.size()};
}

std::optional<bool> concurrency_limiter::refill(std::uint32_t shard, const due_position& position)
{
    const std::lock_guard lock{mutex_};
    const auto waits_longer = [&](const auto& entry) {
        return entry.first != shard && entry.second < position;
    };
    if (std::ranges::any_of(overflow_, waits_longer))
        return std::nullopt;
    if (take_free_slot())
        return true;
    if (queued_.contains(position.id))
        return false;
    if (queue_.size() >= max_waiting_)
        return std::nullopt;
    enqueue(shard, position);
    return false;
}

void concurrency_limiter::end_refill(std::uint32_t shard, std::optional<due_position> next)
{
    const std::lock_guard lock{mutex_};
    if (added_while_reading_ && (!next || *added_while_reading_ < *next))
        next = added_while_reading_;
    reading_.reset();
    if (next)
        overflow_[shard] = *next;
    else
        overflow_.erase(shard);
}

void concurrency_limiter::forget_shard(std::uint32_t shard)
{
    const std::lock_guard lock{mutex_};
    overflow_.erase(shard);
}

std::optional<due_position> concurrency_limiter::first_waiting() const
{
    const std::lock_guard lock{mutex_};
    std::optional<due_position> earliest;
    if (!queue_.empty())
        earliest = queue_.begin()->first;
    for (const auto& [shard, position] : overflow_)
        if (!earliest || position < *earliest)
            earliest = position;
    return earliest;
}

} // namespace pawl::engine_detail
