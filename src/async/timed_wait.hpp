#pragma once

#include "pawl/clock.hpp"

#include <boost/asio/awaitable.hpp>

#include <functional>

namespace pawl::async {

/// Waits for `span`; returns early when the timer is cancelled.
boost::asio::awaitable<void> wait(timer& pause, duration span);

/// Waits for `notification`, and calls `poll` when `span` has passed before it came: notifications
/// from other processes may be lost. `poll` must end the wait. Without a timer there is no poll.
boost::asio::awaitable<void> wait_or_poll(boost::asio::awaitable<void> notification,
                                          timer* poll_timer, duration span,
                                          std::function<void()> poll);

} // namespace pawl::async
