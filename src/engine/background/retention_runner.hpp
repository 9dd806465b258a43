#pragma once

#include "engine/api/engine_parts.hpp"
#include "engine/background/log_consumers.hpp"
#include "engine/background/log_follower.hpp"
#include "engine/background/removal_gate.hpp"
#include "pawl/archive.hpp"
#include "pawl/detail/engine_api.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include <cstdint>
#include <deque>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace pawl::engine_detail {

/// Removes the finished runs of one workflow once they have been kept long enough, in batches, each
/// of which is archived first. Sleeps until the oldest finished run is due.
///
/// Each round goes through the due runs of all shards of the workflow. A run whose events a hook or
/// a consumer has not seen is passed over and checked again in the next round.
class retention_runner : public std::enable_shared_from_this<retention_runner> {
public:
    /// @param hooks must have seen a run's events before the run is removed; may be null.
    retention_runner(engine_parts& shared, const detail::workflow_impl& workflow,
                     log_follower* hooks, const log_consumers& consumers);

    void start();
    void stop();

    /// Starts a new round, for example because the engine has acquired shards. Any thread.
    void restart_round();

    /// Removes a finished run now, between two batches; see remove_finished(). Any thread. The
    /// runner has been started.
    void remove(run_id run, detail::completion<> done);

    const std::string& workflow() const noexcept { return workflow_.rules.name; }

    /// Cancels a running archiver.
    void interrupt();

private:
    struct request {
        run_id run;
        detail::completion<> done;
    };

    boost::asio::awaitable<void> work();
    boost::asio::awaitable<void> remove_all();
    boost::asio::awaitable<void> remove_requested();
    boost::asio::awaitable<duration> remove_batch();
    boost::asio::awaitable<std::vector<archived_run>> collect_runs();
    boost::asio::awaitable<void> collect_from(std::uint32_t slice, time_point finished_until,
                                              std::vector<archived_run>& runs);
    boost::asio::awaitable<void> archive_and_remove(std::vector<archived_run> runs);
    boost::asio::awaitable<bool> prepare_removal(archived_run& run);
    boost::asio::awaitable<duration> end_round();
    boost::asio::awaitable<duration> time_until_next();
    boost::asio::awaitable<void> sleep(duration span);

    engine_parts& shared_;
    const detail::workflow_impl& workflow_;
    const retention_options& rules_;
    removal_gate gate_;
    const boost::asio::any_io_executor strand_;
    const std::unique_ptr<timer> timer_;
    boost::asio::cancellation_signal cancel_;
    bool archiving_ = false;
    bool restart_ = false; ///< restart_round() was called
    bool has_ended_ = false;
    std::deque<request> requests_; ///< of remove()

    std::set<run_id> damaged_; ///< runs that were logged because the store cannot read them

    // The state of a round.
    std::vector<finished_position> checked_; ///< by shard of the workflow: the last checked run
    std::uint32_t next_ = 0;                 ///< the next index of `checked_`
    std::size_t passed_over_ = 0;            ///< runs that must not be removed yet
    duration pause_;                         ///< before the next round, while runs are passed over
};

} // namespace pawl::engine_detail
