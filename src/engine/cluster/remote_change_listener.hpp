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

/// What other engines and clients commit in a shared store, for the runs of this engine and for
/// those who wait here for runs of other engines. The store's news say where to look; as they may
/// be lost, everything is looked at now and then without any.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class remote_change_listener : public std::enable_shared_from_this<remote_change_listener> {
public:
    /// Called for a shard that is driven by this engine and that others may have committed to. Any
    /// thread.
    using commit_told = std::function<void(std::uint32_t)>;

    /// @param readers of the logs, who are told of news too.
    remote_change_listener(engine_parts& shared, std::shared_ptr<watchers> all,
                           std::shared_ptr<streams::commit_feed> readers, commit_told committed,
                           duration poll_interval);

    /// Before it is started: how many shards there are.
    void set_shards(std::uint32_t count);

    /// Begins to listen, unless nobody else uses the store. From inside the task scope.
    void start();
    void stop();

    /// Tells the watcher, which has been added, the present state of its run, and from now on what
    /// becomes of it, whichever engine has it. Throws what the store throws.
    boost::asio::awaitable<void> attend(std::shared_ptr<watcher> waiting);

    /// The engine has fewer shards than before: some watchers' runs may be another engine's now.
    void shards_dropped();

    /// False while the store could not be read when last tried.
    bool reachable() const noexcept { return reachable_; }

private:
    void hear(std::span<const shard_change> news);
    boost::asio::awaitable<void> work();
    void look_without_news();
    boost::asio::awaitable<void> read_logs(bool all);
    boost::asio::awaitable<void> read_log(std::uint32_t shard, std::uint64_t after);
    boost::asio::awaitable<void> check_log(std::uint32_t shard, std::uint64_t read);
    void read_again();
    boost::asio::awaitable<void> attend_again();
    boost::asio::awaitable<void> tell(run_id run, std::vector<event> events);
    boost::asio::awaitable<bool> wait_for_news();
    void wake();

    engine_parts& shared_;
    const std::shared_ptr<watchers> watchers_;
    const std::shared_ptr<streams::commit_feed> readers_;
    const commit_told committed_;
    const duration poll_interval_;
    const boost::asio::any_io_executor strand_;
    const std::unique_ptr<timer> timer_;
    std::vector<std::atomic<bool>> fresh_; ///< by shard: news came since it was read
    std::shared_ptr<void> listening_;
    time_point next_poll_;
    std::uint64_t polls_ = 0;
    std::atomic<bool> woken_{false};
    std::atomic<bool> dropped_{false};
    std::atomic<bool> gap_{false}; ///< the store does not know what it may have missed
    std::atomic<bool> reachable_{true};
};

} // namespace pawl::engine_detail
