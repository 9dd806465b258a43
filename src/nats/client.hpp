#pragma once

#include "nats/job_queue.hpp"
#include "pawl/nats.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <nats/nats.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>

namespace pawl {

/// Members below "thread" are used on the client's thread only.
class nats_client {
public:
    explicit nats_client(nats_options options);
    ~nats_client();

    nats_client(const nats_client&) = delete;
    nats_client& operator=(const nats_client&) = delete;

    const nats_options& options() const noexcept { return options_; }
    boost::asio::io_context& context() noexcept { return io_; }
    const std::shared_ptr<nats::job_queue>& jobs() const noexcept { return jobs_; }

    // thread

    /// The connection; connects first if necessary. Throws error (broker_unavailable).
    natsConnection* connection();

    jsCtx* jetstream();

    /// Grows with each connection that connection() has established.
    std::uint64_t generation() const noexcept { return generation_; }

    /// Grows when the connection was lost and made again. What was requested before is lost.
    std::uint64_t reconnects();

private:
    void connect();
    void disconnect();

    const nats_options options_;
    boost::asio::io_context io_{1};
    const std::shared_ptr<nats::job_queue> jobs_ = std::make_shared<nats::job_queue>(io_);
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_ =
        boost::asio::make_work_guard(io_);
    natsConnection* connection_ = nullptr;
    jsCtx* jetstream_ = nullptr;
    std::uint64_t generation_ = 0;
    std::chrono::steady_clock::time_point next_attempt_{};
    std::string last_error_;
    std::thread thread_;
};

namespace nats {

/// Throws error (broker_unavailable) with the action and the text of the status, unless it is
/// NATS_OK.
void check_status(natsStatus status, const std::string& action);

std::int64_t milliseconds(duration span);

} // namespace nats

} // namespace pawl
