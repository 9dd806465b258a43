// The record that a server makes of each answer, with the id of the request.
#include "support.hpp"

#include <boost/asio/post.hpp>

#include <stdexcept>

BOOST_AUTO_TEST_SUITE(http_server_answers)

using namespace http_test;
namespace http = pawl::http;

namespace {

struct told {
    std::string id, peer, line, route;
    int status = 0;
    std::size_t size = 0;
    std::string user{};
};

struct record_book {
    std::vector<told> all;

    http::server_options options()
    {
        http::server_options out;
        out.on_answer = [this](const http::answer_record& each) {
            all.push_back({std::string{each.request_id}, std::string{each.peer},
                           std::string{each.method} + " " + std::string{each.path},
                           std::string{each.route}, each.status, each.size,
                           std::string{each.user}});
        };
        return out;
    }
};

asio::awaitable<http::response> show_id(const http::request& asked)
{
    co_return http::response{.body = std::string{asked.header("x-request-id")}};
}

asio::awaitable<http::response> fail(const http::request&)
{
    throw std::runtime_error("broken");
    co_return http::response{};
}

asio::awaitable<http::response> wait(const http::request&)
{
    asio::steady_timer never(co_await asio::this_coro::executor,
                             std::chrono::steady_clock::time_point::max());
    co_await never.async_wait(asio::use_awaitable);
    co_return http::response{};
}

std::vector<http::route> routes()
{
    return {{.method = "GET", .pattern = "/id/{any}", .answer = show_id},
            {.method = "GET", .pattern = "/fail", .answer = fail},
            {.method = "GET", .pattern = "/wait", .answer = wait}};
}

std::string id_of(const answer& got)
{
    const std::string name = "X-Request-Id: ";
    const auto at = got.head.find(name);
    if (at == std::string::npos)
        return "";
    const auto begin = at + name.size();
    return got.head.substr(begin, got.head.find('\r', begin) - begin);
}

asio::awaitable<void> ids(http::server& server)
{
    auto asking = co_await peer::connect(server.port());
    auto got = co_await asking.ask(get("/id/a", "X-Request-Id: abc-1_2.3\r\n"));
    BOOST_TEST(got.body == "abc-1_2.3");
    BOOST_TEST(id_of(got) == "abc-1_2.3");
    got = co_await asking.ask(get("/id/a"));
    const auto first = got.body;
    BOOST_TEST(first.size() == 16u);
    BOOST_TEST(id_of(got) == first);
    got = co_await asking.ask(get("/id/a"));
    BOOST_TEST(got.body != first);
    for (const auto& wrong : {std::string{"a b"}, std::string{"\"a\""}, std::string(129, 'x')}) {
        got = co_await asking.ask(get("/id/a", "X-Request-Id: " + wrong + "\r\n"));
        BOOST_TEST(got.body.size() == 16u, wrong);
    }
}

asio::awaitable<void> every_answer(http::server& server, record_book& book)
{
    auto asking = co_await peer::connect(server.port());
    for (const char* target : {"/id/a?secret=1", "/nothing", "/fail"})
        co_await asking.ask(get(target));
    co_await asking.ask("POST /id/b HTTP/1.1\r\nHost: h\r\n\r\n");
    co_await asking.ask("hello\r\n\r\n");
    auto leaving = co_await peer::connect(server.port());
    co_await leaving.send(get("/wait"));
    leaving.socket.close();
    while (book.all.size() < 6)
        co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);

    const std::vector<told> expected{{"", "", "GET /id/a", "/id/{any}", 200, 16},
                                     {"", "", "GET /nothing", "", 404, 0},
                                     {"", "", "GET /fail", "/fail", 500, 0},
                                     {"", "", "POST /id/b", "/id/{any}", 405, 0},
                                     {"", "", " ", "", 400, 0},
                                     {"", "", "GET /wait", "/wait", 499, 0}};
    for (std::size_t i = 0; i < expected.size(); ++i) {
        BOOST_TEST(book.all[i].line == expected[i].line);
        BOOST_TEST(book.all[i].route == expected[i].route);
        BOOST_TEST(book.all[i].status == expected[i].status);
        BOOST_TEST(book.all[i].id.size() == 16u);
        BOOST_TEST(book.all[i].peer == "127.0.0.1");
        BOOST_TEST((book.all[i].size > 0 || expected[i].status == 499));
    }
    BOOST_TEST(book.all[0].size == 16u);
}

} // namespace

BOOST_AUTO_TEST_CASE(each_request_has_an_id)
{
    record_book book;
    serve(routes(), book.options(), ids);
}

BOOST_AUTO_TEST_CASE(each_answer_is_told_of_once)
{
    record_book book;
    log_book log;
    auto options = book.options();
    options.log = log.sink();
    serve(routes(), options, [&](http::server& server) { return every_answer(server, book); });
    BOOST_TEST(book.all.size() == 6u);
    BOOST_TEST_REQUIRE(log.lines().size() == 1u);
    BOOST_TEST(log.lines()[0].find(book.all[2].id) != std::string::npos, log.lines()[0]);
}

namespace {

asio::awaitable<http::response> show_user(const http::request& asked)
{
    co_return http::response{.body = asked.user};
}

/// The requests of "ada" go on, and everybody's on "/open".
std::optional<http::response> know_ada(http::request& asked, std::string_view route)
{
    asked.user = asked.header("x-user");
    if (route == "/open" || asked.user == "ada")
        return std::nullopt;
    return http::problem(asked.user.empty() ? 401 : 403, "not you");
}

asio::awaitable<void> some_are_refused(http::server& server, record_book& book)
{
    auto asking = co_await peer::connect(server.port());
    const std::string ada = "X-User: ada\r\n";
    auto got = co_await asking.ask(get("/closed", ada));
    BOOST_TEST(got.status == 200);
    BOOST_TEST(got.body == "ada");
    for (const auto* path : {"/closed", "/nowhere"}) {
        got = co_await asking.ask(get(path));
        BOOST_TEST(got.status == 401);
        got = co_await asking.ask(get(path, "X-User: eve\r\n"));
        BOOST_TEST(got.status == 403);
    }
    got = co_await asking.ask(get("/nowhere", ada));
    BOOST_TEST(got.status == 404);
    got = co_await asking.ask(get("/open"));
    BOOST_TEST(got.status == 200);
    got = co_await asking.ask("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n");
    BOOST_TEST(got.status == 401);
    BOOST_TEST_REQUIRE(book.all.size() == 8u);
    BOOST_TEST(book.all[0].user == "ada");
    BOOST_TEST(book.all[1].user == "");
    BOOST_TEST(book.all[2].user == "eve");
    BOOST_TEST(book.all[2].route == "/closed");
}

} // namespace

BOOST_AUTO_TEST_CASE(requests_go_on_only_if_authorized)
{
    record_book book;
    auto options = book.options();
    options.authorize = know_ada;
    serve({{.method = "GET", .pattern = "/closed", .answer = show_user},
           {.method = "GET", .pattern = "/open", .answer = show_user}},
          options, [&](http::server& server) { return some_are_refused(server, book); });
}

BOOST_AUTO_TEST_SUITE_END()
