#pragma once

#include "engine/api/engine_parts.hpp"
#include "engine/run/run_limiter.hpp"
#include "pawl/message.hpp"
#include "pawl/record.hpp"

#include <boost/asio/any_completion_executor.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

namespace pawl::engine_detail {

class activation;
class run_worker;
class run_worker_executor;

/// The runs in memory: at most one activation of each.
///
/// Each activation has a place. There are `max_active_runs` places for steps, and a reserve of
/// `urgent_runs` places for work that must not wait behind steps: messages, passed deadlines and
/// ends of pauses. A run of the reserve takes a place for steps before it starts a step, or ends
/// and waits in the store. A handler that waits for another run or for an answer, through a client
/// of this engine, releases its place until the wait ends.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class active_runs {
public:
    explicit active_runs(engine_parts& shared) : shared_(shared) {}

    enum class begin_result { yes, already_active, full, not_owner, passed_over };

    enum class place : std::uint8_t {
        none,
        step,    ///< one of max_active_runs
        urgent,  ///< one of the reserve
        waiting, ///< no place, because its handler waits
    };

    /// Activates a run that is due and whose record has just been read or written. If an activation
    /// of the run has ended since `noted`, the record may be outdated, and the new activation reads
    /// it again. If the run is active, its activation reads messages that it does not know.
    ///
    /// @param inside_call the first step must not run inside this call.
    /// @param has_turn the run has waited for a place for steps. It gets one even if it has urgent
    ///     work, because a step may follow.
    begin_result begin(record current, std::uint64_t noted, bool inside_call,
                       bool has_turn = false);

    /// Activates a run that has urgent work, by its id.
    begin_result begin_urgent(run_id run);

    /// Whether the run has work that does not wait behind steps.
    static bool is_urgent(const record& current, time_point now);

    /// Makes begin() pass the run over until that time, because it needs a newer program.
    void pass_over_until(run_id run, time_point until);

    /// The number of runs that begin() passes over.
    std::size_t count_passed_over() const;

    /// Records which activations end, until forget_ends(). To be called before records for begin()
    /// are read or written; begin() gets the result. Calls may overlap.
    std::uint64_t note_ends();
    void forget_ends();

    /// The engine acquires shards: other engines may have changed the runs whose records were read
    /// or written before. To be called before it counts as the owner.
    void outdate_records();

    /// Activates a run that has got a permit. If it is active, the permit is released. Returns
    /// false if there is no place for it: then it is in line again, and begins when a place is
    /// free.
    bool begin_granted(run_limiter::grant granted);

    /// Releases a permit, and activates the runs that get one.
    void release_permit(step_permit released);

    /// Activates the runs that get a permit now.
    void begin_permitted();

    /// Takes a place for steps, unless the activation has one. Returns false if none is free or
    /// other runs wait for one. On the activation's strand.
    bool take_step_place(activation& holder);

    /// Marks a handler as waiting for this engine until the result is destroyed. Null if the
    /// executor does not belong to a handler.
    std::shared_ptr<void> begin_wait(const boost::asio::any_completion_executor& executor);

    /// The run whose handler calls with this executor; empty for any other caller.
    std::optional<run_id>
    run_of_handler(const boost::asio::any_completion_executor& executor) const;

    /// Ends all waits of the activation's handler, which has ended. On the activation's strand.
    void stop_waiting(activation& holder);

    /// Hands a stored message to its run: to the present activation, or to a new one, which does
    /// not run inside this call.
    ///
    /// @param run the record of the run, not necessarily the newest.
    void deliver(const record& run, const message& stored);

    /// Hands stored messages to the activation of the run. Returns false if the run is not active.
    bool post_messages(run_id run, std::vector<message> stored);

    /// Makes the activation of the run offer its record to the watcher, which has been added.
    /// Returns false if the run is not active. To be called inside the task scope, whose entry it
    /// takes over.
    bool show_record(run_id run, const std::shared_ptr<watcher>& target);

    /// Makes the activation of the run read its inbox again, because the result of storing a
    /// message is unknown. Returns false if the run is not active.
    bool invalidate_inbox(run_id run);

