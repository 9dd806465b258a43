#pragma once

#include "engine/api/context.hpp"
#include "engine/run/wake_list.hpp"
#include "engine/waits/stall_watch.hpp"

#include <boost/asio/awaitable.hpp>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace pawl::engine_detail {

/// Finds the runs that are due, when they are due, and decides who begins: whatever waits is known
/// here.
///
/// Per shard it keeps positions in the store's order of due runs:
/// - `next`: where what becomes due in future begins. A commit that makes a run due earlier moves
///   it back.
/// - `sweep`: a range that may hold runs that were overlooked: all at a start, or when a shard is
///   taken. It is read beside `next`, so that a long backlog delays nothing that becomes due.
/// - `backlog`: the earliest run that waits for a place in memory. As long as any shard has one,
///   places are given from there, to the shard whose run became due first.
///
/// Runs that have something to do at a time of their own, whatever position they wait at, are kept
/// by id in a bounded list: deadlines of runs that wait for a place or a permit, runs to be tried
/// again after an error, messages that found the engine full.
///
/// So a million waiting runs take no memory here, nothing polls, and a crash leaves nothing behind:
/// a fresh scanner begins at the beginning. In one round each shard gets one page of each kind.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class due_scanner : public std::enable_shared_from_this<due_scanner> {
public:
    explicit due_scanner(context& shared);

    /// Before it is started: how many shards there are.
    void set_shards(std::uint32_t count);

    /// Starts to scan the owned shards from the beginning.
    void start();

    /// Ends the scan; the coroutine leaves the task scope soon after.
    void stop();

    /// Starts to scan a shard that is the engine's from now on, from the beginning; or scans it
    /// again from there, as something in it may have been overlooked.
    void rescan_shard(std::uint32_t shard);

    /// Scans again what became due at `since` or later.
    void rescan_since(std::uint32_t shard, time_point since);

    /// The shard is no longer the engine's.
    void forget_shard(std::uint32_t shard);

    /// A run of the shard is due at `at`.
    void due_at(std::uint32_t shard, time_point at);

    /// Activates a run that has been begun and is due, or notes what it waits for. `noted` as in
    /// active_runs::begin(); with `inside_call` its first step does not run inside this call.
    void admit_run(record begun, std::uint64_t noted, bool inside_call);

    /// The run, which is due for a step, has no place in memory. `urgent_at` is when it has
    /// something to do that does not wait for one.
    void wait_for_place(std::uint32_t shard, const due_position& position,
                        std::optional<time_point> urgent_at);

    /// The run has something to do at `at` that does not wait behind steps.
    void wake_run(std::uint32_t shard, run_id run, time_point at);

    /// The run's activation has ended with an error, or the store failed, `failures` times in a
    /// row: it alone is tried again, later each time.
    void retry_run(std::optional<std::uint32_t> shard, run_id run, int failures);

    /// An activation of the run begins: gives the failures that are known of it.
    int take_failures(run_id run);

    /// A place may be free.
    void notify_place_freed();

    /// A permit of the step was given back.
    void notify_slot_released(concurrency_limiter& of);

    /// Whether runs wait for a place in memory; then nobody takes one but from the scanner.
    bool runs_wait() const noexcept { return waiting_shards_ > 0; }

    /// The earliest run that is known to be due and is not in memory: it waits for a place or a
    /// permit.
    std::optional<due_position> longest_waiting() const;

    const stall_watch& stalls() const noexcept { return stalls_; }

private:
    /// Of runs whose shard is not known.
    static constexpr std::uint32_t no_shard = UINT32_MAX;

    struct sweep {
        due_position from;
        time_point to; ///< inclusive
    };

    /// How far a shard has been scanned.
    struct place {
        std::optional<due_position> next; ///< empty: nothing becomes due, ever
        std::optional<sweep> again;
        std::optional<due_position> backlog;
        std::optional<time_point> sweep_at;        ///< the wake list had no room for a run
        time_point not_before = time_point::min(); ///< after a failure of the store

        bool may_be_read(time_point now) const;
        std::optional<time_point> read_at(time_point now, bool places_are_free) const;
    };

    boost::asio::awaitable<void> scan();
    boost::asio::awaitable<void> scan_once();
    std::vector<std::uint32_t> shards_to_read();
    boost::asio::awaitable<void> sleep();
    boost::asio::awaitable<void> wake_runs();
    boost::asio::awaitable<bool> store_answers(const wake_list::entry& failed);
    boost::asio::awaitable<void> read_next(std::uint32_t shard);
    boost::asio::awaitable<void> read_sweep(std::uint32_t shard);
    boost::asio::awaitable<void> begin_waiting();
    bool is_overtaking(const due_position& position, time_point now) const;
    boost::asio::awaitable<void> refill_lines();
    boost::asio::awaitable<bool> refill(concurrency_limiter& line,
                                        const detail::workflow_impl& workflow, int status);
    boost::asio::awaitable<std::optional<due_page>> read(std::uint32_t shard, due_position from,
                                                         time_point until, std::size_t limit);
    boost::asio::awaitable<due_page> read_past_damage(std::uint32_t shard, due_position from,
                                                      time_point until, std::size_t limit);
    boost::asio::awaitable<bool> can_read(std::uint32_t shard, due_position from, time_point until);

    bool consider(std::uint32_t shard, record run, std::uint64_t noted, bool from_backlog,
                  bool inside_call);
    concurrency_limiter* line_of(const record& run) const;
    void set_backlog(std::uint32_t shard, std::optional<due_position> position);
    void add_sweep(place& at, due_position from, time_point to);
    void remember(std::uint32_t shard, std::optional<due_position> next);
    void add_wake(const wake_list::entry& added);
    std::optional<time_point> look_for_stall();
    void wake();

    context& shared_;
    const boost::asio::any_io_executor strand_;
    stall_watch stalls_;

    mutable std::mutex mutex_;
    std::vector<place> places_; ///< by shard
    std::set<std::pair<due_position, std::uint32_t>> backlogs_;
    bool reading_backlog_ = false;
    std::atomic<std::size_t> waiting_shards_{0};
    wake_list wakes_;
    std::atomic<std::size_t> wake_count_{0};
    time_point wakes_not_before_ = time_point::min();
    std::atomic<bool> urgent_wait_{false}; ///< the reserve was full when a run was to wake
    std::atomic<bool> lines_are_short_{false};
    bool woken_ = false;
    std::optional<time_point> sleeping_until_; ///< set while it sleeps; max without a limit
    std::unique_ptr<timer> timer_;
    std::set<due_position> damaged_; ///< that were reported; on the strand
};

} // namespace pawl::engine_detail
