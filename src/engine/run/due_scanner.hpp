#pragma once

#include "engine/api/engine_parts.hpp"
#include "engine/run/due_reader.hpp"
#include "engine/run/scan_positions.hpp"
#include "engine/run/waiting_line.hpp"
#include "engine/run/wake_list.hpp"
#include "engine/waits/stall_watch.hpp"

#include <boost/asio/awaitable.hpp>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace pawl::engine_detail {

/// Finds due runs on time and decides which of them begin. It knows every run that waits.
///
/// For each shard it keeps positions in the store's order of due runs, see shard_scan:
/// - `next`: where future due runs begin. A commit that makes a run due earlier moves it back.
/// - `sweep`: a range that may contain missed runs; everything at a start, or when the engine
///   acquires a shard. It is read beside `next`, so that a long backlog delays no run that becomes
///   due.
/// - `backlog`: the earliest run that waits for a place in memory. While any shard has a backlog,
///   places go to backlogs only, to the run that became due first.
///
/// A bounded list keeps the ids of runs that have work at a known time, whatever position they wait
/// at: deadlines of runs that wait for a place or a limit, retries after an error, and messages
/// that found the engine full.
///
/// So a million waiting runs take no memory, nothing polls, and a crash loses nothing: a new
/// scanner starts from the beginning. In each round every shard gets one page of each kind.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class due_scanner : public std::enable_shared_from_this<due_scanner> {
public:
    explicit due_scanner(engine_parts& shared);

    /// Sets the number of shards. To be called before start().
    void set_shards(std::uint32_t count);

    /// Starts to scan the owned shards from the beginning.
    void start();

    /// Ends the scan; the coroutine leaves the task scope soon after.
    void stop();

    /// Scans a shard from the beginning: the engine has acquired it, or may have missed runs in it.
    void rescan_shard(std::uint32_t shard);

    /// Includes the runs of the shard that become due at that time or later.
    void scan_from(std::uint32_t shard, time_point time);

    /// The engine no longer owns the shard.
    void forget_shard(std::uint32_t shard);

    /// Activates a started run that is due, or notes what it waits for. `noted` as in
    /// active_runs::begin(); with `inside_call` its first step does not run inside this call.
    void admit_run(record started, std::uint64_t noted, bool inside_call);

    /// Notes that a run, which is due for a step, waits for a place in memory. `urgent_at` is when
    /// it has work that does not wait for a place.
    void wait_for_place(std::uint32_t shard, const due_position& position,
                        std::optional<time_point> urgent_at);

    /// Activates the run at that time, for work that does not wait behind steps.
    void wake_run(std::uint32_t shard, run_id run, time_point time);

    /// Tries a run again after a pause, which grows with `failures`: the number of consecutive
    /// activations that ended with an error or a failure of the store.
    void retry_run(std::optional<std::uint32_t> shard, run_id run, int failures);

    /// Removes the run from the wake list when its activation begins. Returns its known failures.
    int take_failures(run_id run);

    /// A run with a permit waits for a place for steps: the scan begins it when one is free.
    void expect_place();

    /// A place may be free.
    void notify_place_freed();

    /// A run has begun with a permit, or a permit was released: the line of the step may be short.
    void notify_permit_released(const limited_step& step);

    /// A run waits for a limit, perhaps for a token that comes before the scan wakes.
    void notify_limit_wait();

    /// Whether runs wait for a place in memory; if so, only the scanner gives places to runs.
    bool runs_wait() const noexcept { return waiting_shards_ > 0; }

    /// The earliest known run that is due and waits for a place or a limit.
    std::optional<due_position> longest_waiting() const;

    const stall_watch& stalls() const noexcept { return stalls_; }

private:
    /// Stands for an unknown shard.
    static constexpr std::uint32_t no_shard = UINT32_MAX;

    boost::asio::awaitable<void> scan();
    boost::asio::awaitable<void> scan_once();
    std::vector<std::uint32_t> shards_to_read();
    boost::asio::awaitable<void> sleep();
    boost::asio::awaitable<void> wake_runs();
    boost::asio::awaitable<bool> store_answers(const wake_list::entry& failed);
    boost::asio::awaitable<void> read_next(std::uint32_t shard);
    boost::asio::awaitable<void> read_sweep(std::uint32_t shard);
    boost::asio::awaitable<void> begin_backlog();
    bool is_overtaking(const due_position& position, time_point now) const;
    boost::asio::awaitable<void> refill_lines();
    boost::asio::awaitable<bool> refill_line(limited_step& step,
                                             const detail::workflow_impl& workflow, int status);

    /// A run that was read for a line and is not in it yet.
    struct unplaced_run {
        due_position position;
        std::uint32_t shard = 0;
        lane_key key;
    };

    void add_unplaced(const limited_step& step, const detail::workflow_impl& workflow, int status,
                      std::uint32_t shard, const due_page& page,
                      std::vector<unplaced_run>& runs) const;
    bool place_in_line(limited_step& step, unplaced_run& run);
    bool line_up(limited_step& step, const detail::workflow_impl& workflow, const record& run,
                 std::uint32_t shard, const due_position& position);
    boost::asio::awaitable<std::optional<due_page>>
    read_page(std::uint32_t shard, due_position from, time_point until, std::size_t limit);

    bool begin_or_queue(std::uint32_t shard, record run, std::uint64_t noted, bool from_backlog,
                        bool inside_call);
    void set_backlog(std::uint32_t shard, std::optional<due_position> position);
    void move_next_back(std::uint32_t shard, std::optional<due_position> position);
    void add_wake(const wake_list::entry& added);
    std::optional<time_point> check_stall();
    void wake_scan();

    engine_parts& shared_;
    const boost::asio::any_io_executor strand_;
    stall_watch stalls_;
    due_reader reader_; ///< on the strand

    mutable std::mutex mutex_;
    scan_positions positions_;
    bool reading_backlog_ = false;
    std::atomic<std::size_t> waiting_shards_{0};
    wake_list wakes_;
    std::atomic<std::size_t> wake_count_{0};
    time_point wakes_not_before_ = time_point::min();
    std::atomic<bool> urgent_wait_{false};  ///< the reserve was full when a run was to be woken
    std::atomic<bool> permits_wait_{false}; ///< see expect_place()
    std::atomic<bool> lines_are_short_{false};
    bool woken_ = false;
    std::optional<time_point> sleeping_until_; ///< while the scan sleeps; max without a limit
    std::unique_ptr<timer> timer_;
};

} // namespace pawl::engine_detail
