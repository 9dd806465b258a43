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

/// Permits for the attempts of one step that may run at a time, with a line of runs that wait for
/// one, in the order in which they became due.
///
/// Runs wait by id, not in memory. The line is bounded: of the runs that do not fit, the limiter
/// keeps one position per shard, from which due_scanner reads on when the line is short. So a long
/// backlog is read once.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class concurrency_limiter {
public:
    concurrency_limiter(std::size_t permits, std::size_t max_waiting)
        : free_(permits), max_waiting_(max_waiting)
    {
    }

    /// Takes a permit unless none is free or runs wait for it.
    bool try_acquire();

    /// Takes a permit, or joins the line (once) and returns false. A run that the line has no room
    /// for is remembered by its position. `position` is where the store has the run.
    bool acquire_or_wait(std::uint32_t shard, const due_position& position);

    /// Gives a permit back. The permit has gone to the run that is returned, which the caller
    /// wakes.
    std::optional<run_id> release();

    /// Joins the line, unless a permit is free: then false.
    bool wait_for_slot(std::uint32_t shard, const due_position& position);

    struct refill_place {
        std::uint32_t shard = 0;
        due_position from;
        std::size_t room = 0; ///< of the line
    };

    /// Where runs of the line are to be read from; empty while the line is long or holds all.
    std::optional<refill_place> refill_from();

    /// Whether that has something.
    bool is_short() const;

    /// As acquire_or_wait(), for a run that was read from refill_from(): it does not wait behind
    /// those of its shard that are still to be read. Empty when the line is full, or runs of other
    /// shards have waited longer; the run is remembered then.
    std::optional<bool> refill(std::uint32_t shard, const due_position& position);

    /// The runs of the shard up to `next` have been read; empty: all.
    void refilled(std::uint32_t shard, std::optional<due_position> next);

    /// The shard is no longer the engine's.
    void forget_shard(std::uint32_t shard);

    /// The earliest run that waits; empty when none does.
    std::optional<due_position> first() const;

private:
    bool take_free();
    void add(std::uint32_t shard, const due_position& position);
    void join(std::uint32_t shard, const due_position& position);
    void turn_away(std::uint32_t shard, const due_position& position);

    mutable std::mutex mutex_;
    std::size_t free_;
    const std::size_t max_waiting_;
    std::set<std::pair<due_position, std::uint32_t>> line_;
    std::unordered_map<run_id, std::pair<due_position, std::uint32_t>> in_line_;
    std::map<std::uint32_t, due_position> turned_away_; ///< by shard: the earliest
    bool refilling_ = false;
    std::optional<std::uint32_t> reading_;  ///< the shard that refill_from() gave
    std::optional<due_position> meanwhile_; ///< turned away while that is read
};

} // namespace pawl::engine_detail
