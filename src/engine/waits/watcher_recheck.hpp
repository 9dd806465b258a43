#pragma once

#include "engine/api/context.hpp"
#include "engine/waits/watchers.hpp"

#include <boost/asio/awaitable.hpp>

#include <memory>
#include <mutex>
#include <unordered_set>

namespace pawl::engine_detail {

/// Looks after those who wait for something of a run that no transition will tell them.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class watcher_recheck : public std::enable_shared_from_this<watcher_recheck> {
public:
    watcher_recheck(context& shared, std::shared_ptr<watchers> all);

    /// The run has ended: who still waits for it asks the store. From inside the task scope.
    void ask_store(run_id run);

    /// Nothing is known of the run's last commit; it may have happened, and be the last. Asks after
    /// a while, until the store answers. From inside the task scope.
    void recheck_run(run_id run);

    /// Ends the wait for the store.
    void stop();

private:
    boost::asio::awaitable<void> work();
    boost::asio::awaitable<void> ask_watcher(std::shared_ptr<watcher> waiting);

    context& shared_;
    const std::shared_ptr<watchers> watchers_;
    const boost::asio::any_io_executor strand_;
    std::unique_ptr<timer> timer_;

    std::mutex mutex_;
    std::unordered_set<run_id> doubtful_;
    bool working_ = false;
};

} // namespace pawl::engine_detail
