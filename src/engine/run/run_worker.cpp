#include "engine/run/run_worker.hpp"

#include "engine/run/activation.hpp"
#include "engine/run/active_runs.hpp"

#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>

#include <cassert>
#include <utility>

namespace pawl::engine_detail {

namespace asio = boost::asio;

run_worker::run_worker(engine_parts& shared)
    : shared_(shared), executor_(asio::make_strand(shared.executor), this), strand_(executor_)
{
}

void run_worker::drive(std::shared_ptr<activation> next)
{
    next_ = std::move(next);
    if (std::exchange(started_, true))
        asio::dispatch(strand_, [self = shared_from_this()] { self->resume_coroutine(); });
    else
        shared_.running.spawn(strand_, drive_activations(), cancel_.slot(), shared_from_this());
}

void run_worker::drive_later(std::shared_ptr<activation> next)
{
    next_ = std::move(next);
    if (std::exchange(started_, true)) {
        asio::post(strand_, [self = shared_from_this()] { self->resume_coroutine(); });
        return;
    }
    [[maybe_unused]] const bool open = shared_.running.enter();
    assert(open);
    asio::post(strand_, [self = shared_from_this()] {
        self->shared_.running.start(self->strand_, self->drive_activations(), self->cancel_.slot(),
                                    self);
    });
}

void run_worker::end_coroutine()
{
    assert(!next_);
    asio::dispatch(strand_, [self = shared_from_this()] { self->resume_coroutine(); });
}

void run_worker::resume_coroutine()
{
    auto waiting = std::exchange(resting_, std::nullopt);
    std::move (*waiting)();
}

void run_worker::cancel_handler()
{
    cancel_.emit(asio::cancellation_type::terminal);
}

asio::awaitable<void> run_worker::drive_activations()
{
    while (auto run = std::exchange(next_, nullptr)) {
        at_work_ = run.get();
        co_await run->drive();
        at_work_ = nullptr;
        run.reset();
        // Cancellation settings that handlers made for this coroutine end with their run.
        co_await asio::this_coro::reset_cancellation_state(asio::enable_terminal_cancellation());
        co_await asio::this_coro::throw_if_cancelled(true);
        co_await rest();
    }
}

/// Completes when there is another activation, or when the worker must end.
asio::awaitable<void> run_worker::rest()
{
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(
        [this](auto handler) {
            resting_.emplace(std::move(handler));
            if (!shared_.active->rest_worker(shared_from_this()))
                asio::post(strand_, [self = shared_from_this()] { self->resume_coroutine(); });
        },
        asio::use_awaitable);
}

} // namespace pawl::engine_detail
