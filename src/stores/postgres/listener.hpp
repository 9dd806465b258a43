#pragma once

#include "stores/postgres/news.hpp"

#include <random>

namespace pawl::postgres {

/// Hears what other processes have committed: by LISTEN on a connection of its own, and by asking
/// now and then. From start() to stop() it keeps its executor busy.
class listener : public std::enable_shared_from_this<listener> {
public:
    explicit listener(std::shared_ptr<news> owner);

    void start();

    /// From any thread. Its coroutines end soon after.
    void stop();

private:
    static boost::asio::awaitable<void> follow(std::shared_ptr<listener> self);
    static boost::asio::awaitable<void> poll(std::shared_ptr<listener> self);
    boost::asio::awaitable<bool> begin_to_subscribe();
    boost::asio::awaitable<void> receive();
    boost::asio::awaitable<void> pause(boost::asio::steady_timer& timer, duration time);
    void hear_payload(std::string_view payload);
    void hear_commits(result rows);
    void tell_gap();
    duration next_interval();

    const std::shared_ptr<news> news_;
    const boost::asio::any_io_executor strand_;
    const std::shared_ptr<connection> link_;
    back_off waits_;
    boost::asio::steady_timer reconnect_;
    boost::asio::steady_timer interval_;
    std::minstd_rand random_{std::random_device{}()};
    std::map<std::uint32_t, std::int64_t> commits_; ///< of each shard, when last asked
    bool stopped_ = false;
};

} // namespace pawl::postgres
