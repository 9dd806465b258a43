#pragma once

#include "engine/run/limit_registry.hpp"
#include "engine/run/waiting_line.hpp"
#include "pawl/clock.hpp"
#include "pawl/definition.hpp"
#include "pawl/detail/handlers.hpp"
#include "pawl/limit_info.hpp"
#include "pawl/record_store.hpp"
#include "pawl/run_id.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace pawl::engine_detail {

/// A step with limits or with max_concurrency, which is a limit of the step alone.
struct limited_step {
    limited_step(std::size_t max_waiting, bool has_lanes) : line(max_waiting, has_lanes) {}

    const detail::status_handlers* handlers = nullptr;
    std::vector<engine_limit*> limits; ///< of the step; its max_concurrency is the last one
    bool has_keys = false;             ///< an object must be decoded to know its keys
    bool bounds_concurrency = false;   ///< a limit bounds how many runs are inside the step
    waiting_line line;                 ///< under the lock of run_limiter
};

/// What an attempt of a limited step needs. Made by run_limiter, and to be released there.
struct step_permit {
    limited_step* step = nullptr; ///< null: no permit
    lane_key key;
    std::vector<limit_pool*> pools;
    bool used = false; ///< an attempt has begun

    explicit operator bool() const noexcept { return step != nullptr; }
};

/// A pool of a leased limit whose concurrency runs of this engine need.
struct pool_demand {
    std::string limit;
    std::string key;
    std::size_t concurrency = 0; ///< of all engines together
    std::size_t running = 0;
    std::size_t waiting = 0;
};

/// The limits of an engine: permits for attempts of steps, and the runs that wait for them.
///
/// Runs of one step with the same keys form a lane. A lane waits for the first pool that its first
/// run cannot have; when that pool has a permit again, its lanes are looked at in their order. An
/// attempt takes all of its limits or none. A lane that was passed over many times keeps what it
/// can get: one lane at a time, so that two of them never wait for each other.
///
/// Times are of the steady clock.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class run_limiter {
public:
    /// @param time must outlive the limiter.
    explicit run_limiter(const clock& time) : clock_(time) {}

    run_limiter(const run_limiter&) = delete;
    run_limiter& operator=(const run_limiter&) = delete;

    /// Adds a step; null if it has no limits. Throws definition_error when one of its limits was
    /// added with other numbers. Before the engine is started.
    limited_step* add_step(const detail::workflow_impl& workflow, const status_rules& status,
                           std::size_t max_active_runs, std::size_t max_limited_runs);

    /// The keys of an object. Throws what the application's functions throw.
    static lane_key keys_of(const limited_step& step, const detail::object_ptr& object);

    /// Takes a permit unless a limit has none, or other runs wait for it.
    std::optional<step_permit> try_acquire(limited_step& step, const lane_key& key);

    /// Takes a permit, or adds the run to the line. If the line is full, its position is kept.
    std::optional<step_permit> acquire_or_wait(limited_step& step, const lane_key& key,
                                               std::uint32_t shard, const due_position& position);

    /// Adds the run to the line, unless a permit is free: then returns false.
    bool wait_for_permit(limited_step& step, const lane_key& key, std::uint32_t shard,
                         const due_position& position);

    /// Releases a permit. A token that no attempt has used is returned. Afterwards next_grant() may
    /// have runs to begin.
    void release(step_permit released);

    /// A run that waited and has got a permit.
    struct grant {
        due_position position;
        std::uint32_t shard = 0;
        step_permit permit;
    };

    /// Releases the permit of a run that could not begin, and adds the run to the line again.
    void put_back(grant refused);

    /// The next run to begin. Call it until it is empty, after each release and at next_wake().
    std::optional<grant> next_grant();

    /// When next_grant() is to be called, on the steady clock; empty: not before a release.
    std::optional<duration> next_wake() const;

    std::optional<waiting_line::refill_request> refill_from(limited_step& step);
    bool is_short(const limited_step& step) const;

    enum class refill_result { granted, queued, full };

    /// As acquire_or_wait(), for a run that was read because of refill_from(). It does not wait
    /// behind unread runs: the caller passes runs of all shards in their order. `full` if the line
    /// is full; the caller then passes the position to end_refill().
    refill_result refill(limited_step& step, const lane_key& key, std::uint32_t shard,
                         const due_position& position, step_permit& permit);

    /// The runs before these positions have been read.
    void end_refill(limited_step& step, const waiting_line::read_positions& read);

    /// The engine no longer owns the shard.
    void forget_shard(std::uint32_t shard);

    /// The earliest waiting run; empty if none waits.
    std::optional<due_position> first_waiting() const;

    std::vector<limit_info> list() const;

    /// Whether a step has a limit besides max_concurrency.
    bool has_limits() const;
    bool has_limit(const std::string& name) const;

    using limit_numbers = std::map<std::string, limit_options>; ///< by the limit's name

    /// A ticket for set_numbers(), to be taken before the numbers are read.
    std::uint64_t begin_reading();

    /// Puts these numbers in force, and those that the program declares for the other limits;
    /// unless numbers that were read later are in force.
    void set_numbers(std::uint64_t ticket, const limit_numbers& numbers);

    /// From now on this engine has a part of each limit only: of the rate, the part that
    /// set_share() names, and of the concurrency what set_leased() names. At first both are zero.
    /// `on_demand` is called when runs wait for more; it must not call the limiter. Before the
    /// engine is started.
    void share_limits(std::function<void()> on_demand);
    void set_share(double share);

    /// Returns the number of running attempts, which may exceed `runs`.
    std::size_t set_leased(const std::string& limit, const std::string& key, std::size_t runs);

    /// Sets what the engine has of each concurrency to zero.
    void drop_leased();

    /// The pools of leased limits in which attempts run or for which runs wait.
    std::vector<pool_demand> pool_demands() const;

    /// What the run waits for; empty if it does not wait.
    std::optional<limit_wait> explain(run_id run) const;

