#pragma once

#include "stores/postgres/notifier.hpp"

#include <random>

namespace pawl::postgres {

/// Receives the commits of other processes: by LISTEN on a connection of its own, and by polling.
/// From start() to stop() its executor has outstanding work.
class notification_listener : public std::enable_shared_from_this<notification_listener> {
public:
    explicit notification_listener(std::shared_ptr<notifier> owner);

    void start();

    /// May be called from any thread. The coroutines end soon after.
    void stop();

private:
    static boost::asio::awaitable<void> listen(std::shared_ptr<notification_listener> self);
    static boost::asio::awaitable<void> poll(std::shared_ptr<notification_listener> self);
    boost::asio::awaitable<bool> start_listening();
    boost::asio::awaitable<void> receive();
    boost::asio::awaitable<void> pause(boost::asio::steady_timer& timer, duration time);
    void handle_payload(std::string_view payload);
    void handle_poll_result(result rows);
    void notify_all_shards();
    duration next_poll_interval();

    const std::shared_ptr<notifier> notifier_;
    const boost::asio::any_io_executor strand_;
    const std::shared_ptr<connection> connection_;
    reconnect_backoff backoff_;
    boost::asio::steady_timer reconnect_timer_;
    boost::asio::steady_timer poll_timer_;
    std::minstd_rand random_{std::random_device{}()};
    std::map<std::uint32_t, std::int64_t> commits_; ///< of each shard, as of the last poll
    bool stopped_ = false;
};

} // namespace pawl::postgres
