#include "async/timed_wait.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <atomic>
#include <memory>
#include <utility>

namespace pawl::async {

namespace asio = boost::asio;

namespace {

/// Cancels the timer at the end of the wait. The flag is needed because a timer calls its handler
/// when it is cancelled, too.
struct poll_guard {
    explicit poll_guard(timer* poll_timer) : timer_(poll_timer) {}
    poll_guard(const poll_guard&) = delete;
    ~poll_guard()
    {
        *over = true;
        if (timer_)
            timer_->cancel();
    }

    timer* const timer_;
    const std::shared_ptr<std::atomic<bool>> over = std::make_shared<std::atomic<bool>>(false);
};

} // namespace

asio::awaitable<void> wait(timer& pause, duration span)
{
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(
        [](auto handler, timer* waiting, duration length) {
            waiting->wait(length, std::move(handler));
        },
        asio::use_awaitable, &pause, span);
}

asio::awaitable<void> wait_or_poll(asio::awaitable<void> notification, timer* poll_timer,
                                   duration span, std::function<void()> poll)
{
    const poll_guard guard{poll_timer};
    if (poll_timer)
        poll_timer->wait(span, [over = guard.over, poll = std::move(poll)] {
            if (!*over)
                poll();
        });
    co_await std::move(notification);
}

} // namespace pawl::async
