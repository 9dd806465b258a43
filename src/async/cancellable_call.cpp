#include "async/cancellable_call.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>

#include <utility>

namespace pawl::async {

namespace asio = boost::asio;

cancellable_call::cancellable_call(task_scope& running, asio::any_io_executor strand)
    : running_(running), strand_(std::move(strand))
{
}

asio::awaitable<std::exception_ptr> cancellable_call::run(asio::awaitable<void> work)
{
    const auto current = std::make_shared<call>();
    current_ = current;
    running_.spawn(strand_, run_call(current, std::move(work)), current->cancel.slot(), current);
    while (!current->done)
        co_await current->end->wait();
    current_.reset();
    co_return current->failure;
}

/// Awaits nothing after `work`: after a cancellation, awaiting fails.
asio::awaitable<void> cancellable_call::run_call(std::shared_ptr<call> current,
                                                 asio::awaitable<void> work)
{
    co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
    current->inside = !current->cancelled;
    std::exception_ptr failure;
    try {
        if (current->cancelled)
            throw boost::system::system_error(asio::error::operation_aborted);
        co_await std::move(work);
    } catch (...) {
        failure = std::current_exception();
    }
    current->inside = false;
    end_call(*current, std::move(failure));
}

/// The first end counts.
void cancellable_call::end_call(call& ended, std::exception_ptr failure)
{
    if (std::exchange(ended.done, true))
        return;
    ended.failure = std::move(failure);
    ended.end->set();
}

void cancellable_call::abandon(std::exception_ptr failure)
{
    if (current_)
        end_call(*current_, std::move(failure));
}

void cancellable_call::cancel()
{
    if (!current_)
        return;
    current_->cancelled = true;
    if (current_->inside)
        current_->cancel.emit(asio::cancellation_type::terminal);
}

} // namespace pawl::async
