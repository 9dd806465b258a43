#pragma once

#include "engine/api/context.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/require.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <memory>
#include <optional>
#include <utility>

namespace pawl::engine_detail {

class activation;

/// A coroutine that waits to be called, like a function, on the strand that it was suspended on.
using waiting_coroutine =
    boost::asio::async_result<boost::asio::use_awaitable_t<>, void()>::handler_type;

class run_worker;

/// The strand of a run_worker. An operation that a handler begins has it as its associated
/// executor, which tells whose handler that is: see active_runs::begin_wait().
class run_worker_executor {
public:
    using strand_type = boost::asio::strand<boost::asio::any_io_executor>;

    run_worker_executor(strand_type strand, const run_worker* of) noexcept
        : strand_(std::move(strand)), of_(of)
    {
    }

    /// An address to look up: the run_worker itself may be gone.
    const run_worker* of() const noexcept { return of_; }

    bool running_in_this_thread() const noexcept { return strand_.running_in_this_thread(); }

    template <class Function>
    void execute(Function&& called) const
    {
        strand_.execute(std::forward<Function>(called));
    }

    template <class Property>
        requires boost::asio::can_query<const strand_type&, Property>::value
    decltype(auto) query(const Property& wanted) const
        noexcept(boost::asio::is_nothrow_query<const strand_type&, Property>::value)
    {
        return boost::asio::query(strand_, wanted);
    }

    template <class Property>
        requires boost::asio::can_require<const strand_type&, Property>::value
    run_worker_executor require(const Property& wanted) const
    {
        return {boost::asio::require(strand_, wanted), of_};
    }

    friend bool operator==(const run_worker_executor& a, const run_worker_executor& b) noexcept
    {
        return a.strand_ == b.strand_;
    }

private:
    strand_type strand_;
    const run_worker* of_;
};

/// A strand, and a coroutine on it that drives one activation after the other: to begin a coroutine
/// of its own for each would cost more than some of their steps do.
///
/// Between two activations it rests in active_runs, which gives it the next one. All else that is
/// called here belongs to the activation that has the run_worker.
class run_worker final : public std::enable_shared_from_this<run_worker> {
public:
    explicit run_worker(context& shared);

    const boost::asio::any_io_executor& strand() const noexcept { return strand_; }

    bool has(const run_worker_executor& executor) const noexcept { return own_ == executor; }

    /// Whether the caller is called by its strand. Any thread.
    bool runs_here() const noexcept { return own_.running_in_this_thread(); }

    /// The activation that it drives; null while it rests. On the strand.
    activation* at_work() const noexcept { return at_work_; }

    /// Drives `next`; at once, in this call, if the strand is free. From inside the task scope, and
    /// without a lock held.
    void drive(std::shared_ptr<activation> next);

    /// As drive(), but never inside the call.
    void drive_later(std::shared_ptr<activation> next);

    /// Cancels the handler that is suspended in the coroutine. On the strand.
    void cancel_handler();

    /// Ends the coroutine of a run_worker that rests. Any thread.
    void end();

private:
    boost::asio::awaitable<void> work();
    boost::asio::awaitable<void> rest();
    void go_on();

    context& shared_;
    const run_worker_executor own_;
    const boost::asio::any_io_executor strand_;
    boost::asio::cancellation_signal cancel_;
    activation* at_work_ = nullptr;
    bool begun_ = false;
    std::shared_ptr<activation> next_; ///< null when the run_worker goes on: it ends
    std::optional<waiting_coroutine> resting_;
};

} // namespace pawl::engine_detail
