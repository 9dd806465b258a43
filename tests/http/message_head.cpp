// Heads of messages as they are sent, and what a program may not put into them.
#include "http/message_head.hpp"

#include <boost/test/unit_test.hpp>

BOOST_AUTO_TEST_SUITE(http_message_head)

using namespace pawl::http;
using namespace pawl::http::detail;

namespace {

std::string head(const response& answer, const answer_frame& frame = {.date = "D"})
{
    std::string out;
    write_answer_head(out, answer, frame);
    return out;
}

} // namespace

BOOST_AUTO_TEST_CASE(answers)
{
    BOOST_TEST(head({.status = 201, .body = "{}", .headers = {{"Location", "/a"}}}) ==
               "HTTP/1.1 201 Created\r\nDate: D\r\nContent-Type: application/json\r\n"
               "Content-Length: 2\r\nLocation: /a\r\n\r\n");
    BOOST_TEST(head({.status = 204}) == "HTTP/1.1 204 No Content\r\nDate: D\r\n\r\n");
    BOOST_TEST(head({}, {.keep_alive = false, .date = "D"}) ==
               "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    BOOST_TEST(head({}, {.http_1_0 = true, .date = "D"}).find("Connection: keep-alive\r\n") !=
               std::string::npos);
}

BOOST_AUTO_TEST_CASE(requests)
{
    std::string out;
    const url plain{.authority = "h:1"};
    write_request_head(out, {}, plain);
    BOOST_TEST(out == "GET / HTTP/1.1\r\nHost: h:1\r\n\r\n");
    out.clear();
    write_request_head(out, {.method = "POST", .target = "/a", .headers = {{"A", "b"}}},
                       {.authority = "h:1", .path = "/v2"});
    BOOST_TEST(out == "POST /v2/a HTTP/1.1\r\nHost: h:1\r\nContent-Length: 0\r\nA: b\r\n\r\n");
    out.clear();
    write_request_head(out, {.method = "PUT", .body = "x", .content_type = "text/plain"}, plain);
    BOOST_TEST(out == "PUT / HTTP/1.1\r\nHost: h:1\r\nContent-Type: text/plain\r\n"
                      "Content-Length: 1\r\n\r\n");
}

BOOST_AUTO_TEST_CASE(faults)
{
    BOOST_TEST(!find_fault(response{}).has_value());
    BOOST_TEST(find_fault(response{.status = 100}).has_value());
    BOOST_TEST(find_fault(response{.status = 600}).has_value());
    BOOST_TEST(find_fault(response{.content_type = "a\r\nb"}).has_value());
    BOOST_TEST(find_fault(response{.headers = {{"A", "b\r\nC: d"}}}).has_value());
    BOOST_TEST(find_fault(response{.headers = {{"A:", "b"}}}).has_value());
    BOOST_TEST(find_fault(response{.headers = {{"content-LENGTH", "1"}}}).has_value());

    BOOST_TEST(!find_fault(client_request{.target = "/a?b=%20"}).has_value());
    for (const char* target : {"", "a", "/a b", "/a\r\n", "/\xC3\xA9", "/#a"})
        BOOST_TEST(find_fault(client_request{.target = target}).has_value(), target);
    BOOST_TEST(find_fault(client_request{.method = "G T"}).has_value());
    BOOST_TEST(find_fault(client_request{.headers = {{"Host", "x"}}}).has_value());
}

BOOST_AUTO_TEST_SUITE_END()
