#pragma once

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include <atomic>
#include <concepts>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

namespace pawl {

namespace detail {

/// Shared by the waiting coroutine and the working thread. Whichever comes first, the end of the
/// function or the cancellation, ends the wait; the result of the other one is ignored.
template <class Value>
class offload_state {
public:
    /// Holds outstanding work of the waiter's context until the wait ends.
    explicit offload_state(const boost::asio::any_io_executor& waiter)
        : waiter_(boost::asio::prefer(waiter, boost::asio::execution::outstanding_work.tracked))
    {
    }

    void wait(boost::asio::any_completion_handler<void()> handler)
    {
        handler_.emplace(std::move(handler));
    }

    void succeed(Value value)
    {
        value_.emplace(std::move(value));
        end();
    }

    void fail(std::exception_ptr failure)
    {
        failure_ = std::move(failure);
        end();
    }

    void cancel()
    {
        if (ended_.exchange(true))
            return;
        cancelled_ = true;
        resume();
    }

    /// Call it after the wait.
    Value take()
    {
        if (cancelled_)
            throw boost::system::system_error(boost::asio::error::operation_aborted);
        if (failure_)
            std::rethrow_exception(failure_);
        return std::move(*value_);
    }

private:
    void end()
    {
        if (!ended_.exchange(true))
            resume();
    }

    void resume()
    {
        auto executor = std::exchange(waiter_, {});
        boost::asio::post(executor,
                          [handler = std::move(*handler_)]() mutable { std::move(handler)(); });
    }

    boost::asio::any_io_executor waiter_;
    std::optional<boost::asio::any_completion_handler<void()>> handler_;
    std::atomic<bool> ended_{false};
    bool cancelled_ = false;
    std::exception_ptr failure_;
    std::optional<Value> value_;
};

template <class Value, class Fn>
class offload_call {
public:
    offload_call(std::shared_ptr<offload_state<Value>> state, Fn fn)
        : state_(std::move(state)), fn_(std::in_place, std::move(fn))
    {
    }

    offload_call(offload_call&& other) noexcept(std::is_nothrow_move_constructible_v<Fn>)
        : state_(std::move(other.state_)), fn_(std::move(other.fn_))
    {
    }

    offload_call& operator=(offload_call&&) = delete;

    /// If an executor drops the function without running it, the caller must still be resumed.
    ~offload_call()
    {
        if (state_)
            state_->fail(std::make_exception_ptr(
                boost::system::system_error(boost::asio::error::operation_aborted)));
    }

    void operator()()
    {
        const auto state = std::move(state_);
        std::optional<Value> value;
        std::exception_ptr failure;
        try {
            if constexpr (std::is_void_v<std::invoke_result_t<Fn&>>) {
                (*fn_)();
                value.emplace();
            } else {
                value.emplace((*fn_)());
            }
        } catch (...) {
            failure = std::current_exception();
        }
        fn_.reset(); // what it captured is gone before its caller goes on
        if (failure)
            state->fail(std::move(failure));
        else
            state->succeed(std::move(*value));
    }

private:
    std::shared_ptr<offload_state<Value>> state_;
    std::optional<Fn> fn_;
};

} // namespace detail

/// Runs `fn()` on another executor, such as that of a boost::asio::thread_pool, and returns its
/// result. Use it for work that blocks or computes for long, which must not occupy the thread that
/// drives other runs.
///
/// @code
/// pawl::step<Rendered> render(pawl::run<Order>& run)
/// {
///     auto page = co_await pawl::offload(pool, [order = run.object()] { return layout(order); });
///     ...
/// @endcode
///
/// Completes: when `fn` has returned, on the caller's executor. An exception of `fn` is passed on.
/// Errors: operation_aborted — the wait was cancelled, or the executor dropped `fn` without running
/// it.
/// Cancellation: all types; the caller continues at once with operation_aborted. `fn` is not
/// interrupted, and its result is ignored. Steps are cancelled by commands, deadlines,
/// attempt_timeout and stops.
/// Lifetime: `fn` must own what it uses, by copies or shared pointers: after a cancellation,
/// references to the caller's variables or to run.object() dangle. The context of `executor` must
/// outlive the call of `fn`: join the pool before what `fn` uses is destroyed.
///
/// Use it instead of `co_await co_spawn(pool, work(), use_awaitable)`: in Boost before 1.83,
/// cancelling that is a use after free.
template <class Executor, class Fn>
    requires(!std::convertible_to<Executor&, boost::asio::execution_context&>)
boost::asio::awaitable<std::invoke_result_t<Fn&>> offload(Executor executor, Fn fn)
{
    using result = std::invoke_result_t<Fn&>;
    static_assert(!std::is_reference_v<result>, "pawl::offload: return a value, not a reference");
    using value = std::conditional_t<std::is_void_v<result>, std::monostate, result>;
    const auto waiter = co_await boost::asio::this_coro::executor;
    const auto state = std::make_shared<detail::offload_state<value>>(waiter);
    detail::offload_call<value, Fn> call{state, std::move(fn)};
    co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>, void()>(
        [](auto handler, std::shared_ptr<detail::offload_state<value>> shared, Executor target,
           detail::offload_call<value, Fn> work) {
            const auto slot = boost::asio::get_associated_cancellation_slot(handler);
            shared->wait(std::move(handler));
            if (slot.is_connected()) {
                auto cancelled = slot;
                cancelled.assign([weak = std::weak_ptr{shared}](boost::asio::cancellation_type) {
                    if (const auto waiting = weak.lock())
                        waiting->cancel();
                });
            }
            boost::asio::post(target, std::move(work));
        },
        boost::asio::use_awaitable, state, std::move(executor), std::move(call));
    if constexpr (std::is_void_v<result>)
        state->take();
    else
        co_return state->take();
}

/// The same on an execution context.
template <class Context, class Fn>
    requires std::convertible_to<Context&, boost::asio::execution_context&>
auto offload(Context& context, Fn fn)
{
    return offload(context.get_executor(), std::move(fn));
}

} // namespace pawl
