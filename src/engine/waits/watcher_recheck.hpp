#pragma once

#include "engine/api/engine_parts.hpp"
#include "engine/waits/watchers.hpp"

#include <boost/asio/awaitable.hpp>

#include <memory>
#include <mutex>
#include <unordered_set>

namespace pawl::engine_detail {

/// Queries the store for watchers that no transition will notify.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class watcher_recheck : public std::enable_shared_from_this<watcher_recheck> {
public:
    watcher_recheck(engine_parts& shared, std::shared_ptr<watchers> all_watchers);

    /// Queries the store for each watcher of the run, which has ended. To be called inside the task
    /// scope.
    void ask_store(run_id run);

    /// Queries the store for each watcher of the run after a pause, until the store answers. For a
    /// run whose last commit has an unknown result. To be called inside the task scope.
    void recheck_run(run_id run);

    /// Ends the pause at once.
    void stop();

private:
    boost::asio::awaitable<void> recheck_runs();
    boost::asio::awaitable<void> ask_watcher(std::shared_ptr<watcher> waiting);

    engine_parts& shared_;
    const std::shared_ptr<watchers> watchers_;
    const boost::asio::any_io_executor strand_;
    std::unique_ptr<timer> timer_;

    std::mutex mutex_;
    std::unordered_set<run_id> runs_;
    bool working_ = false;
};

} // namespace pawl::engine_detail
