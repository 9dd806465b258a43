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

/// Whether `strand` is a strand, and the caller runs on it.
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

    /// Counts one more task. The caller then calls start() or leave(). False if the scope is
    /// closed.
    bool enter();

    /// Ends the task of an enter() that start() was not called for.
    void leave();

    /// Starts `work` on `executor`, after enter(). An exception that escapes `work` is a defect of
    /// Pawl and is logged. `slot` cancels `work`. `owner` keeps the slot's signal alive: the
    /// coroutine uses it until after its own frame is gone.
    void start(const boost::asio::any_io_executor& executor, boost::asio::awaitable<void> work,
               boost::asio::cancellation_slot slot = {}, std::shared_ptr<void> owner = {});

    /// Calls enter() and start(). Precondition: the scope is not closed, which holds while the
    /// caller is a task of it.
    void spawn(const boost::asio::any_io_executor& executor, boost::asio::awaitable<void> work,
               boost::asio::cancellation_slot slot = {}, std::shared_ptr<void> owner = {});

    /// Closes the scope if it has no task; otherwise returns false.
    bool close_if_empty();

    /// Closes the scope when its last task ends, then calls `done`. Called once.
    void close_when_empty(boost::asio::any_completion_handler<void()> done);

private:
    void end_task(const std::exception_ptr& escaped);

    const boost::asio::any_io_executor executor_;
    const log_sink log_;

    /// The number of tasks, plus one until close_when_empty() is called. At zero the scope is
    /// closed.
    std::atomic<std::size_t> tasks_{1};

    /// Written before `tasks_` can reach zero, read by the task that brings it to zero.
    std::optional<boost::asio::any_completion_handler<void()>> done_;
};

} // namespace pawl::async
