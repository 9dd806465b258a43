#include "stores/sqlite/worker.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace pawl::sqlite {

namespace asio = boost::asio;

struct worker::enqueue {
    worker* thread;
    job* work;

    template <typename Handler>
    void operator()(Handler handler) const
    {
        worker& target = *thread;
        work->done_.emplace(std::move(handler));
        // As soon as the mutex is free, the job may run and its coroutine end: this object and even
        // the worker may then be gone.
        const std::lock_guard lock{target.mutex_};
        target.queue_.push_back(work);
        target.wake_.notify_one();
    }
};

worker::worker() : thread_([this] { loop(); })
{
}

worker::~worker()
{
    {
        const std::lock_guard lock{mutex_};
        stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
}

asio::awaitable<void> worker::execute(job& work)
{
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    // Only this work keeps the caller's context running while the thread works.
    work.executor_ = asio::prefer(executor, asio::execution::outstanding_work.tracked);
    asio::use_awaitable_t<> token;
    co_await asio::async_initiate<asio::use_awaitable_t<>, void()>(enqueue{this, &work}, token);
}

void worker::loop()
{
    std::unique_lock lock{mutex_};
    for (;;) {
        wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
        if (queue_.empty())
            return;
        job* const next = queue_.front();
        queue_.pop_front();
        lock.unlock();
        next->run();
        finish(*next);
        lock.lock();
    }
}

void worker::finish(job& work)
{
    // As soon as the completion is posted, the job may be gone: post() must not use it.
    const auto executor = std::move(work.executor_);
    asio::post(executor, [done = std::move(*work.done_)]() mutable { std::move(done)(); });
}

} // namespace pawl::sqlite
