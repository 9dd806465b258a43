#include "postgres/proxy.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <chrono>
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
    : acceptor_(context_, tcp::endpoint{asio::ip::address_v4::loopback(), 0}),
      port_(acceptor_.local_endpoint().port()),
      changed_(context_, asio::steady_timer::time_point::max()), socket_(std::move(socket))
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

void proxy::lead_to(std::string socket)
{
    const std::lock_guard lock{mutex_};
    socket_ = std::move(socket);
}

std::string proxy::target()
{
    const std::lock_guard lock{mutex_};
    return socket_;
}

asio::awaitable<void> proxy::accept()
{
    for (;;) {
        auto client = co_await acceptor_.async_accept(asio::use_awaitable);
        count_connection();
        asio::local::stream_protocol::socket server{context_};
        auto connected = co_await server.async_connect(
            asio::local::stream_protocol::endpoint{target()}, asio::as_tuple(asio::use_awaitable));
        if (std::get<0>(connected))
            continue; // and the client's connection is closed
        auto between = std::make_shared<link>(link{std::move(client), std::move(server), false});
        if (is(state::cut)) {
            between->cut();
            continue;
        }
        std::erase_if(links_, [](const auto& each) { return each.expired(); });
        links_.push_back(between);
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

void proxy::hold_from(std::string text)
{
    const std::lock_guard lock{mutex_};
    held_request_ = std::move(text);
}

void proxy::hold()
{
    become(state::held);
}

void proxy::count_connection()
{
    const std::lock_guard lock{mutex_};
    ++connections_;
}

int proxy::connections()
{
    const std::lock_guard lock{mutex_};
    return connections_;
}

bool proxy::wait_until_held()
{
    std::unique_lock lock{mutex_};
    return held_.wait_for(lock, std::chrono::minutes{1}, [this] { return state_ == state::held; });
}

void proxy::cut()
{
    become(state::cut);
    asio::post(context_, [this] {
        for (const auto& each : links_)
            if (const auto between = each.lock())
                between->cut();
    });
}

void proxy::refuse()
{
    become(state::cut);
}

void proxy::heal()
{
    become(state::sound);
}

void proxy::become(state next)
{
    {
        const std::lock_guard lock{mutex_};
        state_ = next;
    }
    held_.notify_all();
    asio::post(context_, [this] { changed_.cancel(); });
}

bool proxy::is(state wanted)
{
    const std::lock_guard lock{mutex_};
    return state_ == wanted;
}

asio::awaitable<void> proxy::until_not_held()
{
    while (is(state::held))
        co_await changed_.async_wait(asio::as_tuple(asio::use_awaitable));
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
        if (is_met(held_request_, request))
            become(state::held);
        co_await until_not_held();
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
        co_await until_not_held();
        auto written =
            co_await asio::async_write(between->client, asio::buffer(part, std::get<1>(read)),
                                       asio::as_tuple(asio::use_awaitable));
        if (std::get<0>(written))
            break;
    }
    between->cut();
}
