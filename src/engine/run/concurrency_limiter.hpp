#pragma once

#include "pawl/record_store.hpp"
#include "pawl/run_id.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

namespace pawl::engine_detail {

/// Limits the number of concurrent attempts of one step. Runs that wait for a slot form a queue, in
/// the order in which they became due.
///
/// The queue holds ids and is bounded: for the runs that do not fit, the limiter keeps one position
/// per shard, from which due_scanner reads more runs when the queue is short. So a long backlog is
/// read once.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class concurrency_limiter {
public:
    concurrency_limiter(std::size_t slots, std::size_t max_waiting)
        : free_(slots), max_waiting_(max_waiting)
    {
    }

    /// Takes a slot unless none is free or runs wait for one.
    bool try_acquire();

    /// Takes a slot, or adds the run to the queue and returns false. If the queue is full, the
    /// limiter keeps the position only. `position` is the run's position among the due runs.
    bool acquire_or_wait(std::uint32_t shard, const due_position& position);

    /// Releases a slot. If it returns a run, that run has got the slot, and the caller wakes it.
    std::optional<run_id> release();

    /// Adds the run to the queue, unless a slot is free: then returns false.
    bool wait_for_slot(std::uint32_t shard, const due_position& position);

    struct refill_request {
        std::uint32_t shard = 0;
        due_position from;
        std::size_t free = 0; ///< how many runs fit into the queue
    };

    /// From where to read runs for the queue; empty while the queue is long or complete.
    std::optional<refill_request> refill_from();

    /// Whether refill_from() returns a request.
    bool is_short() const;

    /// As acquire_or_wait(), for a run that was read because of refill_from(). It does not wait
    /// behind unread runs of its shard. Empty if the queue is full or runs of other shards have
    /// waited longer; the caller then passes the position to end_refill().
    std::optional<bool> refill(std::uint32_t shard, const due_position& position);

    /// The runs of the shard before `next` have been read; empty: all of them.
    void end_refill(std::uint32_t shard, std::optional<due_position> next);

    /// The engine no longer owns the shard.
    void forget_shard(std::uint32_t shard);

    /// The earliest waiting run; empty if none waits.
    std::optional<due_position> first_waiting() const;

private:
    bool take_free_slot();
    bool is_behind_overflow(const due_position& position) const;
    void add(std::uint32_t shard, const due_position& position);
    void enqueue(std::uint32_t shard, const due_position& position);
    void add_overflow(std::uint32_t shard, const due_position& position);

    mutable std::mutex mutex_;
    std::size_t free_;
    const std::size_t max_waiting_;
    std::set<std::pair<due_position, std::uint32_t>> queue_;
    std::unordered_map<run_id, std::pair<due_position, std::uint32_t>> queued_;
    std::map<std::uint32_t, due_position> overflow_; ///< by shard: the first run that did not fit
    bool refilling_ = false;
    std::optional<std::uint32_t> reading_;            ///< the shard of the last refill_from()
    std::optional<due_position> added_while_reading_; ///< to the overflow of that shard
};

} // namespace pawl::engine_detail
