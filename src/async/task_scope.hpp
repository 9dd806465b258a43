#pragma once

#include "pawl/log.hpp"

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>

namespace pawl::async {

/// Whether the caller is called by the strand that the executor is.
bool runs_on(const boost::asio::any_io_executor& strand);

/// Counts the coroutines that an engine has started, so that a stop can wait for the last of them.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class task_scope {
public:
    task_scope(boost::asio::any_io_executor executor, log_sink log)
        : executor_(std::move(executor)), log_(std::move(log))
    {
    }

    /// Lets one more in, who calls start() or leave() then. False when the scope has been closed.
    bool enter();

    /// Lets out again who was let in and has started nothing.
    void leave();

    /// Starts `work`, which has been let in, on `executor`. An exception that escapes it is a
    /// defect of Pawl: it is logged. `slot` cancels it (see attempt), and `owner` keeps the
    /// slot's signal alive: the coroutine needs it until after its own frame is gone.
    void start(const boost::asio::any_io_executor& executor, boost::asio::awaitable<void> work,
               boost::asio::cancellation_slot slot = {}, std::shared_ptr<void> owner = {});

    /// Both. Precondition: the scope is not closed, as it cannot be while the caller is inside.
    void spawn(const boost::asio::any_io_executor& executor, boost::asio::awaitable<void> work,
               boost::asio::cancellation_slot slot = {}, std::shared_ptr<void> owner = {});

    /// Closes the scope if nobody is inside; false if somebody is.
    bool close_if_empty();

    /// Calls `done` once nothing is left, and closes the scope at that moment. Called once.
    void close_when_empty(boost::asio::any_completion_handler<void()> done);

private:
    void ended(const std::exception_ptr& escaped);

    const boost::asio::any_io_executor executor_;
    const log_sink log_;

    /// Coroutines, and one more until close_when_empty() is called. At zero the scope is closed.
    std::atomic<std::size_t> inside_{1};

    /// Written before the count can reach zero, read by whoever brings it there.
    std::optional<boost::asio::any_completion_handler<void()>> waiting_;
};

} // namespace pawl::async
