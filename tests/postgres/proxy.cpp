#include "postgres/proxy.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <exception>

namespace asio = boost::asio;
using asio::ip::tcp;

struct proxy::link {
    tcp::socket client;
    asio::local::stream_protocol::socket server;

    void cut()
    {
        boost::system::error_code ignored;
        client.close(ignored);
        server.close(ignored);
    }
};

namespace {

void ignore(const std::exception_ptr&)
{
}

} // namespace

proxy::proxy(std::string socket)
    : socket_(std::move(socket)),
      acceptor_(context_, tcp::endpoint{asio::ip::address_v4::loopback(), 0}),
      port_(acceptor_.local_endpoint().port())
{
    asio::co_spawn(context_, accept(), ignore);
    thread_ = std::thread{[this] {
        context_.run();
    }};
}

proxy::~proxy()
{
    context_.stop();
    thread_.join();
}

asio::awaitable<void> proxy::accept()
{
    for (;;) {
        auto client = co_await acceptor_.async_accept(asio::use_awaitable);
        asio::local::stream_protocol::socket server{context_};
        auto connected = co_await server.async_connect(
            asio::local::stream_protocol::endpoint{socket_}, asio::as_tuple(asio::use_awaitable));
        if (std::get<0>(connected))
            continue; // and the client's connection is closed
        auto between = std::make_shared<link>(link{std::move(client), std::move(server)});
        asio::co_spawn(context_, carry(between, between->client, between->server, loses_request_),
                       ignore);
        asio::co_spawn(context_, carry(between, between->server, between->client, loses_answer_),
                       ignore);
    }
}

template <typename From, typename To>
asio::awaitable<void> proxy::carry(std::shared_ptr<link> between, From& from, To& to,
                                   std::atomic<bool>& loses)
{
    std::array<char, 65536> part;
    for (;;) {
        auto read =
            co_await from.async_read_some(asio::buffer(part), asio::as_tuple(asio::use_awaitable));
        if (std::get<0>(read) || loses.exchange(false))
            break;
        auto written = co_await asio::async_write(to, asio::buffer(part, std::get<1>(read)),
                                                  asio::as_tuple(asio::use_awaitable));
        if (std::get<0>(written))
            break;
    }
    between->cut();
}
