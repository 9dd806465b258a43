#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

/// Stands between a store and its server, on a port of this machine, and loses what it is told to.
class proxy {
public:
    /// `socket`: the server's in the file system.
    explicit proxy(std::string socket);
    ~proxy();

    proxy(const proxy&) = delete;
    proxy& operator=(const proxy&) = delete;

    std::uint16_t port() const noexcept { return port_; }

    /// New connections go to the server with this socket.
    void lead_to(std::string socket);

    /// The next request with this text in it does not arrive; its connection is cut.
    void lose_request(std::string text);

    /// The answer to the next request with this text in it does not arrive; its connection is cut.
    void lose_answer(std::string text);

    /// The next request with this text in it stays here, and all that comes after it on any
    /// connection, in either direction, until heal().
    void hold_from(std::string text);

    /// All that comes stays here, also from new connections, until heal().
    void hold();

    /// How many connections were made.
    int connections();

    /// Until that request has come; false when it has not in a minute.
    bool wait_until_held();

    /// Cuts all connections and each new one, until heal().
    void cut();

    /// Cuts each new connection, until heal().
    void refuse();

    /// What was held goes on its way, new connections are made.
    void heal();

private:
    struct link;

    enum class state { sound, held, cut };

    boost::asio::awaitable<void> accept();
    boost::asio::awaitable<void> carry_requests(std::shared_ptr<link> between);
    boost::asio::awaitable<void> carry_answers(std::shared_ptr<link> between);

    boost::asio::awaitable<void> until_not_held();
    void become(state next);
    std::string target();
    void count_connection();
    bool is(state wanted);

    /// Whether this is what was waited for; then it is no longer.
    bool is_met(std::string& text, std::string_view part);

    boost::asio::io_context context_;
    boost::asio::ip::tcp::acceptor acceptor_;
    const std::uint16_t port_;
    boost::asio::steady_timer changed_; ///< is cancelled when the state has changed
    std::vector<std::weak_ptr<link>> links_;
    std::mutex mutex_; ///< guards what follows
    std::condition_variable held_;
    std::string socket_;
    state state_ = state::sound;
    int connections_ = 0;
    std::string lost_request_;
    std::string lost_answer_;
    std::string held_request_;
    std::thread thread_;
};
