#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

/// Stands between a store and its server, on a port of this machine, and loses what it is told to.
class proxy {
public:
    /// `socket`: the server's in the file system.
    explicit proxy(std::string socket);
    ~proxy();

    proxy(const proxy&) = delete;
    proxy& operator=(const proxy&) = delete;

    std::uint16_t port() const noexcept { return port_; }

    /// The next request with this text in it does not arrive; its connection is cut.
    void lose_request(std::string text);

    /// The answer to the next request with this text in it does not arrive; its connection is cut.
    void lose_answer(std::string text);

private:
    struct link;

    boost::asio::awaitable<void> accept();
    boost::asio::awaitable<void> carry_requests(std::shared_ptr<link> between);
    boost::asio::awaitable<void> carry_answers(std::shared_ptr<link> between);

    /// Whether this is what was waited for; then it is no longer.
    bool is_met(std::string& text, std::string_view part);

    const std::string socket_;
    boost::asio::io_context context_;
    boost::asio::ip::tcp::acceptor acceptor_;
    const std::uint16_t port_;
    std::mutex mutex_;
    std::string lost_request_;
    std::string lost_answer_;
    std::thread thread_;
};
