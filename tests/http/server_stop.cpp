// Stopping the server: idle connections at once, busy ones until the deadline, then handlers are
// cancelled; on one thread and on several.
#include "support.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>

#include <atomic>

BOOST_AUTO_TEST_SUITE(http_server_stop)

using namespace http_test;
namespace http = pawl::http;

namespace {

constexpr auto forever = std::chrono::hours{24};

/// Handlers that wait until they are released or cancelled.
class gate {
public:
    explicit gate(asio::io_context& io)
        : entered_(io, std::chrono::steady_clock::time_point::max()),
          open_(io, std::chrono::steady_clock::time_point::max())
    {
    }

    asio::awaitable<http::response> pass(const http::request&)
    {
        ++inside_;
        entered_.cancel();
        try {
            while (!is_open_)
                co_await open_.async_wait(asio::redirect_error(asio::use_awaitable, ignored_));
        } catch (const boost::system::system_error&) {
            ++cancelled;
            throw;
        }
        co_return http::response{.body = "passed"};
    }

    asio::awaitable<void> wait_for_entry()
    {
        while (inside_ == 0)
            co_await entered_.async_wait(asio::as_tuple(asio::use_awaitable));
    }

    void open()
    {
        is_open_ = true;
        open_.cancel();
    }

    std::vector<http::route> routes()
    {
        return {
            {.method = "GET", .pattern = "/gate", .answer = [this](const http::request& request) {
                 return pass(request);
             }}};
    }

