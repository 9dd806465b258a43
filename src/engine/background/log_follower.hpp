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

/// What is known of an event before it is read.
struct event_glance {
    std::string_view workflow;
    event_kind kind;
    int from;
    int to;
};

/// The events of one run that a follower is working off, in their order.
struct lane {
    lane(engine_parts& shared, const boost::asio::any_io_executor& strand, run_id of,
         std::uint32_t in_shard)
        : run(of), shard(in_shard), pause(shared.clock.make_timer(strand)),
          limit(shared.clock.make_timer(strand)), call(shared.running, strand)
    {
    }

    const run_id run;
    const std::uint32_t shard;
    std::deque<event> events;
    std::size_t open = 0;                ///< `events`, and the one that is being worked off
    const std::unique_ptr<timer> pause;  ///< for waits between attempts
    const std::unique_ptr<timer> limit;  ///< of the attempt that is under way
    async::cancellable_call call;        ///< of user code
    std::vector<std::uint64_t> begins{}; ///< see log_follower::begins()
    bool parked = false;                 ///< waits for its next attempt
    bool dropped = false;                ///< its shard is no longer the engine's
};

/// Follows the log behind durable cursors in each shard, and hands on the events that are wanted.
///
/// There is one cursor for each of those who want events, so that one that is new begins where it
/// should; they move together. At least once: the cursors stand before the first event that has not
/// been worked off. Events of one run follow each other, different runs stand beside each other, so
/// that one that is slow holds up nobody, until `max_open` events are open. Those of a lane that
/// waits for its next attempt do not count, up to `max_parked`.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class log_follower : public std::enable_shared_from_this<log_follower> {
public:
    using want_function = std::function<bool(const event_glance&)>;

    /// Works one event off, with all its retries. False when the engine stops before that: the
    /// event comes again after the next start.
    using work_function = std::function<boost::asio::awaitable<bool>(lane&, const event&)>;

    /// @param cursors their names. A stored cursor is the sequence of the next event.
    log_follower(engine_parts& shared, std::string name, std::vector<std::string> cursors,
                 want_function wants, work_function work);

    /// Before it is started: how many shards there are.
    void set_shards(std::uint32_t count);

    void start();

    /// Follows a shard that is the engine's from now on, from its stored cursors. Any thread.
    void take(std::uint32_t shard);

    /// Leaves a shard that is no longer the engine's: begins no event of it any more. Any thread.
    void drop(std::uint32_t shard);

    /// Begins no event any more, and ends the waits between attempts.
    void stop();

    /// Cancels what is running.
    void interrupt();

    /// A transition has been committed, or may have been. Any thread.
    void committed(const transition& change);

    /// Reads on in the shard's log, though nothing that is wanted was committed. Any thread.
    void look(std::uint32_t shard);

    /// Whether the run's events up to this sequence have been worked off. Any thread.
    bool has_seen(run_id run, std::uint32_t shard, std::uint64_t sequence) const;

    /// Events that were read and not yet worked off.
    std::size_t open() const noexcept { return open_; }

    /// Whether the caller is called by user code of the follower, or by the follower itself.
    bool runs_here() const { return async::runs_on(strand_); }

    /// Whether the lane's work is to end, without another attempt.
    bool ends(const lane& working) const noexcept { return shared_.stopping || working.dropped; }

    /// Waits for the lane's next attempt; returns early when the lane's work is to end.
    boost::asio::awaitable<void> sleep(lane& waiting, duration span);

private:
    /// Events that one follower has read and not yet worked off. Past it, it reads no more.
    static constexpr std::size_t max_open = 1024;

    /// Events of lanes that wait for their next attempt, for which reading goes on.
    static constexpr std::size_t max_parked = 16 * max_open;

    /// Events that may be passed over until the log is read and the cursors are moved past them.
    static constexpr std::uint64_t max_passed_over = 1024;

    /// How far a shard has been worked off.
    struct place {
        std::uint64_t epoch = 0;      ///< of the shard; 0: it is not followed
        std::uint64_t life = 0;       ///< another one each time that the shard is taken or left
        bool known = false;           ///< `read` has been taken from the stored cursors
        std::uint64_t read = 0;       ///< the last sequence that was read
        std::uint64_t saved = 0;      ///< where the stored cursors are
        std::set<std::uint64_t> open; ///< read, wanted, and not yet worked off
        bool worked = false;          ///< an event was worked off since the cursors were saved
        std::vector<std::uint64_t> begins; ///< by cursor: the last event that it does not want
    };

    boost::asio::awaitable<void> follow();
    boost::asio::awaitable<void> read_page(std::uint32_t shard);
    boost::asio::awaitable<void> read_cursors(place& at, std::uint32_t shard, std::uint64_t life);
    boost::asio::awaitable<void> save_cursors(std::uint64_t passed_over);
    boost::asio::awaitable<void> save_cursors_of(std::uint32_t shard);
    boost::asio::awaitable<void> run_lane(std::shared_ptr<lane> own);
    boost::asio::awaitable<void> wait_for_news();
    void add(std::uint32_t shard, std::vector<event> events);
    void forget(std::uint32_t shard);
    void unpark(lane& waiting);
    std::vector<std::shared_ptr<lane>> all_lanes() const;
    bool has_room() const noexcept { return open_ - parked_ < max_open && parked_ < max_parked; }
    std::uint64_t done_up_to(const place& at) const
    {
        return at.open.empty() ? at.read : *at.open.begin() - 1;
    }
    void wake();

    engine_parts& shared_;
    const std::string name_;
    const std::vector<std::string> cursors_;
    const want_function wants_;
    const work_function work_;
    const boost::asio::any_io_executor strand_;
    std::vector<std::atomic<bool>> news_; ///< by shard: the log was not read to its end
    std::vector<std::atomic<std::uint64_t>> passed_over_; ///< by shard: commits
    std::vector<place> places_;                           ///< by shard
    std::uint64_t lives_ = 0;
    std::map<run_id, std::shared_ptr<lane>> lanes_;
    std::unique_ptr<timer> timer_; ///< waits for news
    std::atomic<bool> woken_{false};
    std::atomic<std::size_t> open_{0};
    std::size_t parked_ = 0;

    mutable std::mutex seen_mutex_;
    std::vector<std::uint64_t> seen_; ///< by shard: the last sequence that was read
    std::set<run_id> working_;        ///< runs with a lane
};

} // namespace pawl::engine_detail
