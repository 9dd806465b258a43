#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
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

    /// The next thing that any client sends does not arrive; its connection is cut.
    void lose_next_request() { loses_request_ = true; }

    /// The next thing that the server answers does not arrive; its connection is cut.
    void lose_next_answer() { loses_answer_ = true; }

private:
    struct link;

    boost::asio::awaitable<void> accept();
    template <typename From, typename To>
    boost::asio::awaitable<void> carry(std::shared_ptr<link> between, From& from, To& to,
                                       std::atomic<bool>& loses);

    const std::string socket_;
    boost::asio::io_context context_;
    boost::asio::ip::tcp::acceptor acceptor_;
    const std::uint16_t port_;
    std::atomic<bool> loses_request_ = false;
    std::atomic<bool> loses_answer_ = false;
    std::thread thread_;
};
