#pragma once

#include "async/auto_reset_event.hpp"
#include "nats/client.hpp"
#include "nats/inbox.hpp"
#include "pawl/nats.hpp"

#include <boost/asio/steady_timer.hpp>

#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace pawl::nats {

/// Events that one caller publishes, until all are confirmed. `failure` is set before `end`.
struct publication_batch {
    std::vector<stream_event> events;
    std::size_t unconfirmed = 0;
    std::exception_ptr failure;
    std::weak_ptr<boost::asio::steady_timer> limit; ///< belongs to its own handler
    bool ended = false;
    const std::shared_ptr<async::auto_reset_event> end =
        std::make_shared<async::auto_reset_event>();
};

/// Publishes events and waits for their confirmations, on the thread of its client.
class publisher : public std::enable_shared_from_this<publisher> {
public:
    publisher(nats_client& client, nats_sink_options options);

    void publish(std::shared_ptr<publication_batch> batch);

    /// Ends the subscription to the confirmations.
    void stop() { inbox_.reset(); }

private:
    void send_all(const std::shared_ptr<publication_batch>& batch);
    void send(const stream_event& event, const std::shared_ptr<publication_batch>& batch);
    void open_inbox();
    void limit_time(const std::shared_ptr<publication_batch>& batch);
    void on_message(const incoming_message& message);
    void end(publication_batch& batch, std::exception_ptr failure);

    nats_client& client_;
    const nats_sink_options options_;
    std::uint64_t generation_ = 0;
    std::optional<inbox> inbox_;
    std::uint64_t last_request_ = 0;
    std::unordered_map<std::string, std::shared_ptr<publication_batch>> pending_; ///< by request
};

} // namespace pawl::nats
