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
    bool loses_answer = false;

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
        auto between = std::make_shared<link>(link{std::move(client), std::move(server), false});
        asio::co_spawn(context_, carry_requests(between), ignore);
        asio::co_spawn(context_, carry_answers(between), ignore);
    }
}

void proxy::lose_request(std::string text)
{
    const std::lock_guard lock{mutex_};
    lost_request_ = std::move(text);
}

void proxy::lose_answer(std::string text)
{
    const std::lock_guard lock{mutex_};
    lost_answer_ = std::move(text);
}

bool proxy::is_met(std::string& text, std::string_view part)
{
    const std::lock_guard lock{mutex_};
    if (text.empty() || part.find(text) == part.npos)
        return false;
    text.clear();
    return true;
}

asio::awaitable<void> proxy::carry_requests(std::shared_ptr<link> between)
{
    std::array<char, 65536> part;
    for (;;) {
        auto read = co_await between->client.async_read_some(asio::buffer(part),
                                                             asio::as_tuple(asio::use_awaitable));
        const std::string_view request{part.data(), std::get<1>(read)};
        if (std::get<0>(read) || is_met(lost_request_, request))
            break;
        between->loses_answer = between->loses_answer || is_met(lost_answer_, request);
        auto written = co_await asio::async_write(between->server, asio::buffer(request),
                                                  asio::as_tuple(asio::use_awaitable));
        if (std::get<0>(written))
            break;
    }
    between->cut();
}

asio::awaitable<void> proxy::carry_answers(std::shared_ptr<link> between)
{
    std::array<char, 65536> part;
    for (;;) {
        auto read = co_await between->server.async_read_some(asio::buffer(part),
                                                             asio::as_tuple(asio::use_awaitable));
        if (std::get<0>(read) || between->loses_answer)
            break;
        auto written =
            co_await asio::async_write(between->client, asio::buffer(part, std::get<1>(read)),
                                       asio::as_tuple(asio::use_awaitable));
        if (std::get<0>(written))
            break;
    }
    between->cut();
}
