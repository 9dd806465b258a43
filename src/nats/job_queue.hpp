#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <mutex>
#include <utility>

namespace pawl::nats {

/// Passes work to the thread of a client, from the threads of libnats, whose callbacks may come
/// after the client is gone: then the work is dropped.
class job_queue {
public:
    explicit job_queue(boost::asio::io_context& io) : io_(&io) {}

    template <class Job>
    void post(Job job)
    {
        const std::lock_guard lock{mutex_};
        if (io_)
            boost::asio::post(*io_, std::move(job));
    }

    void close()
    {
        const std::lock_guard lock{mutex_};
        io_ = nullptr;
    }

private:
    std::mutex mutex_;
    boost::asio::io_context* io_;
};

} // namespace pawl::nats