    int cancelled = 0;

private:
    asio::steady_timer entered_;
    asio::steady_timer open_;
    boost::system::error_code ignored_;
    int inside_ = 0;
    bool is_open_ = false;
};

asio::awaitable<void> stop_idle(http::server& server)
{
    auto fresh = co_await peer::connect(server.port());
    auto used = co_await peer::connect(server.port());
    const auto got = co_await used.ask(get("/a"));
    BOOST_TEST(got.status == 200);
    co_await server.async_stop(forever);
    auto rest = co_await used.rest();
    BOOST_TEST(rest == "");
    rest = co_await fresh.rest();
    BOOST_TEST(rest == "");

    tcp::socket late(co_await asio::this_coro::executor);
    const tcp::endpoint there(asio::ip::address_v4::loopback(), server.port());
    const auto refused = co_await late.async_connect(there, asio::as_tuple(asio::use_awaitable));
    BOOST_TEST((std::get<0>(refused) == asio::error::connection_refused));
}

asio::awaitable<void> stop_busy(http::server& server, gate& door)
{
    auto peer = co_await peer::connect(server.port());
    co_await peer.send(get("/gate") + get("/gate"));
    co_await door.wait_for_entry();
    door.open();
    co_await server.async_stop(forever);
    const auto got = co_await peer.receive();
    BOOST_TEST(got.body == "passed");
    BOOST_TEST(got.says("Connection: close\r\n"));
    const auto rest = co_await peer.rest();
    BOOST_TEST(rest == "");
    BOOST_TEST(door.cancelled == 0);
}

asio::awaitable<void> stop_late(http::server& server, gate& door, log_book& book)
{
    auto peer = co_await peer::connect(server.port());
    co_await peer.send(get("/gate"));
    co_await door.wait_for_entry();
    co_await server.async_stop(1ms);
    BOOST_TEST(door.cancelled == 1);
    BOOST_TEST(book.lines().empty());
    const auto rest = co_await peer.rest();
    BOOST_TEST(rest == "");
    co_await server.async_stop(forever);
}

asio::awaitable<http::response> deaf(const http::request&)
{
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    co_await asio::this_coro::throw_if_cancelled(false);
    co_return http::response{};
}

asio::awaitable<void> stop_after_deaf(http::server& server, gate& door)
{
    auto peer = co_await peer::connect(server.port());
    const auto got = co_await peer.ask(get("/deaf"));
    BOOST_TEST(got.status == 200);
    co_await peer.send(get("/gate"));
    co_await door.wait_for_entry();
    co_await server.async_stop(0s);
    BOOST_TEST(door.cancelled == 1);
}

asio::awaitable<void> stop_half_read(http::server& server)
{
    auto peer = co_await peer::connect(server.port());
    const auto first = co_await peer.ask(
        "POST /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    BOOST_TEST(first.status == 100);
    co_await server.async_stop(1ms);
    const auto rest = co_await peer.rest();
    BOOST_TEST(rest == "");
}

asio::awaitable<http::response> answer_at_length(const http::request&)
{
    co_return http::response{.body = std::string(64 * 1024 * 1024, 'x')};
}

/// One peer stops within a header, one stops within a body, one does not read its answer, and one
/// waits for an answer that does not come.
asio::awaitable<void> stop_despite_stuck_peers(http::server& server, gate& door)
{
    auto half_header = co_await peer::connect(server.port());
    co_await half_header.send("GET /a HTT");
    auto half_body = co_await peer::connect(server.port());
    const auto first = co_await half_body.ask(
        "POST /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    BOOST_TEST(first.status == 100);
    auto not_reading = co_await peer::connect(server.port());
    co_await not_reading.send(get("/long"));
    co_await not_reading.socket.async_wait(tcp::socket::wait_read, asio::use_awaitable);
    auto waiting = co_await peer::connect(server.port());
    co_await waiting.send(get("/gate"));
    co_await door.wait_for_entry();
    BOOST_TEST(server.connections() == 4u);
    co_await server.async_stop(1ms);
    BOOST_TEST(server.connections() == 0u);
    BOOST_TEST(door.cancelled == 1);
}

asio::awaitable<void> stop_never_started(http::server& server)
{
    co_await server.async_stop(forever);
    co_await server.async_stop(forever);
    server.start();
    co_await server.async_stop(forever);
}

asio::awaitable<void> ask_until_closed(std::uint16_t port, std::atomic<int>& answered,
                                       std::atomic<int>& wrong)
{
    auto asking = co_await peer::connect(port);
    for (;;) {
        const auto got = co_await asking.ask(get("/a"));
        if (got.status == 0)
            co_return;
        wrong += got.status != 200;
        ++answered;
    }
}

/// Many peers at once on many threads, and a stop in the midst of it.
asio::awaitable<void> stop_under_load(http::server& server, pawl::duration deadline)
{
    constexpr int peers = 16;
    std::atomic<int> answered = 0;
    std::atomic<int> wrong = 0;
    std::atomic<int> left = peers;
    const auto executor = co_await asio::this_coro::executor;
    for (int i = 0; i < peers; ++i)
        asio::co_spawn(asio::make_strand(executor),
                       ask_until_closed(server.port(), answered, wrong),
                       [&left](std::exception_ptr) { --left; });
    while (answered < 2'000)
        co_await asio::post(executor, asio::use_awaitable);
    co_await server.async_stop(deadline);
    while (left > 0)
        co_await asio::post(executor, asio::use_awaitable);
    BOOST_TEST(wrong == 0);
}

} // namespace

BOOST_AUTO_TEST_CASE(idle_connections_are_closed_at_once)
{
    serve(echo_routes(), {}, stop_idle);
}

BOOST_AUTO_TEST_CASE(a_request_under_way_is_answered)
{
    asio::io_context io;
    gate door(io);
    // The second request stays unread, so that the connection lingers; not for long.
    http::server server(io.get_executor(), door.routes(), {.write_timeout = 50ms});
    server.start();
    run(io, stop_busy(server, door));
}

BOOST_AUTO_TEST_CASE(a_handler_is_cancelled_at_the_deadline)
{
    asio::io_context io;
    gate door(io);
    log_book book;
    http::server server(io.get_executor(), door.routes(), {.log = book.sink()});
    server.start();
    run(io, stop_late(server, door, book));
}

BOOST_AUTO_TEST_CASE(a_handler_cannot_make_the_next_one_deaf)
{
    asio::io_context io;
    gate door(io);
    auto routes = door.routes();
    routes.push_back({.method = "GET", .pattern = "/deaf", .answer = deaf});
    http::server server(io.get_executor(), std::move(routes));
    server.start();
    run(io, stop_after_deaf(server, door));
}

BOOST_AUTO_TEST_CASE(a_request_that_never_arrives_does_not_outlast_the_deadline)
{
    serve(echo_routes(), {}, stop_half_read);
}

BOOST_AUTO_TEST_CASE(peers_that_never_finish_do_not_outlast_the_deadline)
{
    asio::io_context io;
    gate door(io);
    auto routes = door.routes();
    for (auto& route : echo_routes())
        routes.push_back(std::move(route));
    routes.push_back({.method = "GET", .pattern = "/long", .answer = answer_at_length});
    // All other limits are far off.
    http::server server(
        io.get_executor(), std::move(routes),
        {.read_timeout = forever, .idle_timeout = forever, .write_timeout = forever});
    server.start();
    run(io, stop_despite_stuck_peers(server, door));
}

BOOST_AUTO_TEST_CASE(before_start_and_again)
{
    asio::io_context io;
    http::server server(io.get_executor(), echo_routes());
    run(io, stop_never_started(server));
}

BOOST_AUTO_TEST_CASE(under_load_on_several_threads)
{
    for (const pawl::duration deadline : {pawl::duration{forever}, pawl::duration{0}})
        serve(
            echo_routes(), {},
            [deadline](http::server& server) { return stop_under_load(server, deadline); }, 4);
}

BOOST_AUTO_TEST_SUITE_END()
