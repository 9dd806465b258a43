#pragma once

#include "engine/api/engine_parts.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace pawl::engine_detail {

/// Finds handlers that crash the process of their engine.
///
/// An engine may acquire a shard that its former owner did not release, because that process
/// crashed. Each run that was due then may have had a running handler: the run is a suspect. Before
/// the next handler of a suspect starts, the engine stores record::suspicion, which is the number
/// of consecutive crashes plus one. At most 16 handlers of runs with a suspicion of 2 run at a
/// time; a handler of a run with a higher suspicion runs alone among the suspects. A run whose
/// suspicion reaches the limit is guilty: its handler does not run again.
///
/// A handler that ends in any way, or that records an effect, clears the suspicion of its run. So a
/// crash costs one more commit for each suspect; without a crash there is no cost.
///
/// A suspect that has run for `max_hold_time` no longer delays other suspects, so that a long
/// handler delays no run. If such a handler crashes the process later, other suspects that run at
/// that time share its suspicion.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class crash_suspects {
public:
    /// The minimum of the limit. A lower limit could blame an innocent run: the first crash counts
    /// for no run, the second makes the run a suspect, at the third it is one of 16, and later it
    /// is alone or, once, beside a run that was not suspected yet.
    static constexpr std::uint32_t min_crash_limit = 5;

    /// @param max_crashes 0: no run is suspected.
    crash_suspects(engine_parts& shared, std::uint32_t max_crashes);

    /// Sets the number of shards. To be called before the engine is started.
    void set_shards(std::uint32_t count);

    /// The engine has acquired the shard.
    ///
    /// @param abandoned the former owner did not release it.
    void note_acquired_shard(std::uint32_t shard, bool abandoned);

    /// The assessment of a run before its next handler starts.
    struct judgement {
        std::uint32_t crashes = 0;   ///< known crashes during its handler
        std::uint32_t suspicion = 0; ///< the suspicion to store in its record
    };

    /// @param current the stored record when the engine loads the run.
    judgement judge_run(std::uint32_t shard, const record& current);

    /// Whether the handler must not run again.
    bool is_guilty(const judgement& judged) const noexcept
    {
        return max_crashes_ != 0 && judged.crashes + 1 >= max_crashes_;
    }

    /// The run's suspicion is about to be stored.
    void note_suspicion(std::uint32_t shard, run_id run);

    /// Admits a handler of the run. Returns false if too many suspects run; the caller tries again
    /// after failure_pause, or when the run is woken.
    bool admit_suspect(std::uint32_t suspicion, std::uint32_t shard, run_id run);

    /// The admitted handler has ended.
    void release_suspect(std::uint32_t suspicion, run_id run);

private:
    /// Suspects that may run concurrently.
    struct suspect_group {
        std::size_t places;
        std::unordered_map<run_id, duration> running{}; ///< the steady time of each start
        std::deque<std::pair<std::uint32_t, run_id>> waiting{};
        std::unordered_set<run_id> waiting_ids{};
        duration refused_at = duration::min(); ///< when a suspect last had to wait
    };

    suspect_group* group_of(std::uint32_t suspicion);
    bool has_place(suspect_group& group);
    void drop_long_running(suspect_group& group);

    engine_parts& shared_;
    const std::uint32_t max_crashes_;
    std::vector<std::atomic<time_point::rep>> abandoned_at_; ///< by shard; min: it was released

    /// How many more runs may become suspects. Starts at the number of handlers that the crashed
    /// engine could have run.
    std::atomic<std::size_t> new_suspects_left_{0};

    std::mutex mutex_; ///< guards the members below
    suspect_group few_{16};
    suspect_group alone_{1};

    /// Runs whose suspicion this engine has stored, with the epoch of their shard: their suspicion
    /// shows no further crash. Times could not show that, because clocks may be set back.
    std::unordered_map<run_id, std::uint64_t> suspected_here_;
};

} // namespace pawl::engine_detail
