// What the client does when its peer misbehaves: which failure it reports, when it sends again, how
// it waits for a connection and for time to pass. The peer is a script on a raw socket.
#include "stage.hpp"

#include <optional>

BOOST_AUTO_TEST_SUITE(http_client_failures)

using namespace http_test;
namespace http = pawl::http;

namespace {

const std::string fine = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

http::client_request post(std::string key = "")
{
    http::client_request what{.method = "POST", .target = "/charge", .body = "x"};
    if (!key.empty())
        what.headers.emplace_back("idempotency-KEY", key);
    return what;
}

/// Answers one request on a new connection, which stays open.
asio::awaitable<peer> warm_up(stage& s)
{
    fate first;
    s.asks.begin(first, {});
    auto other = co_await s.accept();
    const auto head = co_await other.receive_head();
    BOOST_TEST(head.starts_with("GET / HTTP/1.1\r\nHost: 127.0.0.1:"));
    co_await other.send(fine);
    co_await s.asks.wait_for(first);
    BOOST_TEST(first.body == "ok");
    co_return other;
}

asio::awaitable<void> reuses()
{
    stage s(co_await asio::this_coro::executor);
    auto other = co_await warm_up(s);
    for (int i = 0; i < 3; ++i) {
        fate next;
        s.asks.begin(next, {});
        const auto head = co_await other.receive_head();
        BOOST_TEST(head != "");
        co_await other.send(fine);
        co_await s.asks.wait_for(next);
        BOOST_TEST(next.status == 200);
    }
}

/// The peer closed an idle connection: seen before anything is sent, so that even a request that
/// must not be repeated is safe.
asio::awaitable<void> closed_while_idle(std::string bytes_before)
{
    stage s(co_await asio::this_coro::executor);
    auto other = co_await warm_up(s);
    co_await other.send(bytes_before);
    if (bytes_before.empty())
        other.socket.close();
    fate next;
    s.asks.begin(next, post());
    auto again = co_await s.accept();
    const auto head = co_await again.receive_head();
    BOOST_TEST(head.starts_with("POST /charge"));
    co_await again.send(fine);
    co_await s.asks.wait_for(next);
    BOOST_TEST(next.status == 200);
}

/// The peer closes an idle connection just when a request arrives on it.
asio::awaitable<void> closed_under_request(http::client_request what, bool sent_again)
{
    stage s(co_await asio::this_coro::executor);
    auto other = co_await warm_up(s);
    fate next;
    s.asks.begin(next, what);
    const auto head = co_await other.receive_head();
    BOOST_TEST(head.starts_with(what.method));
    other.socket.close();
    if (sent_again) {
        auto again = co_await s.accept();
        const auto repeated = co_await again.receive_head();
        BOOST_TEST(repeated == head);
        co_await again.send(fine);
    }
    co_await s.asks.wait_for(next);
    if (sent_again)
        BOOST_TEST(next.status == 200);
    else
        BOOST_TEST((next.failure == http::failure::ambiguous));
}

/// Once more means once: the second connection is a fresh one, and its end is the end.
asio::awaitable<void> closed_twice()
{
    stage s(co_await asio::this_coro::executor);
    auto other = co_await warm_up(s);
    fate next;
    s.asks.begin(next, {});
    co_await other.receive_head();
    other.socket.close();
    auto again = co_await s.accept();
    co_await again.receive_head();
    again.socket.close();
    co_await s.asks.wait_for(next);
    BOOST_TEST((next.failure == http::failure::ambiguous));
}

asio::awaitable<void> closed_after_reading(std::string answered)
{
    stage s(co_await asio::this_coro::executor);
    fate next;
    s.asks.begin(next, post());
    auto other = co_await s.accept();
    co_await other.receive_head();
    co_await other.send(answered);
    other.socket.close();
    co_await s.asks.wait_for(next);
    BOOST_TEST((next.failure == http::failure::ambiguous), answered);
    BOOST_TEST(next.text.find("POST http://127.0.0.1:") != std::string::npos);
    BOOST_TEST(next.text.find("/charge") != std::string::npos);
}

asio::awaitable<void> nobody_there()
{
    const auto executor = co_await asio::this_coro::executor;
    std::string url;
    {
        const tcp::acceptor closed(executor, {asio::ip::address_v4::loopback(), 0});
        url = "http://127.0.0.1:" + std::to_string(closed.local_endpoint().port());
    }
    http::client client(executor, url);
    const auto got = co_await ask(client, post());
    BOOST_TEST((got.failure == http::failure::not_sent));
    BOOST_TEST(got.text.find("cannot connect") != std::string::npos);
}

/// Time runs out for a request that was sent, and for one that waits for its connection.
asio::awaitable<void> no_answer()
{
    stage s(co_await asio::this_coro::executor,
            {.timeout = 40ms, .max_connections = 1, .place_timeout = 1ms});
    fate sent;
    fate waiting;
    s.asks.begin(sent, post());
    s.asks.begin(waiting, post());
    auto other = co_await s.accept();
    const auto head = co_await other.receive_head();
    BOOST_TEST(head != "");
    co_await s.asks.wait_for(sent);
    co_await s.asks.wait_for(waiting);
    BOOST_TEST((sent.failure == http::failure::ambiguous));
    BOOST_TEST((waiting.failure == http::failure::not_sent));
    BOOST_TEST(waiting.text.find("too long for a connection") != std::string::npos);
    const auto rest = co_await other.rest();
    BOOST_TEST(rest == "x");
}

/// A request whose turn comes late has its whole time; one past the limit does not wait at all.
asio::awaitable<void> late_turn()
{
    stage s(co_await asio::this_coro::executor,
            {.timeout = 500ms, .max_connections = 1, .max_waiting = 1});
    fate first;
    fate second;
    fate third;
    s.asks.begin(first, post());
    s.asks.begin(second, post());
    s.asks.begin(third, post());
    co_await s.asks.wait_for(third);
    BOOST_TEST((third.failure == http::failure::not_sent));
    BOOST_TEST(third.text.find("too many") != std::string::npos, third.text);
    // The first one is not answered and uses up its own time; the second one is then sent.
    auto silent = co_await s.accept();
    co_await silent.receive_head();
    co_await s.asks.wait_for(first);
    BOOST_TEST((first.failure == http::failure::ambiguous));
    auto other = co_await s.accept();
    const auto head = co_await other.receive_head();
    BOOST_TEST(head != "");
    co_await other.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    co_await s.asks.wait_for(second);
    BOOST_TEST(second.status == 200);
}

/// An answer that comes drop by drop does not win more time.
asio::awaitable<void> trickled_answer()
{
    stage s(co_await asio::this_coro::executor, {.timeout = 40ms});
    asio::steady_timer pace(co_await asio::this_coro::executor);
    fate got;
    s.asks.begin(got, {});
    auto other = co_await s.accept();
    co_await other.receive_head();
    co_await other.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
    while (!got.ended) {
        co_await other.send("x");
        pace.expires_after(1ms);
        co_await pace.async_wait(asio::use_awaitable);
    }
    BOOST_TEST((got.failure == http::failure::ambiguous));
}

asio::awaitable<void> in_order()
{
    stage s(co_await asio::this_coro::executor, {.max_connections = 1});
    std::vector<fate> all(5);
    for (std::size_t i = 0; i < all.size(); ++i)
        s.asks.begin(all[i], {.target = "/" + std::to_string(i)});
    auto other = co_await s.accept();
    for (std::size_t i = 0; i < all.size(); ++i) {
        const auto head = co_await other.receive_head();
        BOOST_TEST(head.starts_with("GET /" + std::to_string(i) + " "));
        co_await other.send(fine);
    }
    for (const auto& each : all) {
        co_await s.asks.wait_for(each);
        BOOST_TEST(each.status == 200);
    }
}

/// One request is cancelled while it waits for its answer, one while it waits for its place; the
/// one behind them is served.
asio::awaitable<void> cancelled()
{
    stage s(co_await asio::this_coro::executor, {.max_connections = 1});
    asio::cancellation_signal stop_first;
    asio::cancellation_signal stop_second;
    fate first;
    fate second;
    fate third;
    s.asks.begin(first, post(), stop_first.slot());
    s.asks.begin(second, post(), stop_second.slot());
    s.asks.begin(third, {});
    auto other = co_await s.accept();
    const auto head = co_await other.receive_head();
    BOOST_TEST(head != "");
    stop_second.emit(asio::cancellation_type::terminal);
    co_await s.asks.wait_for(second);
    BOOST_TEST(second.aborted);
    BOOST_TEST(!first.ended);

    stop_first.emit(asio::cancellation_type::terminal);
    co_await s.asks.wait_for(first);
    BOOST_TEST(first.aborted);
    const auto rest = co_await other.rest();
    BOOST_TEST(rest == "x");

    auto fresh = co_await s.accept();
    co_await fresh.receive_head();
    co_await fresh.send(fine);
    co_await s.asks.wait_for(third);
    BOOST_TEST(third.status == 200);
}

/// After this answer the connection must not be used again.
asio::awaitable<void> connects_again_after(std::string answered)
{
    stage s(co_await asio::this_coro::executor);
    for (int i = 0; i < 2; ++i) {
        fate got;
        s.asks.begin(got, {});
        auto other = co_await s.accept();
        co_await other.receive_head();
        co_await other.send(answered);
        co_await s.asks.wait_for(got);
        BOOST_TEST(got.status == 200);
        const auto rest = co_await other.rest();
        BOOST_TEST(rest == "");
    }
}

asio::awaitable<void> expired()
{
    stage s(co_await asio::this_coro::executor, {.idle_timeout = 0s});
    auto first = co_await warm_up(s);
    auto second = co_await warm_up(s);
    const auto rest = co_await first.rest();
    BOOST_TEST(rest == "");
}

/// Destroyed, the client closes what idles, and leaves a request that is under way alone.
asio::awaitable<void> destroyed()
{
    std::optional<stage> s;
    s.emplace(co_await asio::this_coro::executor);
    auto idle = co_await warm_up(*s);
    auto busy_request = s->client.request({.target = "/later"});
    tcp::acceptor acceptor = std::move(s->acceptor);
    s.reset();
    const auto rest = co_await idle.rest();
    BOOST_TEST(rest == "");

    fate got;
    asio::steady_timer ended(acceptor.get_executor(), std::chrono::steady_clock::time_point::max());
    asio::co_spawn(acceptor.get_executor(), std::move(busy_request),
                   [&](std::exception_ptr, http::client_response answer) {
                       got.status = answer.status;
                       got.ended = true;
                       ended.cancel();
                   });
    peer other(co_await acceptor.async_accept(asio::use_awaitable));
    co_await other.receive_head();
    co_await other.send(fine);
    while (!got.ended)
        co_await ended.async_wait(asio::as_tuple(asio::use_awaitable));
    BOOST_TEST(got.status == 200);
    const auto after = co_await other.rest();
    BOOST_TEST(after == "");
}

void play(asio::awaitable<void> script)
{
    asio::io_context io(1);
    run(io, std::move(script));
}

} // namespace

