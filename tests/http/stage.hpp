// A client whose peer is a script on a raw socket.
#pragma once

#include "pawl/http/client.hpp"
#include "support.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include <optional>
#include <string>
#include <utility>

namespace http_test {

/// What became of a request.
struct fate {
    bool ended = false;
    int status = 0;
    std::string body;
    std::optional<pawl::http::failure> failure;
    std::string text;
    bool aborted = false;
};

inline asio::awaitable<fate> ask(pawl::http::client& client, pawl::http::client_request what)
{
    fate out;
    try {
        auto got = co_await client.request(std::move(what));
        out.status = got.status;
        out.body = std::move(got.body);
    } catch (const pawl::http::client_error& error) {
        out.failure = error.kind();
        out.text = error.what();
    } catch (const boost::system::system_error& error) {
        out.aborted = error.code() == asio::error::operation_aborted;
    }
    out.ended = true;
    co_return out;
}

/// Requests beside the test's coroutine.
class asker {
public:
    asker(asio::any_io_executor executor, pawl::http::client& client)
        : executor_(executor), client_(client),
          any_(executor, std::chrono::steady_clock::time_point::max())
    {
    }

    void begin(fate& out, pawl::http::client_request what, asio::cancellation_slot slot = {})
    {
        asio::co_spawn(executor_, ask(client_, std::move(what)),
                       asio::bind_cancellation_slot(slot, [this, &out](std::exception_ptr, fate f) {
                           out = std::move(f);
                           any_.cancel();
                       }));
    }

    asio::awaitable<void> wait_for(const fate& what)
    {
        while (!what.ended)
            co_await any_.async_wait(asio::as_tuple(asio::use_awaitable));
    }

private:
    asio::any_io_executor executor_;
    pawl::http::client& client_;
    asio::steady_timer any_;
};

/// The other side: accepts connections and plays what the test says.
class stage {
public:
    explicit stage(asio::any_io_executor executor, pawl::http::client_options options = {},
                   const std::string& host = "127.0.0.1")
        : acceptor(executor, {asio::ip::address_v4::loopback(), 0}),
          client(executor,
                 "http://" + host + ":" + std::to_string(acceptor.local_endpoint().port()),
                 options),
          asks(executor, client)
    {
    }

    asio::awaitable<peer> accept()
    {
        auto socket = co_await acceptor.async_accept(asio::use_awaitable);
        co_return peer(std::move(socket));
    }

    tcp::acceptor acceptor;
    pawl::http::client client;
    asker asks;
};

} // namespace http_test
