// What a hostile peer can send, or not send: each time the server answers with a refusal or closes,
// and goes on to serve others.
#include "support.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

BOOST_AUTO_TEST_SUITE(http_server_hostile)

using namespace http_test;
using namespace std::string_literals;
namespace http = pawl::http;

namespace {

/// What others see of the server: it answers them.
asio::awaitable<void> serves_others(http::server& server)
{
    auto other = co_await peer::connect(server.port());
    const auto got = co_await other.ask(get("/other"));
    BOOST_TEST(got.status == 200);
}

struct attack {
    std::string bytes;
    int status; ///< of the only answer; 0: it closes without one
};

std::vector<attack> attacks()
{
    const std::string post = "POST /a HTTP/1.1\r\nHost: h\r\n";
    const std::string coded = post + "Transfer-Encoding: chunked\r\n\r\n";
    const std::string smuggled = get("/smuggled");
    return {
        // Two readers could see two requests here: the answer is one, and the connection ends.
        {post + "Content-Length: 0\r\nContent-Length: 4\r\n\r\n" + smuggled, 400},
        {post + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled, 400},
        {post + "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + smuggled, 400},
        {post + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + smuggled, 501},
        {post + "Transfer-Encoding: identity\r\nContent-Length: 3\r\n\r\nabc" + smuggled, 501},
        {post + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + smuggled, 400},
        {post +
             "Transfer-Encoding:\x0b"
             "chunked\r\n\r\n0\r\n\r\n" +
             smuggled,
         400},
        {post + "Transfer-Encoding: chunked\r\n folded\r\n\r\n0\r\n\r\n" + smuggled, 400},
        {post + "X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled, 400},
        {post + "X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled, 400},
        {post + "Content-Length: +3\r\n\r\nabc" + smuggled, 400},
        {post + "Content-Length: 3 3\r\n\r\nabc" + smuggled, 400},
        {post + "Content-Length: 3, 3\r\n\r\nabc" + smuggled, 400},
        {post + "Content-Length: 0x3\r\n\r\nabc" + smuggled, 400},
        {post + "Content-Length: 18446744073709551619\r\n\r\nabc" + smuggled, 400},
        {coded + "+1\r\na\r\n0\r\n\r\n" + smuggled, 400},
        {coded + "-1\r\na\r\n0\r\n\r\n" + smuggled, 400},
        {coded + "0x1\r\na\r\n0\r\n\r\n" + smuggled, 400},
        {coded + " 1\r\na\r\n0\r\n\r\n" + smuggled, 400},
        {coded + "1\na\r\n0\r\n\r\n" + smuggled, 400},
        {coded + "1;x\na\r\n0\r\n\r\n" + smuggled, 400},
        {coded + "1;x=\"\r\na\r\n0\r\n\r\n" + smuggled, 0}, // a string that never ends
        {coded + "1;x=\"\r\na\r\n0\r\n\r\n\"\r\na\r\n0\r\n\r\n" + smuggled, 400},
        {coded + "1\r\nab\r\n0\r\n\r\n" + smuggled, 400},
        {coded + "1\r\na0\r\n\r\n" + smuggled, 400},
        {coded + "\r\n" + smuggled, 400},
        {coded + "fffffffffffffffff\r\n", 400},
        {coded + "ffffffffffffffff\r\n", 413},
        {coded + "0\r\nX : y\r\n\r\n" + smuggled, 400},
        {coded + "0\r\nX: y\n\r\n" + smuggled, 400},

        // Request lines.
        {"get /a HTTP/1.1\r\nHost: h\r\n\r\n", 405},
        {"GET\t/a\tHTTP/1.1\r\nHost: h\r\n\r\n", 400},
        {"GET /a  HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        {"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        {"GET /a HTTP/1.1 \r\nHost: h\r\n\r\n", 400},
        {"GET /a HTTP/1.9\r\nHost: h\r\n\r\n", 400},
        {"GET /a HTTP/01.1\r\nHost: h\r\n\r\n", 400},
        {"GET /a http/1.1\r\nHost: h\r\n\r\n", 400},
        {"GET http://user@elsewhere/a HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        {"CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        {"GET * HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        {std::string(20'000, 'G'), 431},
        {"\x16\x03\x01\x02", 400},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400},

        // Paths are decoded once, and never walked.
        {"GET /%2e%2e HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", 200},
        {"GET /%252e%252e HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", 200},
        {"GET /../../etc/passwd HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", 404},
        {"GET /%2e%2e/a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", 404},
        {"GET /a%00 HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        {"GET /a%0 HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        {"GET /%c0%af HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        {"GET /%ff HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        {"GET /\xff HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        {"GET /a?b=%ed%a0%80 HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        {"GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        {"GET /" + std::string(16 * 1024, 'a') + " HTTP/1.1\r\nHost: h\r\n\r\n", 431},

        // Headers.
        {"GET /a HTTP/1.1\r\nHost: h\r\n: x\r\n\r\n", 400},
        {"GET /a HTTP/1.1\r\nHost: h\r\nA\r\n\r\n", 400},
        {"GET /a HTTP/1.1\r\nHost: h\r\nA\xe4: x\r\n\r\n", 400},
        {"GET /a HTTP/1.1\r\nHost: h\r\nA: x\0y\r\n\r\n"s, 400},
        {"GET /a HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n", 400},
        {"GET /a HTTP/1.1\r\n\r\n", 400},
        {"GET /a HTTP/1.1\r\n Host: h\r\n\r\n", 400},

        // Cut short: the peer has finished sending, so nothing is owed to it.
        {"GET /a HTTP/1.1\r\nHost", 0},
        {post + "Content-Length: 10\r\n\r\nabc", 0},
        {coded + "5\r\nab", 0},
    };
}

asio::awaitable<void> refuses(http::server& server)
{
    for (const auto& [bytes, status] : attacks()) {
        BOOST_TEST_MESSAGE(bytes.substr(0, 200));
        auto attacker = co_await peer::connect(server.port());
        co_await attacker.send(bytes);
        attacker.socket.shutdown(tcp::socket::shutdown_send);
        const auto got = co_await attacker.receive();
        BOOST_TEST(got.status == status,
                   got.status << " and not " << status << " to " << bytes.substr(0, 200));
        if (got.status != 0) { // else the end of the connection has been read
            const auto rest = co_await attacker.rest();
            BOOST_TEST(rest == "", bytes.substr(0, 200));
        }
        co_await serves_others(server);
    }
}

/// Many requests at once, whose answers are read afterwards.
asio::awaitable<void> flood(http::server& server)
{
    constexpr int requests = 3000;
    std::string all;
    for (int i = 0; i < requests; ++i)
        all += get("/" + std::to_string(i));
    auto attacker = co_await peer::connect(server.port());
    co_await attacker.send(all);
    for (int i = 0; i < requests; ++i) {
        const auto got = co_await attacker.receive();
        BOOST_TEST_REQUIRE(got.body == "GET /" + std::to_string(i) + " any=" + std::to_string(i));
    }
}

asio::awaitable<void> send_for_ever(peer& attacker, bool& ended)
{
    std::string many;
    for (int i = 0; i < 1000; ++i)
        many += get("/a");
    boost::system::error_code error;
    while (!error) {
        const auto result = co_await asio::async_write(attacker.socket, asio::buffer(many),
                                                       asio::as_tuple(asio::use_awaitable));
        error = std::get<0>(result);
    }
    ended = true;
}

/// Requests without end whose answers nobody reads: the connection is closed, and its memory is
/// what the socket's buffers hold.
asio::awaitable<void> flood_without_reading(http::server& server)
{
    auto attacker = co_await peer::connect(server.port());
    bool ended = false;
    std::exception_ptr escaped;
    asio::co_spawn(attacker.socket.get_executor(), send_for_ever(attacker, ended),
                   [&escaped](std::exception_ptr e) { escaped = e; });
    while (!ended && !escaped)
        co_await serves_others(server);
    BOOST_TEST(ended);
}

asio::awaitable<void> many_headers(http::server& server)
{
    std::string headers;
    for (int i = 0; i < 3000; ++i)
        headers += "a:\r\n";
    auto attacker = co_await peer::connect(server.port());
    auto got = co_await attacker.ask(get("/a", headers));
    BOOST_TEST(got.status == 200);
    got = co_await attacker.ask(get("/a", headers + headers));
    BOOST_TEST(got.status == 431);
}

/// As many as the process may have, both ends being here; 10,000 at most.
std::size_t many()
{
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    return std::min<std::size_t>(10'000, (limit.rlim_cur - 200) / 2);
}

asio::awaitable<void> hold(std::vector<peer>& held, http::server& server, std::size_t count,
                           std::string_view bytes)
{
    for (std::size_t i = 0; i < count; ++i) {
        auto next = co_await peer::connect(server.port());
        co_await next.send(std::string(bytes));
        held.push_back(std::move(next));
    }
}

asio::awaitable<void> idle_beside_others(http::server& server, std::size_t count)
{
    std::vector<peer> held;
    held.reserve(count);
    co_await hold(held, server, count, "");
    for (int i = 0; i < 20; ++i)
        co_await serves_others(server);
    // Those who were let in are served, too, if they have something to say after all.
    const auto got = co_await held.back().ask(get("/late"));
    BOOST_TEST(got.status == 200);
}

/// More than may be there at a time: those who say nothing make room for those who do.
asio::awaitable<void> idle_in_every_place(http::server& server, std::size_t count)
{
    std::vector<peer> held;
    held.reserve(2 * count);
    co_await hold(held, server, 2 * count, "");
    for (int i = 0; i < 20; ++i)
        co_await serves_others(server);
}

/// Half a request in every place: the time limit ends them, and the others come in.
asio::awaitable<void> slow_in_every_place(http::server& server, std::size_t count)
{
    std::vector<peer> held;
    held.reserve(count);
    co_await hold(held, server, count, "GET /a HTTP/1.1\r\nHo");
    for (int i = 0; i < 3; ++i)
        co_await serves_others(server);
}

} // namespace

BOOST_AUTO_TEST_CASE(what_is_malformed_or_ambiguous_is_refused_once)
{
    serve(echo_routes(), {}, refuses);
}

BOOST_AUTO_TEST_CASE(a_flood_of_pipelined_requests_is_answered_in_order)
{
    serve(echo_routes(), {}, flood);
}

BOOST_AUTO_TEST_CASE(a_flood_whose_answers_nobody_reads_is_given_up)
{
    serve(echo_routes(), {.write_timeout = 50ms}, flood_without_reading);
}

BOOST_AUTO_TEST_CASE(headers_are_limited_by_their_size)
{
    serve(echo_routes(), {}, many_headers);
}

BOOST_AUTO_TEST_CASE(thousands_of_idle_connections_disturb_nobody)
{
    const auto count = many();
    BOOST_TEST_MESSAGE(count << " connections");
    serve(echo_routes(), {}, [count](http::server& server) {
        return idle_beside_others(server, std::min<std::size_t>(count, 9'900));
    });
}

BOOST_AUTO_TEST_CASE(idle_connections_in_every_place_keep_nobody_out)
{
    serve(echo_routes(), {.max_connections = 50, .crowded_idle_timeout = 1ms},
          [](http::server& server) { return idle_in_every_place(server, 50); });
}

BOOST_AUTO_TEST_CASE(slow_requests_in_every_place_keep_nobody_out_for_long)
{
    serve(echo_routes(), {.read_timeout = 50ms, .max_connections = 20, .crowded_idle_timeout = 1ms},
          [](http::server& server) { return slow_in_every_place(server, 20); });
}

BOOST_AUTO_TEST_SUITE_END()
