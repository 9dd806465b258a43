#pragma once

#include "engine/api/context.hpp"

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

/// Finds the handlers that end the process of their engine.
///
/// An engine may take a shard that its former owner did not release, because that process ended
/// without a stop. Each run that was due then may have had a handler under way: the run is a
/// suspect. Before the next handler of a suspect begins, the engine stores record::suspicion, which
/// is the number of such ends in a row plus one. The handlers of runs with a suspicion of 2 run at
/// most 16 at a time; those with a higher one run alone among the suspects. A run whose suspicion
/// reaches the limit is guilty: its handler is not run again.
///
/// A handler that ends in any way clears the suspicion of its run. So after a crash each suspect
/// costs one commit more; without a crash nothing does.
///
/// A suspect that has been under way for `patience` no longer keeps other suspects waiting, so that
/// a long handler delays nobody. A handler that ends the process later than that can bring others
/// that are under way for as long, and as often, under suspicion with it.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class crash_suspects {
public:
    /// The least limit. With fewer, an innocent run could be blamed: the first end is counted for
    /// no run, the second brings the suspicion, at the third the run is one of 16, and later it is
    /// alone, once beside a run that was not suspected yet.
    static constexpr std::uint32_t least_crashes = 5;

    /// @param max_crashes  0: none is suspected.
    crash_suspects(context& shared, std::uint32_t max_crashes);

    /// Sets how many shards there are, before the engine is started.
    void set_shards(std::uint32_t count);

    /// The shard is the engine's from now on.
    /// @param left  the former owner did not release it.
    void note_acquired_shard(std::uint32_t shard, bool left);

    /// What the record says of the run before its next handler begins.
    struct judgement {
        std::uint32_t crashes = 0;   ///< known ends of engines during its handler
        std::uint32_t suspicion = 0; ///< to be stored in its record
    };

    /// @param current  the run as it is stored when the engine loads it.
    judgement judge_run(std::uint32_t shard, const record& current);

    /// Whether the handler must not run again.
    bool is_guilty(const judgement& of) const noexcept
    {
        return max_crashes_ != 0 && of.crashes + 1 >= max_crashes_;
    }

    /// The run's suspicion is about to be stored.
    void note_suspicion(std::uint32_t shard, run_id run);

    /// Lets a handler of the run begin, unless too many suspects are under way. Then it returns
    /// false; the caller tries again after failure_pause, or when the run is woken.
    bool admit_suspect(std::uint32_t suspicion, std::uint32_t shard, run_id run);

    /// The handler that was let in has ended.
    void release_suspect(std::uint32_t suspicion, run_id run);

private:
    /// Suspects that may be under way side by side.
    struct lane {
        std::size_t places;
        std::unordered_map<run_id, duration> under_way{}; ///< since when, by the steady clock
        std::deque<std::pair<std::uint32_t, run_id>> waiting{};
        std::unordered_set<run_id> is_waiting{};
        duration refused_at = duration::min(); ///< when one last had to wait
    };

    lane* lane_of(std::uint32_t suspicion);
    bool has_place(lane& wanted);
    void end_patience(lane& with);

    context& shared_;
    const std::uint32_t max_crashes_;
    std::vector<std::atomic<time_point::rep>> left_at_; ///< by shard; min: it was released

    /// How many more runs may become suspects: as many as the engine that ended could have had
    /// under way.
    std::atomic<std::size_t> left_{0};

    std::mutex mutex_; ///< guards what follows
    lane few_{16};
    lane alone_{1};

    /// Runs whose suspicion this engine has stored itself, with the epoch of their shard: it tells
    /// of no further end. Times could not say that, since clocks are set back.
    std::unordered_map<run_id, std::uint64_t> suspected_here_;
};

} // namespace pawl::engine_detail