BOOST_AUTO_TEST_CASE(keeps_a_connection)
{
    play(reuses());
}

BOOST_AUTO_TEST_CASE(sees_that_an_idle_connection_cannot_be_used)
{
    play(closed_while_idle(""));
    play(closed_while_idle("HTTP/1.1 408 Request Timeout\r\n\r\n"));
}

BOOST_AUTO_TEST_CASE(sends_again_what_may_be_repeated)
{
    for (const char* method : {"GET", "HEAD", "PUT", "DELETE"})
        play(closed_under_request({.method = method}, true));
    play(closed_under_request(post("key-1"), true));
    play(closed_twice());
}

BOOST_AUTO_TEST_CASE(does_not_send_again_what_may_not)
{
    play(closed_under_request(post(), false));
    play(closed_under_request({.method = "PATCH"}, false));
}

BOOST_AUTO_TEST_CASE(half_an_answer_is_ambiguous)
{
    for (const char* answered :
         {"", "HTTP/1.1 2", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", "not HTTP\r\n\r\n",
          "HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n"})
        play(closed_after_reading(answered));
}

BOOST_AUTO_TEST_CASE(a_peer_that_is_not_there_has_not_seen_the_request)
{
    play(nobody_there());
}

BOOST_AUTO_TEST_CASE(time_runs_out)
{
    play(no_answer());
    play(trickled_answer());
}

BOOST_AUTO_TEST_CASE(waiting_for_a_connection_is_not_a_part_of_the_request)
{
    play(late_turn());
}

BOOST_AUTO_TEST_CASE(waiting_requests_are_served_in_order)
{
    play(in_order());
}

BOOST_AUTO_TEST_CASE(cancellation)
{
    play(cancelled());
}

BOOST_AUTO_TEST_CASE(connections_that_are_not_kept)
{
    play(connects_again_after("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
    play(connects_again_after("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"));
    play(connects_again_after(fine + "and more"));
    play(expired());
}

BOOST_AUTO_TEST_CASE(destruction)
{
    play(destroyed());
}

BOOST_AUTO_TEST_SUITE_END()
