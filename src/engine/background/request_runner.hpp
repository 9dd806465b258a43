#pragma once

#include "engine/api/engine_parts.hpp"
#include "engine/background/log_limiter.hpp"
#include "pawl/request_queue.hpp"
#include "pawl/stream_event.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace pawl::engine_detail {

/// Takes the requests that programs have stored in the database, and carries them out: starts runs,
/// and leaves callbacks in inboxes. Requests of one foreign id are carried out one after the other.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class request_runner : public std::enable_shared_from_this<request_runner> {
public:
    request_runner(engine_parts& shared, request_queue& queue, duration poll_interval);

    /// From inside the task scope.
    void start();

    /// Takes no further requests.
    void stop();

    /// Carries out the request of a dead letter. Throws what the start or the delivery throws.
    boost::asio::awaitable<void> redrive(stream_event letter);

private:
    struct page;
    using request_group = std::vector<stored_request>;

    boost::asio::awaitable<void> work();
    boost::asio::awaitable<std::size_t> carry_out_page();
    boost::asio::awaitable<void> carry_out_group(request_group group, std::shared_ptr<page> taken);
    boost::asio::awaitable<bool> finish_request(const stored_request& request);
    boost::asio::awaitable<void> carry_out(const stored_request& request);
    boost::asio::awaitable<void> start_run(const stored_request& request);
    boost::asio::awaitable<void> send_callback(const stored_request& request);
    boost::asio::awaitable<void> store_dead_letter(const stored_request& request,
                                                   std::string error);
    void report(const stored_request& request, bool is_final, const std::string& error);
    void wake();

    engine_parts& shared_;
    request_queue& queue_;
    const duration poll_interval_;
    const boost::asio::any_io_executor strand_;
    const std::unique_ptr<timer> timer_;
    std::atomic<bool> woken_{false}; ///< requests may have been stored since the last page
    std::shared_ptr<void> subscription_;
    std::vector<std::string> workflows_; ///< of the engine
    log_limiter lines_;
};

} // namespace pawl::engine_detail
