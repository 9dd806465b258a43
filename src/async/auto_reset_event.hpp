#pragma once

#include "pawl/clock.hpp"

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/system/error_code.hpp>

#include <functional>
#include <memory>
#include <mutex>
#include <optional>

namespace pawl::async {

/// Waits as `waiting` does, and calls `look` when `span` has passed before: news from other
/// processes may be lost. Without a timer it only waits. `look` ends the wait.
boost::asio::awaitable<void> wait_or_poll(boost::asio::awaitable<void> waiting, timer* time,
                                          duration span, std::function<void()> look);

/// One waiter for news: those that come while it does not wait are kept for it.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe, with one wait at a time.
class auto_reset_event : public std::enable_shared_from_this<auto_reset_event> {
public:
    /// Completes when there has been news since the last wait. Throws operation_aborted when it is
    /// cancelled. The news outlives the wait, or ends it without a word.
    boost::asio::awaitable<void> wait();

    void set();

private:
    using handler = boost::asio::any_completion_handler<void(boost::system::error_code)>;

    void begin(handler waiting, boost::asio::any_io_executor executor);
    void end(boost::system::error_code result);

    std::mutex mutex_;
    bool fresh_ = false;
    std::optional<handler> waiting_;
    boost::asio::any_io_executor executor_;
};

} // namespace pawl::async
