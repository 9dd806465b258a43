#pragma once

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>

namespace pawl::sqlite {

/// Work for a worker, in the frame of the coroutine that waits for it.
class job {
public:
    virtual void run() noexcept = 0;

protected:
    ~job() = default;

private:
    friend class worker;
    boost::asio::any_io_executor executor_; ///< the caller's
    std::optional<boost::asio::any_completion_handler<void()>> done_;
};

/// A thread that runs jobs in order. The destructor waits until all jobs have run.
class worker {
public:
    worker();
    ~worker();

    worker(const worker&) = delete;
    worker& operator=(const worker&) = delete;

    /// Completes on the caller's executor when the job has been run.
    boost::asio::awaitable<void> execute(job& work);

private:
    struct enqueue;

    void loop();
    static void finish(job& work);

    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<job*> queue_;
    bool stopping_ = false;
    std::thread thread_;
};

template <typename Work>
class job_of final : public job {
public:
    using result = std::invoke_result_t<Work&>;

    explicit job_of(Work work) : work_(std::move(work)) {}

    void run() noexcept override
    {
        try {
            result_.emplace(work_());
        } catch (...) {
            error_ = std::current_exception();
        }
    }

    result take_result()
    {
        if (error_)
            std::rethrow_exception(error_);
        return std::move(*result_);
    }

private:
    Work work_;
    std::optional<result> result_;
    std::exception_ptr error_;
};

/// Runs `work` on the worker's thread and completes with its result on the caller's executor.
template <typename Work>
boost::asio::awaitable<std::invoke_result_t<Work&>> run_on(worker& thread, Work work)
{
    job_of<Work> job{std::move(work)};
    co_await thread.execute(job);
    co_return job.take_result();
}

} // namespace pawl::sqlite
