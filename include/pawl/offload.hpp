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

/// What the coroutine that waits and the thread that works share. Whichever of the function's end
/// and the cancellation comes first ends the wait; what the other one leaves here is not looked at.
template <class Value>
class offload_state {
public:
    /// Keeps the waiter's context at work meanwhile.
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

    /// After the wait.
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

    /// An executor that drops the function unrun must not leave its caller waiting.
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

/// Runs `fn()` on another executor, such as that of a boost::asio::thread_pool, and gives what it
/// returns: for work that blocks or computes for long, which must not hold up the thread that
/// drives other runs.
///
/// @code
/// pawl::step<Rendered> render(pawl::run<Order>& run)
/// {
///     auto page = co_await pawl::offload(pool, [order = run.object()] { return layout(order); });
///     ...
/// @endcode
///
/// Completes: when `fn` has returned, on the caller's executor. Throws what `fn` throws.
///
/// Cancellation: all types. The caller goes on at once with operation_aborted, and the result of
/// `fn` is ignored; `fn` itself is not interrupted. So `fn` must own what it uses, by captures that
/// are copies or shared pointers: a reference to the caller's variables, to run.object() too, may
/// dangle. A step that is cancelled by a command, a deadline, its attempt limit or a stop does so.
///
/// Lifetime: `executor`'s context outlives the call of `fn`: join the pool before what `fn` works
/// with is destroyed. A function that the executor drops unrun ends with operation_aborted.
///
/// Use this instead of `co_await co_spawn(pool, work(), use_awaitable)`, which is a use after free
/// in Boost before 1.83 when it is cancelled.
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
        [](auto handler, std::shared_ptr<detail::offload_state<value>> shared, Executor on,
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
            boost::asio::post(on, std::move(work));
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