private:
    std::vector<limit_pool*> pools_of(limited_step& step, const lane_key& key);
    std::optional<step_permit> take(limited_step& step, const lane_key& key);
    bool is_free(limited_step& step, const lane_key& key);
    void enqueue(limited_step& step, const lane_key& key, std::uint32_t shard,
                 const due_position& position);
    waiting_lane& open_lane(limited_step& step, const lane_key& key);
    void place(waiting_lane& lane);
    void attach(waiting_lane& lane, limit_pool& pool);
    void detach(waiting_lane& lane);
    void settle(waiting_lane* lane);
    void close(waiting_lane& lane);
    limit_pool* find_short_pool(const waiting_lane& lane);
    waiting_lane* next_lane(limit_pool& pool);
    std::optional<grant> serve(waiting_lane& lane, limit_pool& pool);
    bool may_hold(const waiting_lane& lane, limit_pool& gained, limit_pool& missing);
    void queue_pool(limit_pool& pool);
    void apply_numbers(engine_limit& limit);
    void watch_pool(limit_pool& pool);
    void stop_watching(limit_pool& pool);
    duration now() const { return clock_.steady(); }

    const clock& clock_;
    mutable std::mutex mutex_;
    limit_registry registry_;
    std::vector<std::unique_ptr<limited_step>> steps_;
    std::function<void()> on_demand_;            ///< null unless limits are shared
    std::deque<limit_pool*> queued_pools_;       ///< may have a permit for a lane
    std::multimap<duration, limit_pool*> wakes_; ///< pools that wait for a token
    std::uint64_t tickets_ = 0;
    std::uint64_t numbers_of_ = 0;   ///< the ticket of the numbers in force
    waiting_lane* holder_ = nullptr; ///< the lane that may keep permits
};

} // namespace pawl::engine_detail
