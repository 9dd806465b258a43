#pragma once

#include "core/token_bucket.hpp"
#include "pawl/limit.hpp"
#include "pawl/record_store.hpp"

#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

namespace pawl::engine_detail {

class limit_pool;
struct waiting_lane;

/// A limit of an engine: the numbers in force, and its pools.
struct engine_limit {
    std::string name;
    limit_options declared;
    limit_options numbers; ///< in force
    bool keyed = false;
    bool overridden = false;        ///< `numbers` were set by an operator
    double share = 1;               ///< the part of the rate that is this engine's
    bool leased = false;            ///< the concurrency is what limit_leases has of it
    bool takes_turns = false;       ///< a step with this limit has step_options::fair_by()
    std::size_t sweep_size = 1'024; ///< the number of pools at which idle ones are removed
    duration next_sweep{};          ///< not before, if there are too many pools
    std::map<std::string, std::unique_ptr<limit_pool>> pools; ///< by key
};

/// Where a lane stands among the lanes that wait for a pool.
struct lane_order {
    std::uint64_t turn = 0; ///< 0 unless lanes take turns
    due_position first;     ///< the first run of the lane
    waiting_lane* lane = nullptr;

    friend bool operator<(const lane_order& a, const lane_order& b)
    {
        // The position has the run's id: no two lanes have the same.
        return a.turn != b.turn ? a.turn < b.turn : a.first < b.first;
    }
};

/// What the attempts of one key of a limit share: how many may run, and tokens for those that
/// begin.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Unsafe.
class limit_pool {
public:
    /// @param of must outlive the pool.
    limit_pool(engine_limit& of, std::string key, duration now);

    /// What a pool lacks for another attempt.
    enum class shortage : std::uint8_t { none, concurrency, rate };

    shortage find_shortage(duration now);

    /// Whether it is certain that a permit can be had a second from now, or when an attempt ends.
    bool frees_soon(duration now);

    void take(duration now);

    /// @param unused no attempt has begun: the token is returned too.
    void release(bool unused, duration now);

    /// The numbers of the limit have changed.
    void apply_numbers(duration now);

    /// When a token can be taken; empty if that is not what is missing, or it is never.
    std::optional<duration> next_token(duration now);

    /// Whether the pool is as a new one, and may be removed.
    bool is_idle(duration now);

    engine_limit& limit;
    const std::string key;
    std::size_t running = 0;         ///< attempts
    std::size_t leased = 0;          ///< of a leased limit: how many may run in this engine
    std::size_t lanes = 0;           ///< lanes that need this pool, whatever they wait for
    std::uint64_t turn = 0;          ///< of the lane that was served last
    std::set<lane_order> waiting;    ///< lanes whose first run waits for this pool
    bool is_queued = false;          ///< in run_limiter's list of pools to look at
    std::optional<duration> wake_at; ///< when run_limiter looks at the pool

private:
    std::size_t max_running() const;
    core::fill_rule rule() const;

    std::optional<core::token_bucket> bucket_; ///< empty: the rate is not limited
};

} // namespace pawl::engine_detail
