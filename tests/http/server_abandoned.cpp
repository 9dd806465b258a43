// Peers that leave while their request is answered: the handler is cancelled, the connection and
// its descriptor come back, and the server serves on.
#include "support.hpp"

#include <boost/asio/post.hpp>

#include <sys/resource.h>

#include <algorithm>
#include <deque>

using namespace http_test;
namespace http = pawl::http;

BOOST_AUTO_TEST_SUITE(http_server_abandoned)

namespace {

/// A handler that waits until it is cancelled, and counts.
struct waiting_room {
    int entered = 0;
    int cancelled = 0;

    asio::awaitable<http::response> wait(const http::request&)
    {
        ++entered;
        asio::steady_timer never(co_await asio::this_coro::executor,
                                 std::chrono::steady_clock::time_point::max());
        const auto ended = co_await never.async_wait(asio::as_tuple(asio::use_awaitable));
        if (std::get<0>(ended) == asio::error::operation_aborted)
            ++cancelled;
        co_return http::response{};
    }

    std::vector<http::route> routes(std::size_t max_requests = 0)
    {
        auto all = echo_routes();
        all.push_back({.method = "GET",
                       .pattern = "/x/wait",
                       .answer = [this](const http::request& asked) { return wait(asked); },
                       .max_requests = max_requests});
        return all;
    }
};

asio::awaitable<void> turn()
{
    co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
}

asio::awaitable<void> wait_for_none(http::server& server)
{
    while (server.connections() > 0)
        co_await turn();
}

/// As many as the test's own descriptors allow: each needs one on either side, for a moment.
int many_peers()
{
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    return static_cast<int>(std::clamp<rlim_t>(limit.rlim_cur / 2, 200, 2'100)) - 100;
}

asio::awaitable<void> leave_many(http::server& server, waiting_room& room)
{
    const int many = many_peers();
    {
        std::deque<peer> peers;
        for (int i = 0; i < many; ++i) {
            peers.push_back(co_await peer::connect(server.port()));
            co_await peers.back().send(get("/x/wait"));
        }
        while (room.entered < many)
            co_await turn();
        BOOST_TEST(server.connections() == static_cast<std::size_t>(many));
    }
    co_await wait_for_none(server);
    BOOST_TEST(room.cancelled == many);
    auto next = co_await peer::connect(server.port());
    const auto got = co_await next.ask(get("/a"));
    BOOST_TEST(got.status == 200);
}

enum class farewell { closes, resets, closes_one_side, leaves_more_requests, leaves_too_many };

asio::awaitable<void> leave(http::server& server, waiting_room& room, farewell how)
{
    auto leaving = co_await peer::connect(server.port());
    co_await leaving.send(get("/x/wait"));
    while (room.entered == 0)
        co_await turn();
    switch (how) {
    case farewell::closes:
        break;
    case farewell::resets:
        leaving.socket.set_option(tcp::socket::linger(true, 0));
        break;
    case farewell::closes_one_side:
        leaving.socket.shutdown(tcp::socket::shutdown_send);
        break;
    case farewell::leaves_more_requests:
        co_await leaving.send(get("/a") + get("/b"));
        break;
    case farewell::leaves_too_many:
        co_await leaving.send(get("/a", "X: " + std::string(100'000, 'x') + "\r\n"));
        break;
    }
    if (how != farewell::closes_one_side)
        leaving.socket.close();
    co_await wait_for_none(server);
    BOOST_TEST(room.entered == 1);
    BOOST_TEST(room.cancelled == 1);
    if (how == farewell::closes_one_side) {
        const auto rest = co_await leaving.rest();
        BOOST_TEST(rest == "");
    }
}

/// Requests that come while another one is answered are kept, and answered in order.
asio::awaitable<void> ask_early(http::server& server, asio::steady_timer& door, int& entered)
{
    auto asking = co_await peer::connect(server.port());
    co_await asking.send(get("/x/door"));
    while (entered == 0)
        co_await turn();
    std::string more;
    for (int i = 0; i < 1'000; ++i)
        more += get("/" + std::to_string(i));
    co_await asking.send(more);
    for (int i = 0; i < 100; ++i)
        co_await turn();
    door.cancel();
    const auto first = co_await asking.receive();
    BOOST_TEST(first.body == "open");
    for (int i = 0; i < 1'000; ++i) {
        const auto got = co_await asking.receive();
        BOOST_TEST_REQUIRE(got.body == "GET /" + std::to_string(i) + " any=" + std::to_string(i));
    }
}

asio::awaitable<http::response> pass(asio::steady_timer& door, int& entered)
{
    ++entered;
    co_await door.async_wait(asio::as_tuple(asio::use_awaitable));
    co_return http::response{.body = "open"};
}

asio::awaitable<void> crowd(http::server& server, waiting_room& room)
{
    auto first = co_await peer::connect(server.port());
    co_await first.send(get("/x/wait"));
    auto second = co_await peer::connect(server.port());
    co_await second.send(get("/x/wait"));
    while (room.entered < 2)
        co_await turn();

    auto third = co_await peer::connect(server.port());
    auto got = co_await third.ask(get("/x/wait"));
    BOOST_TEST(got.status == 503);
    BOOST_TEST(got.says("Retry-After: 1\r\n"));
    got = co_await third.ask(get("/a"));
    BOOST_TEST(got.status == 200);

    // A place that is left is free again.
    first.socket.close();
    while (room.cancelled == 0)
        co_await turn();
    co_await third.send(get("/x/wait"));
    while (room.entered < 3)
        co_await turn();
}

void leave(farewell how)
{
    waiting_room room;
    log_book book;
    serve(room.routes(), {.log = book.sink()},
          [&](http::server& server) { return leave(server, room, how); });
    BOOST_TEST(book.lines().empty());
}

} // namespace

BOOST_AUTO_TEST_CASE(many_abandoned_requests_end)
{
    waiting_room room;
    serve(room.routes(), {}, [&](http::server& server) { return leave_many(server, room); });
}

BOOST_AUTO_TEST_CASE(a_peer_that_closes_ends_its_request)
{
    leave(farewell::closes);
}

BOOST_AUTO_TEST_CASE(a_peer_that_resets_ends_its_request)
{
    leave(farewell::resets);
}

BOOST_AUTO_TEST_CASE(a_peer_that_closes_its_sending_side_ends_its_request)
{
    leave(farewell::closes_one_side);
}

BOOST_AUTO_TEST_CASE(the_end_of_a_peer_is_seen_behind_more_requests)
{
    leave(farewell::leaves_more_requests);
}

BOOST_AUTO_TEST_CASE(the_end_of_a_peer_is_seen_behind_more_than_is_read)
{
    leave(farewell::leaves_too_many);
}

BOOST_AUTO_TEST_CASE(requests_that_come_early_are_answered_in_order)
{
    asio::io_context io;
    asio::steady_timer door(io, std::chrono::steady_clock::time_point::max());
    int entered = 0;
    auto routes = echo_routes();
    routes.push_back({.method = "GET", .pattern = "/x/door", .answer = [&](const http::request&) {
                          return pass(door, entered);
                      }});
    http::server server(io.get_executor(), std::move(routes));
    server.start();
    run(io, with_stop(server,
                      [&](http::server& running) { return ask_early(running, door, entered); }));
}

BOOST_AUTO_TEST_CASE(a_route_answers_as_many_requests_as_it_may)
{
    waiting_room room;
    serve(room.routes(2), {}, [&](http::server& server) { return crowd(server, room); });
}

BOOST_AUTO_TEST_SUITE_END()
