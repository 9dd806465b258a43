// Requests that a page of another site makes in somebody's browser, and the forms of a target.
#include "support.hpp"

using namespace http_test;
namespace http = pawl::http;

BOOST_AUTO_TEST_SUITE(http_server_foreign)

namespace {

struct foreign_case {
    std::string request;
    int status;
};

asio::awaitable<void> ask_each(http::server& server, const std::vector<foreign_case>& table)
{
    for (const auto& [request, status] : table) {
        auto asking = co_await peer::connect(server.port());
        const auto got = co_await asking.ask(request);
        BOOST_TEST(got.status == status,
                   got.status << " instead of " << status << " for " << request);
    }
}

std::string from(const std::string& host, const std::string& headers = "",
                 const std::string& target = "/a")
{
    return "GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\n" + headers + "\r\n";
}

void check(http::server_options options, std::vector<foreign_case> table)
{
    serve(echo_routes(), std::move(options),
          [&](http::server& server) { return ask_each(server, table); });
}

} // namespace

BOOST_AUTO_TEST_CASE(an_unknown_host_is_refused)
{
    const auto http_1_0 = "GET /a HTTP/1.0\r\n\r\n";
    check({.hosts = {"shop.example"}}, {{from("shop.example"), 200},
                                        {from("SHOP.example:80"), 200},
                                        {from("localhost:8080"), 200},
                                        {from("127.0.0.1:8080"), 200},
                                        {from("[::1]:8080"), 200},
                                        {from("evil.example"), 421},
                                        {from("shop.example.evil.example"), 421},
                                        {from("localhost.evil.example"), 421},
                                        {from("127.0.0.1.evil.example"), 421},
                                        {from(""), 421},
                                        {http_1_0, 421},
                                        {from("shop.example", "", "http://evil.example/a"), 421},
                                        {from("evil.example", "", "http://shop.example/a"), 200}});
    check({}, {{from("any.example"), 200}, {from(""), 200}, {http_1_0, 200}});
}

BOOST_AUTO_TEST_CASE(a_malformed_host_is_refused)
{
    check({}, {{from("a, b"), 400},
               {from("a,b"), 400},
               {from("a b"), 400},
               {from("user@a"), 400},
               {from("a:port"), 400},
               {from("a/b"), 400},
               {from("[::1"), 400},
               {from("[nothing]"), 400}});
}

BOOST_AUTO_TEST_CASE(a_foreign_origin_is_refused)
{
    check({.origins = {"https://partner.example"}},
          {{from("h"), 200},
           {from("h:80", "Origin: http://h:80\r\n"), 200},
           {from("h", "Origin: https://H\r\n"), 200},
           {from("h", "Origin: https://partner.example\r\n"), 200},
           {from("h:80", "Origin: http://h:81\r\n"), 403},
           {from("h", "Origin: https://evil.example\r\n"), 403},
           {from("h", "Origin: https://evil.example/h\r\n"), 403},
           {from("h", "Origin: null\r\n"), 403},
           {from("h", "Origin:\r\n"), 403}});
    check({.origins = {"*"}}, {{from("h", "Origin: https://evil.example\r\n"), 200}});
}

BOOST_AUTO_TEST_CASE(every_form_of_a_target_is_understood)
{
    const auto options = [](const std::string& target) {
        return "OPTIONS " + target + " HTTP/1.1\r\nHost: h\r\n\r\n";
    };
    check({}, {{from("h", "", "http://h/a"), 200},
               {from("h", "", "HTTPS://h:443/a?x=1"), 200},
               {from("h", "", "http://h"), 404},
               {from("h", "", "http://user@h/a"), 400},
               {from("h", "", "ftp://h/a"), 400},
               {from("h", "", "*"), 400},
               {options("*"), 204},
               {options("/a"), 405},
               {from("h", "", "/a?x=1&x=2"), 400}});
}

BOOST_AUTO_TEST_SUITE_END()
