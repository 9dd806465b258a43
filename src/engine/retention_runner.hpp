#pragma once

#include "engine/context.hpp"
#include "engine/log_follower.hpp"
#include "pawl/archive.hpp"
#include "streams/workflow_source.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace pawl::engine_detail {

/// Removes the finished runs of one workflow when they have been kept long enough, in batches, each
/// archived first. Sleeps until the oldest one's time.
class retention_runner : public std::enable_shared_from_this<retention_runner> {
public:
    /// @param hooks what must have seen a run's events before it goes; may be null.
    retention_runner(context& shared, const detail::workflow_impl& workflow, log_follower* hooks);

    /// A run stays until this consumer has seen its events too, if they are of this workflow.
    /// Before the start.
    void wait_for(std::shared_ptr<streams::workflow_source> source, std::string consumer);

    void start();
    void stop();

    /// The engine has more shards than before. Any thread.
    void look();

    /// Cancels an archiver that is at work.
    void interrupt();

private:
    boost::asio::awaitable<void> work();
    boost::asio::awaitable<duration> sweep();
    boost::asio::awaitable<std::vector<archived_run>> collect();
    boost::asio::awaitable<bool> seen_by_all(const archived_run& run);
    boost::asio::awaitable<std::vector<record>> read_finished(time_point before, std::size_t limit);
    boost::asio::awaitable<void> read_history(archived_run& of);
    boost::asio::awaitable<duration> until_next();
    boost::asio::awaitable<void> sleep(duration span);

    context& shared_;
    const detail::workflow_impl& workflow_;
    const retention_options& rules_;
    log_follower* const hooks_;
    std::vector<std::pair<std::shared_ptr<streams::workflow_source>, std::string>> consumers_;
    const boost::asio::any_io_executor strand_;
    const std::unique_ptr<timer> timer_;
    boost::asio::cancellation_signal cancel_;
    bool archiving_ = false;
};

} // namespace pawl::engine_detail
