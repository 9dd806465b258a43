#pragma once

#include "engine/context.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <memory>
#include <optional>

namespace pawl::engine_detail {

class activation;

/// A coroutine that waits to be called, like a function, on the strand that it was suspended on.
using waiting_coroutine =
    boost::asio::async_result<boost::asio::use_awaitable_t<>, void()>::handler_type;

/// A strand, and a coroutine on it that drives one activation after the other: to begin a coroutine
/// of its own for each would cost more than some of their steps do.
///
/// Between two activations it rests in active_runs, which gives it the next one. All else that is
/// called here belongs to the activation that has the driver.
class driver final : public std::enable_shared_from_this<driver> {
public:
    explicit driver(context& shared);

    const boost::asio::any_io_executor& strand() const noexcept { return strand_; }

    /// Drives `next`; at once, in this call, if the strand is free. From inside the gate, and
    /// without a lock held.
    void drive(std::shared_ptr<activation> next);

    /// As drive(), but never inside the call.
    void drive_later(std::shared_ptr<activation> next);

    /// Cancels the handler that is suspended in the coroutine. On the strand.
    void cancel_handler();

    /// Ends the coroutine of a driver that rests. Any thread.
    void end();

private:
    boost::asio::awaitable<void> work();
    boost::asio::awaitable<void> rest();
    void go_on();

    context& shared_;
    const boost::asio::any_io_executor strand_;
    boost::asio::cancellation_signal cancel_;
    bool begun_ = false;
    std::shared_ptr<activation> next_; ///< null when the driver goes on: it ends
    std::optional<waiting_coroutine> resting_;
};

} // namespace pawl::engine_detail
