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

run_worker::run_worker(context& shared)
    : shared_(shared), own_(asio::make_strand(shared.executor), this), strand_(own_)
{
}

void run_worker::drive(std::shared_ptr<activation> next)
{
    next_ = std::move(next);
    if (std::exchange(begun_, true))
        asio::dispatch(strand_, [self = shared_from_this()] { self->go_on(); });
    else
        shared_.running.spawn(strand_, work(), cancel_.slot(), shared_from_this());
}

void run_worker::drive_later(std::shared_ptr<activation> next)
{
    next_ = std::move(next);
    if (std::exchange(begun_, true)) {
        asio::post(strand_, [self = shared_from_this()] { self->go_on(); });
        return;
    }
    [[maybe_unused]] const bool open = shared_.running.enter();
    assert(open);
    asio::post(strand_, [self = shared_from_this()] {
        self->shared_.running.start(self->strand_, self->work(), self->cancel_.slot(), self);
    });
}

void run_worker::end()
{
    assert(!next_);
    asio::dispatch(strand_, [self = shared_from_this()] { self->go_on(); });
}

void run_worker::go_on()
{
    auto waiting = std::exchange(resting_, std::nullopt);
    std::move (*waiting)();
}

void run_worker::cancel_handler()
{
    cancel_.emit(asio::cancellation_type::terminal);
}

asio::awaitable<void> run_worker::work()
{
    while (auto run = std::exchange(next_, nullptr)) {
        at_work_ = run.get();
        co_await run->drive();
        at_work_ = nullptr;
        run.reset();
        // What handlers have set for this coroutine ends with their run.
        co_await asio::this_coro::reset_cancellation_state(asio::enable_terminal_cancellation());
        co_await asio::this_coro::throw_if_cancelled(true);
        co_await rest();
    }
}

/// Until there is another activation, or none will come.
asio::awaitable<void> run_worker::rest()
{
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(
        [this](auto handler) {
            resting_.emplace(std::move(handler));
            if (!shared_.active->rest_worker(shared_from_this()))
                asio::post(strand_, [self = shared_from_this()] { self->go_on(); });
        },
        asio::use_awaitable);
}

} // namespace pawl::engine_detail
