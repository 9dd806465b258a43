// Answers that are sent in parts, and how they end.
#include "support.hpp"

#include "pawl/http/client.hpp"

#include <boost/asio/post.hpp>

#include <stdexcept>

BOOST_AUTO_TEST_SUITE(http_server_stream)

using namespace http_test;
namespace http = pawl::http;

namespace {

constexpr auto forever = std::chrono::hours{24};

asio::awaitable<void> turn()
{
    co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
}

/// What the streams of a test did.
struct stream_log {
    int begun = 0;
    int ended = 0; ///< by whatever
    int aborted = 0;
    std::size_t written = 0; ///< bytes
};

asio::awaitable<void> write_parts(http::body_writer& body)
{
    co_await body.write("one");
    co_await body.write("");
    co_await body.write("sixteen letters.");
}

asio::awaitable<void> write_and_wait(http::body_writer& body, stream_log& log)
{
    ++log.begun;
    co_await body.write("first");
    asio::steady_timer never(co_await asio::this_coro::executor,
                             std::chrono::steady_clock::time_point::max());
    std::exception_ptr failure;
    try {
        co_await never.async_wait(asio::use_awaitable);
    } catch (const boost::system::system_error&) {
        ++log.aborted;
        failure = std::current_exception();
    }
    ++log.ended;
    std::rethrow_exception(failure);
}

asio::awaitable<void> write_without_end(http::body_writer& body, stream_log& log)
{
    ++log.begun;
    std::exception_ptr failure;
    while (!failure) {
        try {
            co_await body.write(std::string(64 * 1024, 'x'));
            log.written += 64 * 1024;
        } catch (const boost::system::system_error& error) {
            log.aborted += error.code() == asio::error::operation_aborted;
            failure = std::current_exception();
        }
    }
    ++log.ended;
    std::rethrow_exception(failure);
}

asio::awaitable<void> write_and_throw(http::body_writer& body)
{
    co_await body.write("first");
    throw std::runtime_error("the source is gone");
}

using stream_function = std::function<asio::awaitable<void>(http::body_writer&)>;

asio::awaitable<http::response> answer_with(stream_function stream)
{
    http::response out;
    out.content_type = "text/plain";
    out.stream = std::move(stream);
    co_return out;
}

std::vector<http::route> routes(stream_function stream, std::size_t max_requests = 0)
{
    auto all = echo_routes();
    all.push_back({.method = "GET",
                   .pattern = "/s/stream",
                   .answer = [stream = std::move(stream)](
                                 const http::request&) { return answer_with(stream); },
                   .max_requests = max_requests});
    return all;
}

asio::awaitable<void> read_chunks(http::server& server)
{
    auto reader = co_await peer::connect(server.port());
    co_await reader.send(get("/s/stream") + get("/a"));
    const auto head = co_await reader.receive(false);
    BOOST_TEST(head.status == 200);
    BOOST_TEST(head.says("Transfer-Encoding: chunked\r\n"));
    BOOST_TEST(!head.says("Content-Length"));
    const std::string body = "3\r\none\r\n10\r\nsixteen letters.\r\n0\r\n\r\n";
    const auto missing = body.size() - std::min(body.size(), reader.unread.size());
    co_await asio::async_read(reader.socket, asio::dynamic_buffer(reader.unread),
                              asio::transfer_at_least(missing), asio::use_awaitable);
    BOOST_TEST(reader.unread.substr(0, body.size()) == body);
    reader.unread.erase(0, body.size());
    const auto next = co_await reader.receive();
    BOOST_TEST(next.body == "GET /a any=a");

    http::client client(co_await asio::this_coro::executor, server.url());
    http::client_request request{.target = "/s/stream"};
    const auto got = co_await client.request(std::move(request));
    BOOST_TEST(got.body == "onesixteen letters.");
}

asio::awaitable<void> read_with_http_1_0(http::server& server)
{
    auto reader = co_await peer::connect(server.port());
    co_await reader.send("GET /s/stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    const auto head = co_await reader.receive(false);
    BOOST_TEST(!head.says("Transfer-Encoding"));
    BOOST_TEST(head.says("Connection: close\r\n"));
    const auto body = co_await reader.rest();
    BOOST_TEST(body == "onesixteen letters.");
}

asio::awaitable<void> ask_for_the_head(http::server& server)
{
    auto reader = co_await peer::connect(server.port());
    co_await reader.send("HEAD /s/stream HTTP/1.1\r\nHost: h\r\n\r\n" + get("/a"));
    const auto head = co_await reader.receive(false);
    BOOST_TEST(head.status == 200);
    const auto next = co_await reader.receive();
    BOOST_TEST(next.body == "GET /a any=a");
}

asio::awaitable<void> leave(http::server& server, stream_log& log, bool with_more_requests)
{
    {
        auto leaving = co_await peer::connect(server.port());
        co_await leaving.send(get("/s/stream"));
        while (leaving.unread.find("first") == std::string::npos)
            co_await asio::async_read(leaving.socket, asio::dynamic_buffer(leaving.unread),
                                      asio::transfer_at_least(1), asio::use_awaitable);
        if (with_more_requests)
            co_await leaving.send(get("/a") + get("/b"));
    }
    while (server.connections() > 0)
        co_await turn();
    BOOST_TEST(log.aborted == 1);
    BOOST_TEST(log.ended == 1);
}

asio::awaitable<void> read_nothing(http::server& server, stream_log& log)
{
    auto reader = co_await peer::connect(server.port());
    co_await reader.send(get("/s/stream"));
    while (log.ended == 0)
        co_await turn();
    while (server.connections() > 0)
        co_await turn();
    BOOST_TEST(log.aborted == 1);
    BOOST_TEST(log.written < 64u * 1024 * 1024);
}

asio::awaitable<void> stop_while_streaming(http::server& server, stream_log& log)
{
    auto reader = co_await peer::connect(server.port());
    co_await reader.send(get("/s/stream"));
    while (log.begun == 0)
        co_await turn();
    co_await server.async_stop(forever);
    BOOST_TEST(log.aborted == 1);
    BOOST_TEST(server.connections() == 0u);
}

asio::awaitable<void> read_until_the_failure(http::server& server)
{
    auto reader = co_await peer::connect(server.port());
    co_await reader.send(get("/s/stream"));
    const auto all = co_await reader.rest();
    BOOST_TEST(all.ends_with("5\r\nfirst\r\n"));
}

asio::awaitable<void> fill_the_route(http::server& server, stream_log& log)
{
    auto first = co_await peer::connect(server.port());
    co_await first.send(get("/s/stream"));
    while (log.begun == 0)
        co_await turn();
    auto second = co_await peer::connect(server.port());
    auto got = co_await second.ask(get("/s/stream"));
    BOOST_TEST(got.status == 503);
    first.socket.close();
    while (log.ended == 0)
        co_await turn();
    co_await turn();
    co_await second.send(get("/s/stream"));
    got = co_await second.receive(false);
    BOOST_TEST(got.status == 200);
}

asio::awaitable<http::response> name_peer(const http::request& request)
{
    co_return http::response{.body = request.peer};
}

asio::awaitable<void> ask_for_the_peer(http::server& server)
{
    auto asking = co_await peer::connect(server.port());
    for (int i = 0; i < 2; ++i) {
        const auto got = co_await asking.ask(get("/peer"));
        BOOST_TEST(got.body == "127.0.0.1");
    }
}

} // namespace

BOOST_AUTO_TEST_CASE(parts_are_chunks_and_the_connection_stays_open)
{
    serve(routes(write_parts), {}, read_chunks);
}

BOOST_AUTO_TEST_CASE(the_end_of_the_connection_ends_a_stream_of_http_1_0)
{
    serve(routes(write_parts), {}, read_with_http_1_0);
}

BOOST_AUTO_TEST_CASE(head_does_not_begin_the_stream)
{
    stream_log log;
    serve(routes([&](http::body_writer& body) { return write_and_wait(body, log); }), {},
          ask_for_the_head);
    BOOST_TEST(log.begun == 0);
}

BOOST_AUTO_TEST_CASE(a_peer_that_leaves_ends_its_stream)
{
    for (const bool with_more_requests : {false, true}) {
        stream_log log;
        log_book book;
        serve(routes([&](http::body_writer& body) { return write_and_wait(body, log); }),
              {.log = book.sink()},
              [&](http::server& server) { return leave(server, log, with_more_requests); });
        BOOST_TEST(book.lines().empty());
    }
}

BOOST_AUTO_TEST_CASE(a_peer_that_does_not_read_is_disconnected)
{
    stream_log log;
    serve(routes([&](http::body_writer& body) { return write_without_end(body, log); }),
          {.write_timeout = 50ms}, [&](http::server& server) { return read_nothing(server, log); });
}

BOOST_AUTO_TEST_CASE(stopping_ends_streams_before_the_deadline)
{
    stream_log log;
    serve(routes([&](http::body_writer& body) { return write_and_wait(body, log); }), {},
          [&](http::server& server) { return stop_while_streaming(server, log); });
}

BOOST_AUTO_TEST_CASE(a_stream_that_fails_is_logged_and_incomplete)
{
    log_book book;
    serve(routes(write_and_throw), {.log = book.sink()}, read_until_the_failure);
    BOOST_TEST_REQUIRE(book.lines().size() == 1u);
    BOOST_TEST(book.lines()[0].find("the source is gone") != std::string::npos, book.lines()[0]);
}

BOOST_AUTO_TEST_CASE(the_limit_of_a_route_counts_streams)
{
    stream_log log;
    serve(routes([&](http::body_writer& body) { return write_and_wait(body, log); }, 1), {},
          [&](http::server& server) { return fill_the_route(server, log); });
}

BOOST_AUTO_TEST_CASE(a_request_names_its_peer)
{
    serve({{.method = "GET", .pattern = "/peer", .answer = name_peer}}, {}, ask_for_the_peer);
}

BOOST_AUTO_TEST_SUITE_END()
