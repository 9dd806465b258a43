#pragma once

#include "async/auto_reset_event.hpp"
#include "nats/client.hpp"
#include "nats/delivery_tracker.hpp"
#include "nats/inbox.hpp"
#include "pawl/nats.hpp"

#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace pawl::nats {

/// A call that waits for the answer to an acknowledgement. `failure` is set before `end`.
struct acknowledgement {
    std::exception_ptr failure;
    const std::shared_ptr<async::auto_reset_event> end =
        std::make_shared<async::auto_reset_event>();
};

/// The side of a receiver that talks to JetStream, on the thread of its client: requests messages,
/// renews their time, and acknowledges them.
class pull_reader : public std::enable_shared_from_this<pull_reader> {
public:
    /// The client must outlive the calls on its thread.
    pull_reader(nats_client& client, nats_source_options options, std::string consumer);

    // Called on the client's thread. These throw error.

    /// Finds or creates the consumer, and begins to request messages.
    void start();

    /// Acknowledges up to a position. `done` completes when the server has processed it, or when it
    /// has not within the client's request_timeout.
    void acknowledge(std::uint64_t position, std::shared_ptr<acknowledgement> done);

    /// Requests more messages if there is room.
    void request_more();

    /// Gives the messages back that are not acknowledged, and ends.
    void stop() noexcept;

    // Called on any thread.

    /// Takes up to `limit` events; empty if no event has arrived. Throws the error of the reader.
    std::vector<stream_event> take(std::size_t limit);

    async::auto_reset_event& news() noexcept { return *news_; }

private:
    using clock = std::chrono::steady_clock;

    void on_message(incoming_message message);
    void on_status(const incoming_message& message);
    void on_delivery(incoming_message message);
    stream_event make_event(incoming_message& message, const message_origin& origin) const;
    void pass_on();
    void fail(std::exception_ptr failure);
    void schedule_tick();
    void tick();
    void renew_held();
    void check_connection();
    void check_hold();
    void on_answer(std::uint64_t acknowledgement, int status);
    void ask_for_answer(std::uint64_t request, const std::string& reply);
    void repeat_acknowledgements();
    void end_acknowledgement(std::uint64_t request, const std::exception_ptr& failure);
    void publish(const std::string& subject, std::string_view text);

    nats_client& client_;
    const nats_source_options options_;
    const std::string consumer_;

    // Used on the client's thread.
    std::uint64_t generation_ = 0;
    std::uint64_t reconnects_ = 0;
    std::optional<inbox> inbox_;
    std::optional<delivery_tracker> tracker_;
    boost::asio::steady_timer timer_;
    bool stopped_ = false;
    bool doubts_consumer_ = false;  ///< a request had no answer: the consumer may be gone
    std::size_t requested_ = 0;     ///< messages that the last request may still bring
    clock::time_point last_sign_{}; ///< of the server, about the request
    clock::time_point next_renewal_{};

    /// An acknowledgement whose answer has not come; it is repeated until then.
    struct unanswered {
        std::string reply; ///< of the last message
        clock::time_point give_up_at{};
        std::shared_ptr<acknowledgement> waiter;
    };
    std::uint64_t last_acknowledgement_ = 0;
    std::map<std::uint64_t, unanswered> unanswered_;

    // Used on all threads.
    std::mutex mutex_;
    std::deque<stream_event> ready_;
    std::exception_ptr failure_;
    const std::shared_ptr<async::auto_reset_event> news_ =
        std::make_shared<async::auto_reset_event>();
};

} // namespace pawl::nats
