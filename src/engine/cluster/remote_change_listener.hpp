#pragma once

#include "engine/api/engine_parts.hpp"
#include "engine/waits/watchers.hpp"
#include "streams/commit_feed.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

namespace pawl::engine_detail {

/// Handles commits of other engines and clients in a shared store: for the runs of this engine, and
/// for watchers here of runs that other engines drive. The store's notifications say where to read;
/// as they may be lost, all shards are also polled.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class remote_change_listener : public std::enable_shared_from_this<remote_change_listener> {
public:
    /// Called for a shard that this engine drives and that another process may have committed to.
    /// Any thread.
    using commit_handler = std::function<void(std::uint32_t)>;

    /// @param feed is notified of changes, too.
    remote_change_listener(engine_parts& shared, std::shared_ptr<watchers> all,
                           std::shared_ptr<streams::commit_feed> feed, commit_handler on_commit,
                           duration poll_interval);

    /// Sets the number of shards. Before start().
    void set_shards(std::uint32_t count);

    /// Starts listening if the store is shared. From inside the task scope.
    void start();
    void stop();

    /// Notifies a watcher that has been added of the present state of its run, and from then on of
    /// its changes, whichever engine drives it. Throws what the store throws.
    boost::asio::awaitable<void> attend_watcher(std::shared_ptr<watcher> waiting);

    /// The engine has lost shards: another engine may drive the runs of some watchers now.
    void note_dropped_shards();

    /// False if the last read of the store failed.
    bool reachable() const noexcept { return reachable_; }

private:
    void handle_changes(std::span<const shard_change> changes);
    boost::asio::awaitable<void> work();
    void poll_shards();
    boost::asio::awaitable<void> read_logs(bool all);
    boost::asio::awaitable<void> read_log(std::uint32_t shard, std::uint64_t after);
    boost::asio::awaitable<void> check_log(std::uint32_t shard, std::uint64_t read);
    void forget_positions();
    boost::asio::awaitable<void> attend_watchers_again();
    boost::asio::awaitable<void> notify_watchers(run_id run, std::vector<event> events);
    boost::asio::awaitable<void> offer_events(run_id run, std::vector<event> events);
    boost::asio::awaitable<void> offer_history(run_id run, std::uint64_t version);
    void fail_if_damaged(std::vector<std::shared_ptr<watcher>> waiting,
                         const std::exception_ptr& failure);
    boost::asio::awaitable<bool> wait_for_changes();
    boost::asio::awaitable<void> pause();
    void wake();

    engine_parts& shared_;
    const std::shared_ptr<watchers> watchers_;
    const std::shared_ptr<streams::commit_feed> commit_feed_;
    const commit_handler on_commit_;
    const duration poll_interval_;
    const boost::asio::any_io_executor strand_;
    const std::unique_ptr<timer> timer_;
    std::vector<std::atomic<bool>> unread_; ///< by shard: changed since it was read
    std::shared_ptr<void> subscription_;
    time_point next_poll_;
    std::uint64_t polls_ = 0;
    std::atomic<bool> woken_{false};
    std::atomic<bool> recheck_watchers_{false};
    std::atomic<bool> gap_{false}; ///< the store may have missed changes in any shard
    std::atomic<bool> reachable_{true};
};

} // namespace pawl::engine_detail
