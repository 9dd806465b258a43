#pragma once

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/system/error_code.hpp>

#include <memory>
#include <mutex>
#include <optional>

namespace pawl::async {

/// An event for one waiter. A set() without a waiter is kept for the next wait.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe, with one wait at a time.
class auto_reset_event : public std::enable_shared_from_this<auto_reset_event> {
public:
    /// Completes once the event has been set since the last wait. Throws operation_aborted when
    /// the wait is cancelled. If the event is destroyed first, the waiter is destroyed with it.
    boost::asio::awaitable<void> wait();

    void set();

private:
    using handler = boost::asio::any_completion_handler<void(boost::system::error_code)>;

    void begin_wait(handler waiter, boost::asio::any_io_executor executor);
    void end_wait(boost::system::error_code result);

    std::mutex mutex_;
    bool set_ = false;
    std::optional<handler> waiter_;
    boost::asio::any_io_executor executor_;
};

} // namespace pawl::async
