// Raw peers and a server for tests of HTTP over loopback sockets.
#pragma once

#include "pawl/http/server.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/test/unit_test.hpp>

#include <chrono>
#include <exception>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace http_test {

namespace asio = boost::asio;
using asio::ip::tcp;
using namespace std::chrono_literals;

struct answer {
    int status = 0; ///< 0: the connection ended before an answer
    std::string head;
    std::string body;

    bool says(std::string_view line) const { return head.find(line) != head.npos; }
};

/// A socket that says what it is told to, right or wrong.
class peer {
public:
    static asio::awaitable<peer> connect(std::uint16_t port)
    {
        tcp::socket socket(co_await asio::this_coro::executor);
        const tcp::endpoint there(asio::ip::address_v4::loopback(), port);
        co_await socket.async_connect(there, asio::use_awaitable);
        co_return peer(std::move(socket));
    }

    explicit peer(tcp::socket connected) : socket(std::move(connected)) {}

    /// What cannot be sent is not: the other side may have closed already.
    asio::awaitable<void> send(std::string bytes)
    {
        co_await asio::async_write(socket, asio::buffer(bytes),
                                   asio::as_tuple(asio::use_awaitable));
    }

    asio::awaitable<answer> receive(bool with_body = true)
    {
        answer out;
        const auto head = co_await asio::async_read_until(
            socket, asio::dynamic_buffer(unread), "\r\n\r\n", asio::as_tuple(asio::use_awaitable));
        if (std::get<0>(head))
            co_return out;
        out.head = take(std::get<1>(head));
        out.status = std::stoi(out.head.substr(9, 3));
        const auto length_at = out.head.find("Content-Length: ");
        if (!with_body || length_at == std::string::npos)
            co_return out;
        const auto length = std::stoul(out.head.substr(length_at + 16));
        if (unread.size() < length)
            co_await asio::async_read(socket, asio::dynamic_buffer(unread),
                                      asio::transfer_exactly(length - unread.size()),
                                      asio::as_tuple(asio::use_awaitable));
        out.body = take(std::min(length, unread.size()));
        co_return out;
    }

    asio::awaitable<answer> ask(std::string bytes)
    {
        co_await send(std::move(bytes));
        auto out = co_await receive();
        co_return out;
    }

    /// The other role: the head of a request, "" at the end of the connection.
    asio::awaitable<std::string> receive_head()
    {
        const auto head = co_await asio::async_read_until(
            socket, asio::dynamic_buffer(unread), "\r\n\r\n", asio::as_tuple(asio::use_awaitable));
        if (std::get<0>(head))
            co_return "";
        co_return take(std::get<1>(head));
    }

    /// All that still comes until the other side closes, or resets.
    asio::awaitable<std::string> rest()
    {
        co_await asio::async_read(socket, asio::dynamic_buffer(unread), asio::transfer_all(),
                                  asio::as_tuple(asio::use_awaitable));
        co_return take(unread.size());
    }

    tcp::socket socket;
    std::string unread;

private:
    std::string take(std::size_t size)
    {
        auto out = unread.substr(0, size);
        unread.erase(0, size);
        return out;
    }
};

/// Remembers what was logged.
class log_book {
public:
    pawl::log_sink sink()
    {
        return [this](const pawl::log_entry& entry) {
            const std::lock_guard lock(mutex_);
            lines_.push_back(to_string(entry));
            if (on_line)
                on_line();
        };
    }

    std::vector<std::string> lines() const
    {
        const std::lock_guard lock(mutex_);
        return lines_;
    }

    std::function<void()> on_line;

private:
    mutable std::mutex mutex_;
    std::vector<std::string> lines_;
};

/// Runs `body` and fails the test when it throws, or does not end in a time that only a hang takes.
inline void run(asio::io_context& io, asio::awaitable<void> body, int threads = 1)
{
    std::exception_ptr escaped;
    bool done = false;
    asio::co_spawn(io, std::move(body), [&](std::exception_ptr e) {
        escaped = e;
        done = true;
    });
    std::vector<std::thread> helpers;
    for (int i = 1; i < threads; ++i)
        helpers.emplace_back([&io] { io.run_for(120s); });
    io.run_for(120s);
    for (auto& helper : helpers)
        helper.join();
    BOOST_TEST_REQUIRE(done, "the test hangs");
    if (escaped)
        std::rethrow_exception(escaped);
}

using server_test = std::function<asio::awaitable<void>(pawl::http::server&)>;

inline asio::awaitable<void> with_stop(pawl::http::server& server, const server_test& body)
{
    std::exception_ptr escaped;
    try {
        co_await body(server);
    } catch (...) {
        escaped = std::current_exception();
    }
    co_await server.async_stop(0s);
    if (escaped)
        std::rethrow_exception(escaped);
}

/// Runs `body` beside a started server, which is stopped afterwards.
inline void serve(std::vector<pawl::http::route> routes, pawl::http::server_options options,
                  const server_test& body, int threads = 1)
{
    asio::io_context io(threads);
    pawl::http::server server(io.get_executor(), std::move(routes), std::move(options));
    server.start();
    run(io, with_stop(server, body), threads);
}

inline asio::awaitable<pawl::http::response> echo(const pawl::http::request& request)
{
    pawl::http::response out;
    out.body = request.method + " " + request.path;
    for (const auto& [name, value] : request.captures)
        out.body += " " + name + "=" + value;
    if (!request.body.empty())
        out.body += " " + request.body;
    out.content_type = "text/plain";
    co_return out;
}

/// GET and POST of "/{any}" answered with what was asked.
inline std::vector<pawl::http::route> echo_routes()
{
    return {{.method = "GET", .pattern = "/{any}", .answer = echo},
            {.method = "POST", .pattern = "/{any}", .answer = echo}};
}

inline std::string get(std::string path, std::string headers = "")
{
    return "GET " + path + " HTTP/1.1\r\nHost: h\r\n" + headers + "\r\n";
}

} // namespace http_test
