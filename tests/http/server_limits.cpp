// Limits of the server: sizes, times, connections, descriptors. Time limits are short here, and a
// test asserts what happens, not when.
#include "support.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <optional>

BOOST_AUTO_TEST_SUITE(http_server_limits)

using namespace http_test;
namespace http = pawl::http;

namespace {

asio::awaitable<void> sizes(http::server& server)
{
    const std::string post = "POST /a HTTP/1.1\r\nHost: h\r\n";
    const std::vector<std::pair<std::string, int>> cases{
        {get("/a", "X: " + std::string(300, 'x') + "\r\n"), 431},
        {get("/" + std::string(300, 'x')), 431},
        {"GET /" + std::string(300, 'x'), 431},
        // No byte of these bodies is sent: the announcement alone is answered.
        {post + "Content-Length: 101\r\n\r\n", 413},
        {post + "Content-Length: 101\r\nExpect: 100-continue\r\n\r\n", 413},
        {post + "Transfer-Encoding: chunked\r\n\r\n65\r\n", 413},
        {post + "Content-Length: 1\r\nExpect: magic\r\n\r\n", 417},
    };
    for (const auto& [bytes, status] : cases) {
        auto peer = co_await peer::connect(server.port());
        const auto got = co_await peer.ask(bytes);
        BOOST_TEST(got.status == status, bytes);
        BOOST_TEST(got.says("Connection: close\r\n"));
        peer.socket.shutdown(tcp::socket::shutdown_send);
        const auto rest = co_await peer.rest();
        BOOST_TEST(rest == "");
    }
    auto peer = co_await peer::connect(server.port());
    const auto got =
        co_await peer.ask(post + "Content-Length: 100\r\n\r\n" + std::string(100, 'x'));
    BOOST_TEST(got.status == 200);
}

/// The answer arrives although the peer sends a lot that is never read.
asio::awaitable<void> refused_while_sending(http::server& server)
{
    auto peer = co_await peer::connect(server.port());
    co_await peer.send("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 300000\r\n\r\n");
    co_await peer.send(std::string(300'000, 'x'));
    const auto got = co_await peer.receive();
    BOOST_TEST(got.status == 413);
}

asio::awaitable<void> continues(http::server& server)
{
    auto peer = co_await peer::connect(server.port());
    const auto go_on = co_await peer.ask(
        "POST /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    BOOST_TEST(go_on.status == 100);
    const auto got = co_await peer.ask("hi");
    BOOST_TEST(got.body == "POST /a any=a hi");
}

asio::awaitable<void> half_sent(http::server& server)
{
    for (const char* bytes :
         {"G", "GET /a HTTP/1.1\r\nHos",
          "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab",
          "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"}) {
        auto peer = co_await peer::connect(server.port());
        const auto got = co_await peer.ask(bytes);
        BOOST_TEST(got.status == 408, bytes);
        BOOST_TEST(got.says("Connection: close\r\n"));
        const auto rest = co_await peer.rest();
        BOOST_TEST(rest == "");
    }
    // The limit holds for a later request of a connection, too.
    auto peer = co_await peer::connect(server.port());
    const auto first = co_await peer.ask(get("/a") + "GET /b");
    BOOST_TEST(first.status == 200);
    const auto second = co_await peer.receive();
    BOOST_TEST(second.status == 408);
}

/// A peer that sends a byte now and then does not win more time.
asio::awaitable<void> trickle(http::server& server)
{
    auto peer = co_await peer::connect(server.port());
    peer.socket.set_option(tcp::no_delay(true));
    asio::steady_timer pace(co_await asio::this_coro::executor);
    answer got;
    co_await peer.send("GET /");
    while (peer.socket.available() == 0) {
        co_await peer.send("x");
        pace.expires_after(1ms);
        co_await pace.async_wait(asio::use_awaitable);
    }
    got = co_await peer.receive();
    BOOST_TEST(got.status == 408);
}

asio::awaitable<void> idle(http::server& server)
{
    auto silent = co_await peer::connect(server.port());
    auto nothing = co_await silent.rest();
    BOOST_TEST(nothing == "");

    auto once = co_await peer::connect(server.port());
    const auto got = co_await once.ask(get("/a"));
    BOOST_TEST(got.status == 200);
    nothing = co_await once.rest();
    BOOST_TEST(nothing == "");
}

asio::awaitable<void> slow_beside_fast(http::server& server)
{
    auto slow = co_await peer::connect(server.port());
    co_await slow.send("POST /slow HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nha");
    for (int i = 0; i < 20; ++i) {
        auto fast = co_await peer::connect(server.port());
        const auto got = co_await fast.ask(get("/fast"));
        BOOST_TEST(got.body == "GET /fast any=fast");
    }
    const auto got = co_await slow.ask("lf");
    BOOST_TEST(got.body == "POST /slow any=slow half");
}

constexpr std::size_t large = 64 * 1024 * 1024;

asio::awaitable<http::response> much(const http::request&)
{
    http::response out;
    out.body.assign(large, 'x');
    co_return out;
}

asio::awaitable<void> slow_reader(http::server& server)
{
    auto peer = co_await peer::connect(server.port());
    co_await peer.send(get("/much"));
    const auto head = co_await peer.receive(false);
    BOOST_TEST(head.status == 200);
    // Ends only because the connection does, and that it does only by its limit.
    co_await server.async_stop(std::chrono::hours{1});
    const auto rest = co_await peer.rest();
    BOOST_TEST(rest.size() < large);
}

asio::awaitable<void> ask_once(peer& asking, std::optional<answer>& got)
{
    got = co_await asking.ask(get("/waiting"));
}

asio::awaitable<void> one_connection(http::server& server)
{
    auto first = co_await peer::connect(server.port());
    auto got = co_await first.ask(get("/a"));
    BOOST_TEST(got.status == 200);

    auto second = co_await peer::connect(server.port());
    std::optional<answer> waiting;
    asio::steady_timer answered(co_await asio::this_coro::executor,
                                std::chrono::steady_clock::time_point::max());
    std::exception_ptr escaped;
    asio::co_spawn(answered.get_executor(), ask_once(second, waiting), [&](std::exception_ptr e) {
        escaped = e;
        answered.cancel();
    });
    for (int i = 0; i < 50; ++i) {
        got = co_await first.ask(get("/a"));
        BOOST_TEST(got.status == 200);
    }
    BOOST_TEST(!waiting.has_value());
    first.socket.close();
    while (!waiting && !escaped)
        co_await answered.async_wait(asio::as_tuple(asio::use_awaitable));
    BOOST_TEST_REQUIRE(waiting.has_value());
    BOOST_TEST(waiting->status == 200);
}

/// Neither a silent peer nor one that has sent a half of a request keeps others out.
asio::awaitable<void> silent_peers(http::server& server)
{
    auto silent = co_await peer::connect(server.port());
    auto half = co_await peer::connect(server.port());
    co_await half.send("GET /a HTTP/1.1\r\nHos");
    for (int i = 0; i < 5; ++i) {
        auto next = co_await peer::connect(server.port());
        const auto got = co_await next.ask(get("/a"));
        BOOST_TEST(got.status == 200);
    }
    const auto rest = co_await silent.rest();
    BOOST_TEST(rest == "");
    const auto refused = co_await half.receive();
    BOOST_TEST(refused.status == 408);
}

/// The limit on descriptors, such that none is left while this lives.
class no_descriptors {
public:
    no_descriptors()
    {
        getrlimit(RLIMIT_NOFILE, &before_);
        const int lowest_free = dup(0);
        close(lowest_free);
        auto none = before_;
        none.rlim_cur = static_cast<rlim_t>(lowest_free);
        setrlimit(RLIMIT_NOFILE, &none);
    }
    ~no_descriptors() { setrlimit(RLIMIT_NOFILE, &before_); }
    no_descriptors(const no_descriptors&) = delete;
    no_descriptors& operator=(const no_descriptors&) = delete;

private:
    rlimit before_{};
};

asio::awaitable<void> out_of_descriptors(http::server& server, log_book& book)
{
    tcp::socket socket(co_await asio::this_coro::executor, tcp::v4());
    asio::steady_timer logged(socket.get_executor(), std::chrono::steady_clock::time_point::max());
    book.on_line = [&logged] {
        logged.cancel();
    };
    {
        const no_descriptors none;
        const tcp::endpoint there(asio::ip::address_v4::loopback(), server.port());
        co_await socket.async_connect(there, asio::use_awaitable);
        while (book.lines().empty())
            co_await logged.async_wait(asio::as_tuple(asio::use_awaitable));
    }
    peer waiting(std::move(socket));
    const auto got = co_await waiting.ask(get("/a"));
    BOOST_TEST(got.status == 200);
    BOOST_TEST_REQUIRE(book.lines().size() == 1u);
    BOOST_TEST(book.lines()[0].find("cannot accept") != std::string::npos);
}

asio::awaitable<void> idle_beside_no_descriptors(http::server& server)
{
    auto idle = co_await peer::connect(server.port());
    auto got = co_await idle.ask(get("/a"));
    BOOST_TEST(got.status == 200);

    tcp::socket socket(co_await asio::this_coro::executor, tcp::v4());
    const no_descriptors none;
    const tcp::endpoint there(asio::ip::address_v4::loopback(), server.port());
    co_await socket.async_connect(there, asio::use_awaitable);
    peer waiting(std::move(socket));
    got = co_await waiting.ask(get("/a"));
    BOOST_TEST(got.status == 200);
    const auto rest = co_await idle.rest();
    BOOST_TEST(rest == "");
}

} // namespace

BOOST_AUTO_TEST_CASE(sizes_of_headers_and_bodies)
{
    serve(echo_routes(), {.body_limit = 100, .header_limit = 256}, sizes);
}

BOOST_AUTO_TEST_CASE(a_refusal_is_readable_while_the_body_is_still_sent)
{
    serve(echo_routes(), {.body_limit = 100}, refused_while_sending);
}

BOOST_AUTO_TEST_CASE(expect_100_continue)
{
    serve(echo_routes(), {}, continues);
}

BOOST_AUTO_TEST_CASE(a_half_sent_request_is_answered_408)
{
    serve(echo_routes(), {.read_timeout = 30ms}, half_sent);
}

BOOST_AUTO_TEST_CASE(a_trickled_request_is_answered_408)
{
    serve(echo_routes(), {.read_timeout = 30ms}, trickle);
}

BOOST_AUTO_TEST_CASE(an_idle_connection_is_closed_without_an_answer)
{
    serve(echo_routes(), {.idle_timeout = 30ms}, idle);
}

BOOST_AUTO_TEST_CASE(a_slow_sender_disturbs_nobody)
{
    serve(echo_routes(), {}, slow_beside_fast);
}

BOOST_AUTO_TEST_CASE(a_slow_reader_is_given_up)
{
    serve({{.method = "GET", .pattern = "/much", .answer = much}}, {.write_timeout = 50ms},
          slow_reader);
}

BOOST_AUTO_TEST_CASE(connections_past_the_limit_wait)
{
    serve(echo_routes(), {.max_connections = 1, .crowded_idle_timeout = 1h}, one_connection);
}

BOOST_AUTO_TEST_CASE(silent_peers_make_room)
{
    serve(
        echo_routes(),
        {.read_timeout = 1h, .idle_timeout = 1h, .max_connections = 1, .crowded_idle_timeout = 1ms},
        silent_peers);
}

BOOST_AUTO_TEST_CASE(accepting_goes_on_when_descriptors_ran_out)
{
    log_book book;
    serve(echo_routes(), {.log = book.sink()},
          [&book](http::server& server) { return out_of_descriptors(server, book); });
}

BOOST_AUTO_TEST_CASE(an_idle_connection_ends_when_descriptors_ran_out)
{
    log_book book;
    serve(echo_routes(), {.crowded_idle_timeout = 1ms, .log = book.sink()},
          idle_beside_no_descriptors);
}

BOOST_AUTO_TEST_SUITE_END()
