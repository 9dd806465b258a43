#pragma once

#include "engine/context.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
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
    run_id run;
    std::uint32_t shard = 0;
    std::deque<event> events;
    boost::asio::cancellation_signal cancel;
    std::unique_ptr<timer> pause; ///< for waits between attempts
    bool in_user_code = false;    ///< suspended where `cancel` may be emitted
    bool dropped = false;         ///< its shard is no longer the engine's
};

/// Follows the log behind a durable cursor per shard, and hands on the events that are wanted.
///
/// At least once: the cursor stands before the first event that has not been worked off. Events of
/// one run follow each other, different runs stand beside each other, so that one that is slow or
/// fails holds up nobody, until `max_open` events wait behind it.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class log_follower : public std::enable_shared_from_this<log_follower> {
public:
    using want_function = std::function<bool(const event_glance&)>;

    /// Works one event off, with all its retries. False when the engine stops before that: the
    /// event comes again after the next start.
    using work_function = std::function<boost::asio::awaitable<bool>(lane&, const event&)>;

    log_follower(context& shared, std::string cursor, want_function wants, work_function work);

    /// Before it is started: how many shards there are.
    void set_shards(std::uint32_t count);

    void start();

    /// Follows a shard that is the engine's from now on, from its stored cursor. Any thread.
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

    /// Every event of the shard up to here has been worked off.
    std::uint64_t done_up_to(std::uint32_t shard) const noexcept { return done_[shard]; }

    /// Events that were read and not yet worked off.
    std::size_t open() const noexcept { return open_; }

    /// Whether the caller is called by user code of the follower, or by the follower itself.
    bool runs_here() const { return runs_on(strand_); }

    /// Whether the lane's work is to end, without another attempt.
    bool ends(const lane& working) const noexcept { return shared_.stopping || working.dropped; }

    /// Waits on the lane's timer; returns early when the lane's work is to end.
    boost::asio::awaitable<void> sleep(lane& waiting, duration span);

private:
    /// Events that one follower has read and not yet worked off. Past it, it reads no more.
    static constexpr std::size_t max_open = 1024;

    /// How far a shard has been worked off.
    struct place {
        std::uint64_t epoch = 0;      ///< of the shard; 0: it is not followed
        std::uint64_t life = 0;       ///< another one each time that the shard is taken or left
        bool known = false;           ///< `read` has been taken from the stored cursor
        std::uint64_t read = 0;       ///< the last sequence that was read
        std::uint64_t saved = 0;      ///< where the stored cursor is
        std::set<std::uint64_t> open; ///< read, wanted, and not yet worked off
        bool worked = false;          ///< an event was worked off since the cursor was saved
    };

    boost::asio::awaitable<void> follow();
    boost::asio::awaitable<void> read_page(std::uint32_t shard);
    boost::asio::awaitable<void> save_cursors();
    boost::asio::awaitable<void> run_lane(std::shared_ptr<lane> own);
    boost::asio::awaitable<void> wait_for_news();
    void add(std::uint32_t shard, std::vector<event> events);
    void forget(std::uint32_t shard);
    bool has_room() const noexcept { return open_ < max_open; }
    void wake();

    context& shared_;
    const std::string cursor_;
    const want_function wants_;
    const work_function work_;
    const boost::asio::any_io_executor strand_;
    std::vector<std::atomic<bool>> news_;          ///< by shard: the log was not read to its end
    std::vector<std::atomic<std::uint64_t>> done_; ///< by shard
    std::vector<place> places_;                    ///< by shard
    std::uint64_t lives_ = 0;
    std::map<run_id, std::shared_ptr<lane>> lanes_;
    std::unique_ptr<timer> timer_; ///< waits for news
    std::atomic<bool> woken_{false};
    std::atomic<std::size_t> open_{0};
};

} // namespace pawl::engine_detail
