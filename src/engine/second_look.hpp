#pragma once

#include "engine/context.hpp"
#include "engine/watchers.hpp"

#include <boost/asio/awaitable.hpp>

#include <memory>
#include <mutex>
#include <unordered_set>

namespace pawl::engine_detail {

/// Looks after those who wait for a run whose last commit got no answer: it may have happened, and
/// be the last. Reads the run until the store answers.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class second_look : public std::enable_shared_from_this<second_look> {
public:
    second_look(context& shared, std::shared_ptr<watchers> all);

    /// Nothing is known of the run's last commit. From inside the gate.
    void doubt(run_id run);

    /// Ends the wait for the store.
    void stop();

private:
    boost::asio::awaitable<void> work();
    boost::asio::awaitable<void> look_at(run_id run);

    context& shared_;
    const std::shared_ptr<watchers> watchers_;
    const boost::asio::any_io_executor strand_;
    std::unique_ptr<timer> timer_;

    std::mutex mutex_;
    std::unordered_set<run_id> doubtful_;
    bool working_ = false;
};

} // namespace pawl::engine_detail
