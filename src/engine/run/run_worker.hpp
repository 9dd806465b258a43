#pragma once

#include "engine/api/engine_parts.hpp"

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

/// A suspended coroutine. To be resumed by a call, on the strand on which it was suspended.
using waiting_coroutine =
    boost::asio::async_result<boost::asio::use_awaitable_t<>, void()>::handler_type;

class run_worker;

/// The strand of a run_worker. It is the associated executor of operations that a handler starts,
/// and so identifies the handler: see active_runs::begin_wait().
class run_worker_executor {
public:
    using strand_type = boost::asio::strand<boost::asio::any_io_executor>;

    run_worker_executor(strand_type strand, const run_worker* worker) noexcept
        : strand_(std::move(strand)), worker_(worker)
    {
    }

    /// An address for look-ups only: the run_worker may have been destroyed.
    const run_worker* worker() const noexcept { return worker_; }

    bool running_in_this_thread() const noexcept { return strand_.running_in_this_thread(); }

    template <class Function>
    void execute(Function&& function) const
    {
        strand_.execute(std::forward<Function>(function));
    }

    template <class Property>
        requires boost::asio::can_query<const strand_type&, Property>::value
    decltype(auto) query(const Property& property) const
        noexcept(boost::asio::is_nothrow_query<const strand_type&, Property>::value)
    {
        return boost::asio::query(strand_, property);
    }

    template <class Property>
        requires boost::asio::can_require<const strand_type&, Property>::value
    run_worker_executor require(const Property& property) const
    {
        return {boost::asio::require(strand_, property), worker_};
    }

    friend bool operator==(const run_worker_executor& a, const run_worker_executor& b) noexcept
    {
        return a.strand_ == b.strand_;
    }

private:
    strand_type strand_;
    const run_worker* worker_;
};

/// A strand, and a coroutine on it that drives activations, one after the other. A new coroutine
/// for each activation would cost more than some steps do.
///
/// Between two activations the worker rests in active_runs, which gives it the next one. Other
/// calls come from the activation that has the worker.
class run_worker final : public std::enable_shared_from_this<run_worker> {
public:
    explicit run_worker(engine_parts& shared);

    const boost::asio::any_io_executor& strand() const noexcept { return strand_; }

    bool has_executor(const run_worker_executor& executor) const noexcept
    {
        return executor_ == executor;
    }

    /// Whether the caller runs on the strand. Any thread.
    bool runs_here() const noexcept { return executor_.running_in_this_thread(); }

    /// The activation that it drives; null while it rests. On the strand.
    activation* at_work() const noexcept { return at_work_; }

    /// Drives `next`, inside this call if the strand is free. To be called inside the task scope
    /// and without a lock held.
    void drive(std::shared_ptr<activation> next);

    /// As drive(), but never inside this call.
    void drive_later(std::shared_ptr<activation> next);

    /// Cancels the handler that is suspended in the coroutine. On the strand.
    void cancel_handler();

    /// Ends the coroutine of a resting worker. Any thread.
    void end_coroutine();

private:
    boost::asio::awaitable<void> drive_activations();
    boost::asio::awaitable<void> rest();
    void resume_coroutine();

    engine_parts& shared_;
    const run_worker_executor executor_;
    const boost::asio::any_io_executor strand_;
    boost::asio::cancellation_signal cancel_;
    activation* at_work_ = nullptr;
    bool started_ = false;
    std::shared_ptr<activation> next_; ///< null when the coroutine is resumed: it ends
    std::optional<waiting_coroutine> resting_;
};

} // namespace pawl::engine_detail
