#pragma once

#include "async/cancellable_call.hpp"
#include "engine/api/engine_parts.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace pawl::engine_detail {

/// The fields of an event that decide whether it is wanted.
struct event_summary {
    std::string_view workflow;
    event_kind kind;
    int from;
    int to;
};

/// The open events of one run, processed in order.
struct run_lane {
    run_lane(engine_parts& shared, const boost::asio::any_io_executor& strand, run_id lane_run,
             std::uint32_t run_shard)
        : run(lane_run), shard(run_shard), pause(shared.clock.make_timer(strand)),
          limit(shared.clock.make_timer(strand)), call(shared.running, strand)
    {
    }

    const run_id run;
    const std::uint32_t shard;
    std::deque<event> events;
    std::size_t open = 0;               ///< `events`, and the event that is being processed
    const std::unique_ptr<timer> pause; ///< between attempts
    const std::unique_ptr<timer> limit; ///< of the current attempt
    async::cancellable_call call;       ///< of user code
    std::vector<std::uint64_t> start_positions{}; ///< see shard_progress::start_positions
    bool parked = false;                          ///< waits for its next attempt
    bool dropped = false;                         ///< the engine has lost the shard
};

/// Reads the log of each shard from durable cursors, and processes the events that are wanted.
///
/// Each consumer of events has a cursor of its own, so that a new consumer begins at its own
/// position; the cursors move together. Processing is at least once: the cursors stand before the
/// first event that has not been processed. The events of one run are processed in order, different
/// runs concurrently, so that a slow run delays no other, until `max_open` events are open. Events
/// of a lane that waits for its next attempt do not count, up to `max_parked`.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class log_follower : public std::enable_shared_from_this<log_follower> {
public:
    using want_function = std::function<bool(const event_summary&)>;

    /// Processes one event, with all its retries. False if the lane ends first: then the event is
    /// processed again after the next start.
    using process_function = std::function<boost::asio::awaitable<bool>(run_lane&, const event&)>;

    /// @param cursors names of the cursors. A stored cursor is the sequence of the next event.
    log_follower(engine_parts& shared, std::string name, std::vector<std::string> cursors,
                 want_function wants, process_function process);

    /// Sets the number of shards. Before start().
    void set_shards(std::uint32_t count);

    void start();

    /// Follows a shard that the engine has acquired, from its stored cursors. Any thread.
    void follow_shard(std::uint32_t shard);

    /// Leaves a shard that the engine has lost: begins no further event of it. Any thread.
    void drop_shard(std::uint32_t shard);

    /// Begins no further event, and ends the waits between attempts.
    void stop();

    /// Cancels running user code.
    void interrupt();

    /// A transition has been committed, or may have been. Any thread.
    void note_commit(const transition& change);

    /// Reads the shard's log, also without a commit that is wanted. Any thread.
    void notify_shard(std::uint32_t shard);

    /// Whether the run's events up to this sequence have been processed. Any thread.
    bool has_seen(run_id run, std::uint32_t shard, std::uint64_t sequence) const;

    /// The number of events that were read and are not yet processed.
    std::size_t open() const noexcept { return open_; }

    /// Whether the caller runs on the follower's strand, as its user code does.
    bool runs_here() const { return async::runs_on(strand_); }

    /// Whether the lane must end without another attempt.
    bool must_end(const run_lane& lane) const noexcept { return shared_.stopping || lane.dropped; }

    /// Waits before the lane's next attempt; returns early when the lane must end.
    boost::asio::awaitable<void> sleep(run_lane& lane, duration span);

private:
    /// The most events that are open, without those of parked lanes. Then reading stops.
    static constexpr std::size_t max_open = 1024;

    /// The most events in parked lanes. Then reading stops.
    static constexpr std::size_t max_parked = 16 * max_open;

    /// Unwanted events that may be passed over before the cursors are moved past them.
    static constexpr std::uint64_t max_passed_over = 1024;

    /// How far a shard has been processed.
    struct shard_progress {
        std::uint64_t epoch = 0;      ///< 0 if the shard is not followed
        std::uint64_t generation = 0; ///< changes each time that the shard is followed or dropped
        bool known = false;           ///< `read` was initialized from the stored cursors
        std::uint64_t read = 0;       ///< the last sequence that was read
        std::uint64_t saved = 0;      ///< the sequence before the stored cursors
        std::set<std::uint64_t> open; ///< wanted events that are not yet processed
        duration not_before{};        ///< steady time: the end of the pause after a failed read
        bool processed = false;       ///< an event was processed since the cursors were saved
        std::vector<std::uint64_t> start_positions; ///< by cursor: the last sequence before it
    };

    boost::asio::awaitable<void> follow();
    boost::asio::awaitable<void> read_page(std::uint32_t shard);
    boost::asio::awaitable<void> read_cursors(shard_progress& progress, std::uint32_t shard,
                                              std::uint64_t generation);
    boost::asio::awaitable<void> save_cursors(std::uint64_t passed_over);
    boost::asio::awaitable<void> save_cursors_of(std::uint32_t shard);
    boost::asio::awaitable<void> process_lane(std::shared_ptr<run_lane> lane);
    boost::asio::awaitable<void> wait_for_notification();
    void add_events(std::uint32_t shard, std::vector<event> events);
    void reset_shard(std::uint32_t shard);
    void unpark_lane(run_lane& lane);
    std::vector<std::shared_ptr<run_lane>> all_lanes() const;
    bool has_room() const noexcept { return open_ - parked_ < max_open && parked_ < max_parked; }
    std::uint64_t processed_up_to(const shard_progress& progress) const
    {
        return progress.open.empty() ? progress.read : *progress.open.begin() - 1;
    }
    void wake();

    engine_parts& shared_;
    const std::string name_;
    const std::vector<std::string> cursors_;
    const want_function wants_;
    const process_function process_;
    const boost::asio::any_io_executor strand_;
    std::vector<std::atomic<bool>> unread_; ///< by shard: the log was not read to its end
    std::vector<std::atomic<std::uint64_t>> passed_over_; ///< by shard: commits
    std::vector<shard_progress> progress_;                ///< by shard
    std::uint64_t generations_ = 0;
    std::map<run_id, std::shared_ptr<run_lane>> lanes_;
    std::unique_ptr<timer> timer_; ///< waits for a notification
    std::atomic<bool> woken_{false};
    std::atomic<std::size_t> open_{0};
    std::size_t parked_ = 0;

    mutable std::mutex seen_mutex_;
    std::vector<std::uint64_t> seen_; ///< by shard: the last sequence that was read
    std::set<run_id> open_runs_;      ///< runs with a lane
};

} // namespace pawl::engine_detail
