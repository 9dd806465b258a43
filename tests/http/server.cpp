// The server over loopback: answers, keep-alive and pipelining, its own answers for what no handler
// gets to see, failing handlers.
#include "support.hpp"

#include "pawl/error.hpp"

#include <stdexcept>

BOOST_AUTO_TEST_SUITE(http_server)

using namespace http_test;
namespace http = pawl::http;

namespace {

asio::awaitable<void> answers(http::server& server)
{
    auto peer = co_await peer::connect(server.port());
    const auto got = co_await peer.ask(get("/a%20b?x=1"));
    BOOST_TEST(got.status == 200);
    BOOST_TEST(got.says("HTTP/1.1 200 OK\r\n"));
    BOOST_TEST(got.says("Content-Type: text/plain\r\n"));
    BOOST_TEST(got.says(" GMT\r\n"));
    BOOST_TEST(!got.says("Connection:"));
    BOOST_TEST(got.body == "GET /a b any=a b");

    const auto posted = co_await peer.ask(
        "POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n");
    BOOST_TEST(posted.body == "POST /c any=c hi");

    const auto last = co_await peer.ask(get("/d", "Connection: close\r\n"));
    BOOST_TEST(last.body == "GET /d any=d");
    BOOST_TEST(last.says("Connection: close\r\n"));
    const auto rest = co_await peer.rest();
    BOOST_TEST(rest == "");
}

asio::awaitable<void> pipelines(http::server& server)
{
    auto peer = co_await peer::connect(server.port());
    std::string all;
    for (int i = 0; i < 500; ++i)
        all += get("/" + std::to_string(i));
    co_await peer.send(all);
    for (int i = 0; i < 500; ++i) {
        const auto got = co_await peer.receive();
        BOOST_TEST_REQUIRE(got.body == "GET /" + std::to_string(i) + " any=" + std::to_string(i));
    }
}

asio::awaitable<void> old_peers(http::server& server)
{
    auto once = co_await peer::connect(server.port());
    const auto got = co_await once.ask("GET /a HTTP/1.0\r\n\r\n");
    BOOST_TEST(got.status == 200);
    BOOST_TEST(got.says("Connection: close\r\n"));
    const auto rest = co_await once.rest();
    BOOST_TEST(rest == "");

    auto twice = co_await peer::connect(server.port());
    const std::string keep = "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    const auto first = co_await twice.ask(keep);
    BOOST_TEST(first.says("Connection: keep-alive\r\n"));
    const auto second = co_await twice.ask(keep);
    BOOST_TEST(second.status == 200);
}

asio::awaitable<void> own_answers(http::server& server)
{
    auto peer = co_await peer::connect(server.port());
    const auto missing = co_await peer.ask(get("/a/b"));
    BOOST_TEST(missing.status == 404);
    BOOST_TEST(missing.says("application/problem+json"));
    const auto wrong = co_await peer.ask("DELETE /a HTTP/1.1\r\nHost: h\r\n\r\n");
    BOOST_TEST(wrong.status == 405);
    BOOST_TEST(wrong.says("Allow: GET, HEAD, POST\r\n"));

    co_await peer.send("HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n" + get("/b"));
    const auto head = co_await peer.receive(false);
    BOOST_TEST(head.status == 200);
    BOOST_TEST(head.says("Content-Length: 13\r\n"));
    const auto next = co_await peer.receive();
    BOOST_TEST(next.body == "GET /b any=b");
}

asio::awaitable<void> refusals(http::server& server)
{
    const std::vector<std::pair<std::string, int>> cases{
        {"hello\r\n\r\n", 400},
        {"GET /a HTTP/1.1\nHost: h\n\n", 400},
        {"GET /a HTTP/1.1\r\n\r\n", 400},
        {"GET a HTTP/1.1\r\nHost: h\r\n\r\n", 400},
        {get("/a", "A: b\r\n c\r\n"), 400},
        {get("/a", "Content-Length: 1\r\nContent-Length: 2\r\n"), 400},
        {get("/a", "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), 400},
        {get("/a", "Transfer-Encoding: gzip\r\n"), 501},
    };
    for (const auto& [bytes, status] : cases) {
        auto peer = co_await peer::connect(server.port());
        // What follows a request that is not understood is not a request.
        const auto got = co_await peer.ask(bytes + get("/smuggled"));
        BOOST_TEST(got.status == status, bytes);
        BOOST_TEST(got.says("Connection: close\r\n"));
        BOOST_TEST(got.says("application/problem+json"));
        const auto rest = co_await peer.rest();
        BOOST_TEST(rest == "");
    }
}

asio::awaitable<http::response> fail(const http::request&)
{
    throw std::runtime_error("the secret text");
    co_return http::response{};
}

asio::awaitable<http::response> fail_oddly(const http::request&)
{
    throw 7;
    co_return http::response{};
}

asio::awaitable<http::response> smuggle(const http::request& request)
{
    http::response out;
    out.headers.emplace_back("Location", request.query.at("to"));
    co_return out;
}

asio::awaitable<void> ask_failing(http::server& server, log_book& book)
{
    auto peer = co_await peer::connect(server.port());
    for (const char* path : {"/fail?secret", "/odd", "/smuggle?to=%0d%0aX:%20y"}) {
        const auto got = co_await peer.ask(get(path));
        BOOST_TEST(got.status == 500);
        BOOST_TEST(got.body.find("secret") == std::string::npos);
        BOOST_TEST(!got.says("X: y"));
    }
    const auto fine = co_await peer.ask(get("/smuggle?to=/x"));
    BOOST_TEST(fine.says("Location: /x\r\n"));
    BOOST_TEST_REQUIRE(book.lines().size() == 3u);
    BOOST_TEST(book.lines()[0].find("GET /fail failed: the secret text") != std::string::npos);
}

asio::awaitable<void> half_closed(http::server& server)
{
    auto peer = co_await peer::connect(server.port());
    co_await peer.send(get("/a"));
    peer.socket.shutdown(tcp::socket::shutdown_send);
    const auto got = co_await peer.receive();
    BOOST_TEST(got.status == 200);
    const auto rest = co_await peer.rest();
    BOOST_TEST(rest == "");
}

} // namespace

BOOST_AUTO_TEST_CASE(answers_and_keeps_the_connection)
{
    serve(echo_routes(), {}, answers);
}

BOOST_AUTO_TEST_CASE(answers_pipelined_requests_in_order)
{
    serve(echo_routes(), {}, pipelines);
}

BOOST_AUTO_TEST_CASE(honours_http_1_0)
{
    serve(echo_routes(), {}, old_peers);
}

BOOST_AUTO_TEST_CASE(answers_by_itself)
{
    serve(echo_routes(), {}, own_answers);
}

BOOST_AUTO_TEST_CASE(refuses_and_closes)
{
    serve(echo_routes(), {}, refusals);
}

BOOST_AUTO_TEST_CASE(hides_and_logs_what_a_handler_throws)
{
    log_book book;
    serve({{.method = "GET", .pattern = "/fail", .answer = fail},
           {.method = "GET", .pattern = "/odd", .answer = fail_oddly},
           {.method = "GET", .pattern = "/smuggle", .answer = smuggle}},
          {.log = book.sink()},
          [&book](http::server& server) { return ask_failing(server, book); });
}

BOOST_AUTO_TEST_CASE(answers_a_peer_that_has_finished_sending)
{
    serve(echo_routes(), {}, half_closed);
}

BOOST_AUTO_TEST_CASE(urls)
{
    asio::io_context io;
    const http::server server(io.get_executor(), {});
    BOOST_TEST(server.port() != 0);
    BOOST_TEST(server.url() == "http://127.0.0.1:" + std::to_string(server.port()));
}

BOOST_AUTO_TEST_CASE(refuses_to_be_made)
{
    asio::io_context io;
    const http::server taken(io.get_executor(), {});
    const auto make = [&](http::server_options options) {
        http::server(io.get_executor(), {}, std::move(options));
    };
    const auto names_address = [](const pawl::system_error& error) {
        return std::string_view(error.what()).find("127.0.0.1:") != std::string_view::npos;
    };
    BOOST_CHECK_EXCEPTION(make({.port = taken.port()}), pawl::system_error, names_address);
    BOOST_CHECK_THROW(make({.address = "nowhere"}), pawl::system_error);
    BOOST_CHECK_THROW(make({.header_limit = 0}), pawl::definition_error);
    BOOST_CHECK_THROW(make({.read_timeout = 0s}), pawl::definition_error);
    BOOST_CHECK_THROW(make({.idle_timeout = -1s}), pawl::definition_error);
    BOOST_CHECK_THROW(make({.crowded_idle_timeout = 0s}), pawl::definition_error);
    BOOST_CHECK_THROW(make({.write_timeout = 0s}), pawl::definition_error);
    BOOST_CHECK_THROW(make({.max_connections = 0}), pawl::definition_error);
    BOOST_CHECK_THROW(http::server(io.get_executor(), {{.method = "GET", .pattern = "x"}}),
                      pawl::definition_error);
}

BOOST_AUTO_TEST_SUITE_END()