    /// The messages that an activation has not taken over yet.
    struct inbox_delta {
        std::vector<message> arrived;
        bool unsure = false; ///< the stored inbox may have more messages
    };

    /// Returns the activation's inbox delta and empties it.
    inbox_delta drain_inbox_delta(activation& receiver);

    /// Removes an activation, unless messages have arrived for it. Returns true if it was removed;
    /// then another activation of the run may begin.
    bool retire(activation& ending);

    /// Removes an activation, even if messages have arrived for it: the store has them.
    void remove(activation& ending);

    /// Replaces an activation whose handler ignores its cancellation.
    void replace(activation& stuck, std::shared_ptr<activation> fresh);

    /// Cancels every running handler.
    void interrupt_all();

    /// Cancels the running handlers of runs whose shards the engine no longer has.
    void check_ownership();

    /// Whether a run of the shard is active. A run whose shard is not known yet counts.
    bool any_in(std::uint32_t shard) const;

    /// Whether the caller runs on the strand of an active run, which means inside its handler.
    bool run_here() const;

    /// Keeps an idle run_worker for the next activation. Returns false if it must end.
    bool rest_worker(std::shared_ptr<run_worker> idle);

    /// Ends the resting workers. To be called after engine_parts::stopping has been set.
    void stop();

    std::size_t size() const;
    bool contains(const run_id& run) const;

    struct occupancy {
        std::size_t free = 0;    ///< places for steps
        std::size_t steps = 0;   ///< taken places for steps
        std::size_t urgent = 0;  ///< taken places of the reserve
        std::size_t waiting = 0; ///< handlers that wait and have no place
        bool reserve_is_full = false;
        std::uint64_t freed = 0;        ///< counts releases of places for steps
        std::uint64_t freed_urgent = 0; ///< counts releases of places of the reserve
    };

    occupancy places() const;

    std::vector<std::shared_ptr<activation>> all() const;

private:
    class handler_wait;

    /// Enough for a large batch, whose runs end while other runs begin.
    static constexpr std::size_t max_resting = 1'024;

    /// Further runs that need a newer program are tried again in each scan of due runs.
    static constexpr std::size_t max_passed_over = 65'536;

    /// Past this number of recorded ends, earlier callers of note_ends() read their records again.
    static constexpr std::size_t max_ends = 4'096;

    enum class admission { step, urgent, granted };

    begin_result admit(const std::shared_ptr<activation>& fresh, admission kind);
    void take_place(activation& holder, place wanted);
    void release_place(activation& holder);
    std::shared_ptr<run_worker> take_worker();
    std::shared_ptr<activation>
    find_handler(const boost::asio::any_completion_executor& executor) const;
    void end_wait(activation& holder, std::uint64_t handler);
    void erase(activation& ending);

    engine_parts& shared_;
    mutable std::mutex mutex_;
    std::unordered_map<run_id, std::shared_ptr<activation>> runs_;
    std::vector<std::shared_ptr<run_worker>> resting_;
    std::unordered_map<const run_worker*, std::weak_ptr<run_worker>> workers_;
    occupancy taken_;

    std::unordered_map<run_id, time_point> passed_over_;

    std::size_t noting_ = 0;                          ///< calls of note_ends() to be undone
    std::uint64_t ends_ = 0;                          ///< counts ends
    std::uint64_t forgotten_ = 0;                     ///< records noted before are outdated
    std::unordered_map<run_id, std::uint64_t> ended_; ///< the last end of each run, while noting
};

/// Calls active_runs::note_ends(), and forget_ends() when it is destroyed.
class noted_ends {
public:
    explicit noted_ends(active_runs& runs) : runs_(runs), since_(runs.note_ends()) {}
    ~noted_ends() { runs_.forget_ends(); }

    noted_ends(const noted_ends&) = delete;
    noted_ends& operator=(const noted_ends&) = delete;

    std::uint64_t since() const noexcept { return since_; }

private:
    active_runs& runs_;
    const std::uint64_t since_;
};

} // namespace pawl::engine_detail
