#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <cstddef>
#include <thread>
#include <vector>

namespace pawl_bench {

/// An io_context, and the threads that drive it while something is measured.
class host {
public:
    explicit host(std::size_t threads);

    boost::asio::io_context& context() noexcept { return context_; }
    boost::asio::any_io_executor executor() { return context_.get_executor(); }

    /// Drives the context until `work` has completed; rethrows what it threw. What else is in the
    /// context stands still between two calls.
    void run(boost::asio::awaitable<void> work);

    /// Drives the context until nothing is left in it: what has ended, but has to say so.
    void finish();

private:
    const std::size_t threads_;
    boost::asio::io_context context_;
};

/// A context that a thread of its own drives, from construction to destruction.
class background_host {
public:
    explicit background_host(std::size_t threads);
    ~background_host();

    boost::asio::any_io_executor executor() { return context_.get_executor(); }

    /// Blocks until `work` has completed on it; rethrows what it threw.
    void run(boost::asio::awaitable<void> work);

private:
    boost::asio::io_context context_;
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard_;
    std::vector<std::jthread> threads_;
};

boost::asio::awaitable<void> sleep_for(boost::asio::steady_timer::duration span);

} // namespace pawl_bench
