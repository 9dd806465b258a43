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
    const auto made = std::make_shared<call>();
    current_ = made;
    running_.spawn(strand_, wrap(made, std::move(work)), made->cancel.slot(), made);
    while (!made->done)
        co_await made->ended->wait();
    current_.reset();
    co_return made->failure;
}

/// After a cancellation nothing can be awaited here any more.
asio::awaitable<void> cancellable_call::wrap(std::shared_ptr<call> made, asio::awaitable<void> work)
{
    co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
    made->inside = !made->unwanted;
    std::exception_ptr failure;
    try {
        if (made->unwanted)
            throw boost::system::system_error(asio::error::operation_aborted);
        co_await std::move(work);
    } catch (...) {
        failure = std::current_exception();
    }
    made->inside = false;
    end(*made, std::move(failure));
}

/// Once: the first end counts.
void cancellable_call::end(call& made, std::exception_ptr failure)
{
    if (std::exchange(made.done, true))
        return;
    made.failure = std::move(failure);
    made.ended->set();
}

void cancellable_call::abandon(std::exception_ptr failure)
{
    if (current_)
        end(*current_, std::move(failure));
}

void cancellable_call::cancel()
{
    if (!current_)
        return;
    current_->unwanted = true;
    if (current_->inside)
        current_->cancel.emit(asio::cancellation_type::terminal);
}

} // namespace pawl::async
