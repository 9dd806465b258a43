#pragma once

#include "engine/run/limit_pool.hpp"
#include "pawl/record_store.hpp"
#include "pawl/run_id.hpp"

#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace pawl::engine_detail {

struct limited_step;

/// The keys of a run for the limits of its step.
struct lane_key {
    std::vector<std::optional<std::string>> limits; ///< empty if no limit of the step has keys
    std::optional<std::string> turn;                ///< the key that takes turns

    friend auto operator<=>(const lane_key&, const lane_key&) = default;
};

/// The runs of one step that wait with the same keys, in the order in which they became due.
struct waiting_lane {
    limited_step* step = nullptr;
    const lane_key* key = nullptr;
    std::vector<limit_pool*> pools; ///< what an attempt needs
    std::vector<limit_pool*> held;  ///< of these, what the lane keeps for its first run
    std::set<std::pair<due_position, std::uint32_t>> runs; ///< with their shards
    limit_pool* waits_for = nullptr;                       ///< it has `order` in its list
    lane_order order;
    int passed_over = 0; ///< how often other lanes got a permit of a pool before the first run
};

/// The runs of one step that wait for its limits.
///
/// It holds ids and is bounded. For the runs that do not fit, it keeps one position per shard, from
/// which due_scanner reads more runs when the line is short. So a long backlog is read once.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Unsafe.
class waiting_line {
public:
    /// @param has_lanes runs have keys. Otherwise the line keeps the order of all runs, also of
    ///     those that do not fit.
    waiting_line(std::size_t max_runs, bool has_lanes) : max_runs_(max_runs), has_lanes_(has_lanes)
    {
    }

    waiting_lane* find_lane(const lane_key& key);
    waiting_lane& open_lane(const lane_key& key);

    /// Removes a lane without runs.
    void close_lane(waiting_lane& lane);

    /// Adds a run that is not in the line. If the line is full, the last runs of the returned lane
    /// have left it for the store; the added run may be one of them.
    waiting_lane* add(waiting_lane& lane, std::uint32_t shard, const due_position& position);

    /// Removes a run and returns its former lane; null if the run is not in the line.
    waiting_lane* remove(run_id run);

    /// Removes the first run of the lane.
    std::pair<due_position, std::uint32_t> pop(waiting_lane& lane);

    /// Whether the run must wait in the store because runs that do not fit have waited longer.
    bool is_behind_overflow(const due_position& position) const;
    void add_overflow(std::uint32_t shard, const due_position& position);

    bool contains(run_id run) const { return queued_.contains(run); }
    bool is_full() const { return queued_.size() >= max_runs_; }
    bool has_overflow() const { return !overflow_.empty(); }

    using shard_position = std::pair<due_position, std::uint32_t>;

    struct refill_request {
        std::vector<shard_position> from; ///< of each shard with runs that did not fit, in order
        std::size_t free = 0;             ///< how many runs fit into the line
    };

    /// From where to read runs for the line; empty while the line is long or complete.
    std::optional<refill_request> refill_from();

    /// Whether refill_from() returns a request.
    bool is_short() const;

    /// The runs before these positions have been read; empty: all of the shard.
    using read_positions = std::map<std::uint32_t, std::optional<due_position>>;
    void end_refill(const read_positions& read);

    /// Removes what is known of the shard, and returns the lanes that have lost runs.
    std::vector<waiting_lane*> forget_shard(std::uint32_t shard);

    /// The earliest waiting run; empty if none waits.
    std::optional<due_position> first_waiting() const;

    const std::map<lane_key, waiting_lane>& lanes() const noexcept { return lanes_; }

    struct queued_run {
        waiting_lane* lane = nullptr;
        due_position position;
        std::uint32_t shard = 0;
    };

    const queued_run* find_run(run_id run) const;

private:
    /// A lane by the number of its runs; of equal ones, the lane with the first key is the last.
    struct sized_lane {
        std::size_t runs = 0;
        waiting_lane* lane = nullptr;

        friend bool operator<(const sized_lane& a, const sized_lane& b)
        {
            return a.runs != b.runs ? a.runs < b.runs : *b.lane->key < *a.lane->key;
        }
    };

    waiting_lane& longest_lane();
    void note_size(waiting_lane& lane, std::size_t before);

    const std::size_t max_runs_;
    const bool has_lanes_;
    std::map<lane_key, waiting_lane> lanes_;
    std::set<sized_lane> by_size_; ///< the lanes with runs, if runs have keys
    std::unordered_map<run_id, queued_run> queued_;
    std::map<std::uint32_t, due_position> overflow_; ///< by shard: the first run that did not fit
    bool refilling_ = false;
    bool reading_ = false; ///< since refill_from(), until end_refill()
    std::map<std::uint32_t, due_position> added_while_reading_; ///< to the overflow
};

} // namespace pawl::engine_detail
