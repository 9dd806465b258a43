#include "host.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>

#include <exception>

namespace pawl_bench {

namespace asio = boost::asio;

host::host(std::size_t threads) : threads_(threads), context_(static_cast<int>(threads))
{
}

void host::run(asio::awaitable<void> work)
{
    std::exception_ptr failure;
    context_.restart();
    const auto guard = asio::make_work_guard(context_);
    asio::co_spawn(context_, std::move(work), [&](std::exception_ptr thrown) {
        failure = std::move(thrown);
        context_.stop();
    });
    {
        std::vector<std::jthread> others;
        for (std::size_t i = 1; i < threads_; ++i)
            others.emplace_back([this] { context_.run(); });
        context_.run();
    }
    if (failure)
        std::rethrow_exception(failure);
}

void host::finish()
{
    context_.restart();
    context_.run();
}

background_host::background_host(std::size_t threads)
    : context_(static_cast<int>(threads)), guard_(asio::make_work_guard(context_))
{
    for (std::size_t i = 0; i < threads; ++i)
        threads_.emplace_back([this] { context_.run(); });
}

background_host::~background_host()
{
    guard_.reset();
    context_.stop();
    threads_.clear();
}

void background_host::run(asio::awaitable<void> work)
{
    asio::co_spawn(context_, std::move(work), asio::use_future).get();
}

asio::awaitable<void> sleep_for(asio::steady_timer::duration span)
{
    asio::steady_timer timer{co_await asio::this_coro::executor, span};
    co_await timer.async_wait(asio::use_awaitable);
}

} // namespace pawl_bench
