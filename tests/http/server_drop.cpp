// Handlers that drop their connection: no byte of an answer goes out, nothing is logged, and a
// silent connection ends with its peer or with the server.
#include "support.hpp"

BOOST_AUTO_TEST_SUITE(http_server_drop)

using namespace http_test;
namespace http = pawl::http;
using http::drop_connection;

namespace {

constexpr auto forever = std::chrono::hours{24};

asio::awaitable<http::response> drop(const http::request& request)
{
    throw drop_connection{request.path == "/silent" ? drop_connection::when::peer_has_closed
                                                    : drop_connection::when::now};
    co_return http::response{};
}

asio::awaitable<http::response> fail(const http::request&)
{
    throw std::runtime_error("a text for the log");
    co_return http::response{};
}

std::vector<http::route> routes()
{
    return {{.method = "GET", .pattern = "/fail", .answer = fail},
            {.method = "GET", .pattern = "/now", .answer = drop},
            {.method = "GET", .pattern = "/silent", .answer = drop},
            {.method = "GET", .pattern = "/echo", .answer = echo}};
}

asio::awaitable<void> drop_at_once(http::server& server)
{
    auto peer = co_await peer::connect(server.port());
    const auto before = co_await peer.ask(get("/echo"));
    BOOST_TEST(before.status == 200);
    co_await peer.send(get("/now") + get("/echo"));
    const auto rest = co_await peer.rest();
    BOOST_TEST(rest == "");

    auto other = co_await peer::connect(server.port());
    const auto after = co_await other.ask(get("/echo"));
    BOOST_TEST(after.status == 200);
}

asio::awaitable<void> fail_once(http::server& server)
{
    auto peer = co_await peer::connect(server.port());
    const auto failed = co_await peer.ask(get("/fail"));
    BOOST_TEST(failed.status == 500);
}

asio::awaitable<void> outlive_silence(http::server& server)
{
    auto peer = co_await peer::connect(server.port());
    co_await peer.send(get("/silent") + get("/echo"));
    peer.socket.shutdown(tcp::socket::shutdown_send);
    const auto rest = co_await peer.rest();
    BOOST_TEST(rest == "");
    co_await server.async_stop(forever);
}

asio::awaitable<void> stop_silence(http::server& server)
{
    auto peer = co_await peer::connect(server.port());
    co_await peer.send(get("/silent"));
    auto other = co_await peer::connect(server.port());
    const auto meanwhile = co_await other.ask(get("/echo"));
    BOOST_TEST(meanwhile.status == 200);
    co_await server.async_stop(0s);
    const auto rest = co_await peer.rest();
    BOOST_TEST(rest == "");
}

void run_with(const server_test& body)
{
    log_book book;
    http::server_options options;
    options.log = book.sink();
    serve(routes(), options, body);
    BOOST_TEST(book.lines().empty());
}

} // namespace

BOOST_AUTO_TEST_CASE(a_server_without_a_log_says_nothing)
{
    http::server_options options;
    options.log = {};
    serve(routes(), options, fail_once);
}

BOOST_AUTO_TEST_CASE(drops_at_once)
{
    run_with(drop_at_once);
}

BOOST_AUTO_TEST_CASE(keeps_silent_until_the_peer_closes)
{
    run_with(outlive_silence);
}

BOOST_AUTO_TEST_CASE(keeps_silent_until_the_server_stops)
{
    run_with(stop_silence);
}

BOOST_AUTO_TEST_SUITE_END()
