#pragma once

#include "pawl/time.hpp"

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include <memory>
#include <optional>
#include <utility>

namespace order_processing {

/// Runs an asynchronous operation, and cancels it after `limit`. Completes with its
/// result; empty when the operation was cancelled by the limit.
///
/// `start(token)` begins the operation, which must support terminal cancellation. Cancellation of
/// the caller is passed on to it. Call it on a strand, or on a context with one thread.
template <class Result, class Start>
boost::asio::awaitable<std::optional<Result>> within(pawl::duration limit, Start start)
{
    namespace asio = boost::asio;
    struct shared_state {
        asio::cancellation_signal cancel;
        bool late = false;
        bool done = false;
    };
    // Shared with the timer's handler, which may come after the operation has completed.
    const auto state = std::make_shared<shared_state>();

    asio::steady_timer timer{co_await asio::this_coro::executor, limit};
    timer.async_wait([state](const boost::system::error_code& error) {
        if (error || state->done)
            return;
        state->late = true;
        state->cancel.emit(asio::cancellation_type::terminal);
    });
    auto outer = co_await asio::this_coro::cancellation_state;
    if (outer.slot().is_connected())
        outer.slot().assign([state](asio::cancellation_type type) { state->cancel.emit(type); });

    std::optional<Result> result;
    try {
        Result value =
            co_await start(asio::bind_cancellation_slot(state->cancel.slot(), asio::use_awaitable));
        result.emplace(std::move(value));
    } catch (const boost::system::system_error& error) {
        state->done = true;
        if (error.code() != asio::error::operation_aborted || !state->late)
            throw;
    }
    state->done = true;
    if (outer.slot().is_connected())
        outer.slot().clear();
    co_return result;
}

} // namespace order_processing
