#pragma once

#include "engine/api/engine_parts.hpp"
#include "engine/background/log_consumers.hpp"
#include "engine/background/log_follower.hpp"
#include "pawl/archive.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace pawl::engine_detail {

/// Removes the finished runs of one workflow when they have been kept long enough, in batches, each
/// archived first. Sleeps until the oldest one's time.
///
/// It goes through the due runs of all its shards, from one to the next. A run that may not go yet,
/// because a hook or a consumer of its events has not seen it, is passed over, and looked at again
/// in the next round: it holds up no other.
class retention_runner : public std::enable_shared_from_this<retention_runner> {
public:
    /// @param hooks what must have seen a run's events before it goes; may be null.
    retention_runner(engine_parts& shared, const detail::workflow_impl& workflow,
                     log_follower* hooks, const log_consumers& consumers);

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
    boost::asio::awaitable<void> collect_from(std::uint32_t slice, time_point until,
                                              std::vector<archived_run>& into);
    boost::asio::awaitable<void> remove(std::vector<archived_run> runs);
    boost::asio::awaitable<bool> may_go(record run);
    boost::asio::awaitable<bool> has_seen(log_consumers::entry consumer, record run, event last);
    boost::asio::awaitable<std::uint64_t> position_of(log_consumers::entry consumer,
                                                      std::uint32_t shard);
    boost::asio::awaitable<void> read_history(archived_run& of);
    boost::asio::awaitable<duration> end_round();
    boost::asio::awaitable<duration> until_next();
    boost::asio::awaitable<void> sleep(duration span);

    engine_parts& shared_;
    const detail::workflow_impl& workflow_;
    const retention_options& rules_;
    log_follower* const hooks_;
    const log_consumers& consumers_;
    const boost::asio::any_io_executor strand_;
    const std::unique_ptr<timer> timer_;
    boost::asio::cancellation_signal cancel_;
    bool archiving_ = false;
    bool looked_ = false; ///< look() came since the last round began

    // Of a round.
    std::vector<finished_position> places_; ///< by shard of the workflow: what was looked at last
    std::uint32_t next_ = 0;                ///< a place of `places_`
    std::size_t passed_over_ = 0;           ///< runs that may not go yet
    std::map<std::pair<std::string, std::uint32_t>, std::uint64_t> positions_; ///< of consumers
    duration pause_; ///< until the next round, while runs may not go yet
};

} // namespace pawl::engine_detail
