#pragma once

#include "engine/api/context.hpp"
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

/// The runs that are in memory: at most one activation of each.
///
/// Each of them has a place. There are `max_active_runs` places for steps, and a reserve of
/// `urgent_runs` for what must not wait behind steps: messages, passed deadlines, ends of pauses. A
/// run of the reserve takes a place for steps before it begins one, or ends and waits in the store.
/// A handler that waits for another run or for an answer, through a client of this engine, gives
/// its place to others until the wait ends.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class active_runs {
public:
    explicit active_runs(context& shared) : shared_(shared) {}

    enum class begin_result { yes, already_active, full, not_owner, passed_over };

    enum class place : std::uint8_t {
        none,
        step,    ///< one of max_active_runs
        urgent,  ///< one of the reserve
        waiting, ///< its handler waits; it has no place
    };

    /// Activates a run that is due, and whose record has just been read or written. If an
    /// activation of it has ended since `noted`, the record may be older than what that one stored,
    /// and is read again. One that is active already is told of messages that it does not know.
    ///
    /// With `has_turn` it has waited for a place for steps, and it is its turn: it gets such a
    /// place though it has something urgent to do, since a step may follow.
    begin_result begin(record current, std::uint64_t noted, bool inside_call,
                       bool has_turn = false);

    /// Activates a run that has something urgent to do, by its id.
    begin_result begin_urgent(run_id run);

    /// Whether the run has something to do that does not wait behind steps.
    static bool is_urgent(const record& current, time_point now);

    /// The run needs a newer program: begin() passes it over until then.
    void pass_over_until(run_id run, time_point until);

    /// How many runs are passed over for that.
    std::size_t count_passed_over() const;

    /// From now on, until forget_ends(), remembers which activations end: called before records are
    /// read or written for begin(), which gets the result. May be called several times.
    std::uint64_t note_ends();
    void forget_ends();

    /// Activates a run that waited for a permit of `granted`, which is now its own. False when it
    /// is active already; then the permit is still the caller's.
    bool begin_granted(run_id run, concurrency_limiter& granted);

    /// Gives a permit back, and activates the run that gets it next.
    void release_slot(concurrency_limiter& permit);

    /// Takes a place for steps, unless the activation has one. False when none is free, or others
    /// wait for one. On the activation's strand.
    bool take_step_place(activation& of);

    /// A handler of the executor's run begins to wait for something of this engine's, until the
    /// result is destroyed. Null when the executor is not a handler's.
    std::shared_ptr<void> begin_wait(const boost::asio::any_completion_executor& executor);

    /// The handler has ended, whatever it still waited for. On the activation's strand.
    void stop_waiting(activation& of);

    /// Hands a message that has been stored to its run: into the present activation's mail, or by
    /// activating it, never inside this call. `of` is the run's record, not necessarily the newest.
    void deliver(const record& of, const message& stored);

    /// Puts messages into the mail of the run's activation; false when it has none.
    bool post_messages(run_id run, std::vector<message> stored);

    /// Has an activation of the run tell the watcher, which has been added, how the run stands.
    /// False when there is none. From inside the task scope, for whose place it takes over.
    bool show_record(run_id run, const std::shared_ptr<watcher>& to);

    /// A message may have been stored for this run, without an answer: its activation, if there is
    /// one, reads the inbox again. False when there is none.
    bool invalidate_inbox(run_id run);

    struct inbox_delta {
        std::vector<message> arrived;
        bool unsure = false; ///< the inbox may hold more than that
    };

    /// Takes the activation's mail.
    inbox_delta drain_inbox_delta(activation& of);

    /// Ends an activation, unless mail has come for it. After true, another one may begin.
    bool retire(activation& ending);

    /// Ends an activation whatever mail there is (it is in the store).
    void remove(activation& ending);

    /// Puts a fresh activation in the place of one that does not react to cancellation.
    void replace(activation& stuck, std::shared_ptr<activation> fresh);

    /// Cancels every running handler.
    void interrupt_all();

    /// Cancels the running handlers of runs whose shards the engine no longer has.
    void check_ownership();

    /// Whether a run of the shard, or one of which that is not known yet, is active.
    bool any_in(std::uint32_t shard) const;

    /// Whether the caller runs on the strand of an active run: it is its handler.
    bool run_here() const;

    /// Keeps a run_worker whose activation has ended for the next one; false when it is to end.
    bool rest_worker(std::shared_ptr<run_worker> free);

    /// Lets the resting drivers go. After context::stopping has been set.
    void stop();

    std::size_t size() const;
    bool contains(const run_id& run) const;

    struct occupancy {
        std::size_t free = 0;    ///< places for steps
        std::size_t steps = 0;   ///< taken
        std::size_t urgent = 0;  ///< of the reserve, taken
        std::size_t waiting = 0; ///< handlers that wait and have no place
        bool reserve_is_full = false;
        std::uint64_t freed = 0;        ///< places for steps that became free so far
        std::uint64_t freed_urgent = 0; ///< of the reserve
    };

    occupancy places() const;

    std::vector<std::shared_ptr<activation>> all() const;

private:
    class handler_wait;

    /// So many rest at most: those of a large batch, whose runs end together as others begin.
    static constexpr std::size_t max_resting = 1'024;

    /// Of so many runs at most it is remembered that they need a newer program; the others are
    /// tried again with each look at what is due.
    static constexpr std::size_t max_passed_over = 65'536;

    /// Ends that are remembered at most. Past it, whoever noted before reads its records again.
    static constexpr std::size_t max_ends = 4'096;

    enum class admission { step, urgent, granted };

    begin_result admit(const std::shared_ptr<activation>& fresh, admission how);
    void take_place(activation& holder, place wanted);
    void release_place(activation& holder);
    std::shared_ptr<run_worker> take_worker();
    void end_wait(activation& of, std::uint64_t handler);
    void erase(activation& ending);
    void erased();

    context& shared_;
    mutable std::mutex mutex_;
    std::unordered_map<run_id, std::shared_ptr<activation>> runs_;
    std::vector<std::shared_ptr<run_worker>> resting_;
    std::unordered_map<const run_worker*, std::weak_ptr<run_worker>> workers_;
    occupancy taken_;

    std::unordered_map<run_id, time_point> passed_over_;

    std::size_t noting_ = 0;
    std::uint64_t ends_ = 0;                          ///< counts ends
    std::uint64_t forgotten_ = 0;                     ///< ends up to this one are not in ended_
    std::unordered_map<run_id, std::uint64_t> ended_; ///< while noting_
};

/// active_runs::note_ends() for as long as it lives.
class noted_ends {
public:
    explicit noted_ends(active_runs& all) : all_(all), since_(all.note_ends()) {}
    ~noted_ends() { all_.forget_ends(); }

    noted_ends(const noted_ends&) = delete;
    noted_ends& operator=(const noted_ends&) = delete;

    std::uint64_t since() const noexcept { return since_; }

private:
    active_runs& all_;
    const std::uint64_t since_;
};

} // namespace pawl::engine_detail
