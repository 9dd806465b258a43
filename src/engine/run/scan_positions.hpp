#pragma once

#include "pawl/record_store.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace pawl::engine_detail {

/// A range of due runs that may contain runs that the scan has missed.
struct due_range {
    due_position from;
    time_point to; ///< inclusive
};

/// How far due_scanner has read the due runs of one shard.
struct shard_scan {
    /// Where the runs that become due in the future begin; empty: no run becomes due.
    std::optional<due_position> next;

    std::optional<due_range> sweep;
    std::optional<due_position> backlog;       ///< the earliest run that waits for a place
    std::optional<time_point> sweep_at;        ///< when to sweep for a run that wake_list rejected
    time_point not_before = time_point::min(); ///< the end of the pause after a store failure

    bool may_be_read(time_point now) const;

    /// When the shard must be read next.
    std::optional<time_point> read_at(time_point now, bool places_are_free) const;

    void add_sweep(due_position from, time_point to);

    /// Includes the runs that become due from that position on.
    void move_next_back(const due_position& position);
};

/// The scans of all shards.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Unsafe.
class scan_positions {
public:
    explicit scan_positions(std::uint32_t shards) : shards_(shards) {}

    std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(shards_.size()); }

    shard_scan& operator[](std::uint32_t shard) { return shards_[shard]; }
    const shard_scan& operator[](std::uint32_t shard) const { return shards_[shard]; }

    void forget_shard(std::uint32_t shard);
    void set_backlog(std::uint32_t shard, std::optional<due_position> position);

    /// The number of shards in which runs wait for a place.
    std::size_t backlog_count() const noexcept { return backlogs_.size(); }

    /// The earliest run that waits for a place.
    std::optional<due_position> first_backlog() const;

    /// The earliest run that waits for a place in a shard that may be read, with its shard.
    std::optional<std::pair<due_position, std::uint32_t>>
    first_readable_backlog(time_point now) const;

    std::vector<std::uint32_t> shards_to_read(time_point now) const;

    /// When the first shard must be read next; max if none must.
    time_point read_at(time_point now, bool places_are_free) const;

    /// Sweeps all shards at that time.
    void sweep_all_at(time_point time);
    void sweep_at(std::uint32_t shard, time_point time);

private:
    std::vector<shard_scan> shards_;
    std::set<std::pair<due_position, std::uint32_t>> backlogs_;
};

} // namespace pawl::engine_detail
