// The client against the server: answers, errors that a program makes, many requests through few
// connections, names, threads.
#include "pawl/http/client.hpp"
#include "pawl/error.hpp"
#include "support.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>

#include <atomic>
#include <memory>
#include <optional>

BOOST_AUTO_TEST_SUITE(http_client)

using namespace http_test;
namespace http = pawl::http;

namespace {

/// Many requests through few connections may take long on a busy machine.
constexpr auto patience = std::chrono::minutes{10};

asio::awaitable<http::client_response> ask(http::client& client, http::client_request what)
{
    auto got = co_await client.request(std::move(what));
    co_return got;
}

asio::awaitable<void> answers(http::server& server)
{
    http::client client(co_await asio::this_coro::executor, server.url());
    BOOST_TEST(client.url() == server.url());
    const auto plain = co_await ask(client, {.target = "/a?x=1"});
    BOOST_TEST(plain.status == 200);
    BOOST_TEST(plain.body == "GET /a any=a");
    BOOST_TEST(plain.headers.at("content-type") == "text/plain");

    const auto posted = co_await ask(client, {.method = "POST", .target = "/b", .body = "hello"});
    BOOST_TEST(posted.body == "POST /b any=b hello");
    const auto empty = co_await ask(client, {.method = "POST", .target = "/c"});
    BOOST_TEST(empty.body == "POST /c any=c");
    const auto head = co_await ask(client, {.method = "HEAD", .target = "/d"});
    BOOST_TEST(head.status == 200);
    BOOST_TEST(head.body == "");
    const auto missing = co_await ask(client, {.target = "/e/f"});
    BOOST_TEST(missing.status == 404);
    const auto wrong = co_await ask(client, {.method = "PUT", .target = "/g"});
    BOOST_TEST(wrong.status == 405);
    BOOST_TEST(wrong.headers.at("allow") == "GET, HEAD, POST");
}

asio::awaitable<void> refused_early(http::server& server)
{
    http::client client(co_await asio::this_coro::executor, server.url());
    const auto got =
        co_await ask(client, {.method = "POST", .target = "/a", .body = std::string(300'000, 'x')});
    BOOST_TEST(got.status == 413);
}

asio::awaitable<void> by_name(http::server& server)
{
    http::client client(co_await asio::this_coro::executor,
                        "http://localhost:" + std::to_string(server.port()));
    const auto got = co_await ask(client, {.target = "/a"});
    BOOST_TEST(got.status == 200);
}

/// Counts how many requests are answered at a time.
class crowd {
public:
    asio::awaitable<http::response> answer(const http::request& request)
    {
        const int now = ++inside_;
        int most = most_;
        while (now > most && !most_.compare_exchange_weak(most, now)) {
        }
        co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
        --inside_;
        auto out = co_await echo(request);
        co_return out;
    }

    int most() const { return most_; }

    std::vector<http::route> routes()
    {
        return {
            {.method = "GET", .pattern = "/{any}", .answer = [this](const http::request& request) {
                 return answer(request);
             }}};
    }

private:
    std::atomic<int> inside_ = 0;
    std::atomic<int> most_ = 0;
};

asio::awaitable<void> ask_number(http::client& client, int number, std::atomic<int>& right)
{
    const auto path = "/" + std::to_string(number);
    const auto got = co_await ask(client, {.target = path});
    right += got.body == "GET " + path + " any=" + std::to_string(number);
}

asio::awaitable<void> thousand(http::server& server)
{
    constexpr int requests = 1'000;
    const auto executor = co_await asio::this_coro::executor;
    http::client client(executor, server.url(), {.timeout = patience, .max_connections = 16});
    std::atomic<int> right = 0;
    std::atomic<int> left = requests;
    for (int i = 0; i < requests; ++i)
        asio::co_spawn(asio::make_strand(executor), ask_number(client, i, right),
                       [&left](std::exception_ptr) { --left; });
    while (left > 0)
        co_await asio::post(executor, asio::use_awaitable);
    BOOST_TEST(right == requests);
}

asio::awaitable<void> cancel_soon(asio::cancellation_signal& signal, int yields)
{
    const auto executor = co_await asio::this_coro::executor;
    for (int i = 0; i < yields; ++i)
        co_await asio::post(executor, asio::use_awaitable);
    signal.emit(asio::cancellation_type::terminal);
}

asio::awaitable<void> ask_interrupted(http::client& client, bool& begun, int& odd)
{
    begun = true;
    try {
        const auto got = co_await ask(client, {.target = "/a"});
        odd += got.status != 200;
    } catch (const boost::system::system_error& error) {
        odd += error.code() != asio::error::operation_aborted;
    }
}

/// One request that is cancelled after some turns of its strand.
asio::awaitable<void> interrupted_request(http::client& client, int yields, std::atomic<int>& odd)
{
    const auto strand = co_await asio::this_coro::executor;
    asio::cancellation_signal signal;
    asio::steady_timer ended(strand, std::chrono::steady_clock::time_point::max());
    bool begun = false;
    int here = 0;
    int left = 2;
    const auto end = [&](std::exception_ptr escaped) {
        here += escaped != nullptr;
        --left;
        ended.cancel();
    };
    asio::co_spawn(strand, ask_interrupted(client, begun, here),
                   asio::bind_cancellation_slot(signal.slot(), end));
    asio::co_spawn(strand, cancel_soon(signal, yields), end);
    while (left > 0)
        co_await ended.async_wait(asio::as_tuple(asio::use_awaitable));
    odd += here + !begun;
}

asio::awaitable<void> interrupted(http::server& server)
{
    constexpr int requests = 2'000;
    const auto executor = co_await asio::this_coro::executor;
    http::client client(executor, server.url(), {.timeout = patience, .max_connections = 8});
    std::atomic<int> odd = 0;
    std::atomic<int> left = requests;
    for (int i = 0; i < requests; ++i)
        asio::co_spawn(asio::make_strand(executor), interrupted_request(client, 1 + i % 61, odd),
                       [&left](std::exception_ptr) { --left; });
    while (left > 0)
        co_await asio::post(executor, asio::use_awaitable);
    BOOST_TEST(odd == 0);
    const auto got = co_await ask(client, {.target = "/still"});
    BOOST_TEST(got.status == 200);
}

asio::awaitable<void> ask_across(std::unique_ptr<http::client> client)
{
    for (int i = 0; i < 100; ++i) {
        const auto got = co_await ask(*client, {.target = "/a"});
        BOOST_TEST_REQUIRE(got.status == 200);
    }
}

asio::awaitable<void> ask_and_drop(std::string url, bool& answered)
{
    http::client_request what{.target = "/a"};
    std::optional<http::client> client;
    client.emplace(co_await asio::this_coro::executor, url);
    auto under_way = client->request(std::move(what));
    client.reset();
    const auto got = co_await std::move(under_way);
    answered = got.status == 200;
}

asio::awaitable<void> dropped(http::server& server)
{
    bool answered = false;
    co_await ask_and_drop(server.url(), answered);
    BOOST_TEST(answered);
}

asio::awaitable<void> faulty_requests(http::server& server)
{
    http::client client(co_await asio::this_coro::executor, server.url());
    const std::vector<http::client_request> cases{
        {.target = "a"},
        {.target = "/a b"},
        {.target = "/a\r\nX: y"},
        {.method = "G\r\n"},
        {.content_type = "a\r\n"},
        {.headers = {{"X", "a\r\nY: b"}}},
        {.headers = {{"Content-Length", "1"}}},
    };
    for (const auto& what : cases) {
        bool refused = false;
        try {
            co_await ask(client, what);
        } catch (const pawl::error& error) {
            refused = error.code() == pawl::errc::invalid_argument;
        }
        BOOST_TEST(refused, what.target);
    }
}

} // namespace

BOOST_AUTO_TEST_CASE(gets_answers_whatever_their_status)
{
    serve(echo_routes(), {}, answers);
}

BOOST_AUTO_TEST_CASE(reads_a_refusal_that_comes_before_the_request_is_sent)
{
    serve(echo_routes(), {.body_limit = 100}, refused_early);
}

BOOST_AUTO_TEST_CASE(resolves_names)
{
    serve(echo_routes(), {}, by_name);
}

BOOST_AUTO_TEST_CASE(many_requests_through_few_connections)
{
    crowd all;
    serve(all.routes(), {}, thousand);
    BOOST_TEST(all.most() <= 16);
    BOOST_TEST(all.most() > 1);
}

BOOST_AUTO_TEST_CASE(many_requests_on_several_threads)
{
    crowd all;
    serve(all.routes(), {}, thousand, 4);
    BOOST_TEST(all.most() <= 16);
}

BOOST_AUTO_TEST_CASE(cancelled_at_any_moment)
{
    serve(echo_routes(), {}, interrupted);
    serve(echo_routes(), {}, interrupted, 4);
}

BOOST_AUTO_TEST_CASE(answers_go_to_the_callers_context)
{
    asio::io_context theirs;
    http::server server(theirs.get_executor(), echo_routes());
    server.start();
    auto guard = asio::make_work_guard(theirs);
    std::thread thread([&theirs] { theirs.run(); });

    asio::io_context ours;
    run(ours, ask_across(std::make_unique<http::client>(theirs.get_executor(), server.url())));
    ours.restart();
    run(ours, server.async_stop(0s));
    guard.reset();
    thread.join();
}

BOOST_AUTO_TEST_CASE(a_request_outlives_its_client)
{
    serve(echo_routes(), {}, dropped);
}

BOOST_AUTO_TEST_CASE(refuses_what_cannot_be_sent)
{
    serve(echo_routes(), {}, faulty_requests);
}

BOOST_AUTO_TEST_CASE(refuses_to_be_made)
{
    asio::io_context io;
    const auto make = [&](std::string url, http::client_options options = {}) {
        http::client(io.get_executor(), std::move(url), options);
    };
    BOOST_CHECK_THROW(make("ftp://host:1"), pawl::definition_error);
    BOOST_CHECK_THROW(make("http://host?a=b"), pawl::definition_error);
    BOOST_CHECK_THROW(make("http://host:1", {.timeout = 0s}), pawl::definition_error);
    BOOST_CHECK_THROW(make("http://host:1", {.max_connections = 0}), pawl::definition_error);
}

BOOST_AUTO_TEST_SUITE_END()
