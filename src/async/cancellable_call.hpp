#pragma once

#include "async/auto_reset_event.hpp"
#include "async/task_scope.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include <exception>
#include <memory>

namespace pawl::async {

/// Runs one call at a time in a coroutine of its own, so that the call can be cancelled without
/// cancelling its caller.
///
/// Used on one strand, that of its caller.
class cancellable_call {
public:
    cancellable_call(task_scope& running, boost::asio::any_io_executor strand);

    /// Completes with what the call threw, or with null.
    boost::asio::awaitable<std::exception_ptr> run(boost::asio::awaitable<void> work);

    /// Cancels the call that is under way, if there is one.
    void cancel();

    /// Completes run() with `failure` although the call is still under way: for a call that does
    /// not end after its cancellation.
    void abandon(std::exception_ptr failure);

private:
    struct call {
        boost::asio::cancellation_signal cancel;
        bool inside = false; ///< suspended where `cancel` may be emitted
        bool cancelled = false;
        bool done = false;
        std::exception_ptr failure;
        std::shared_ptr<auto_reset_event> end = std::make_shared<auto_reset_event>();
    };

    static void end_call(call& ended, std::exception_ptr failure);
    static boost::asio::awaitable<void> run_call(std::shared_ptr<call> current,
                                                 boost::asio::awaitable<void> work);

    task_scope& running_;
    const boost::asio::any_io_executor strand_;
    std::shared_ptr<call> current_;
};

} // namespace pawl::async
