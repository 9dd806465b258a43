// Answers from bytes: by length, in chunks, to the end of the connection; interim answers; what is
// not an answer. And the URLs of servers.
#include "http/response_reader.hpp"
#include "http/url.hpp"

#include <boost/test/unit_test.hpp>

BOOST_AUTO_TEST_SUITE(http_response_reader)

using namespace pawl::http::detail;
using result = response_reader::result;

namespace {

result feed(response_reader& reader, std::string bytes, std::size_t size = std::string::npos)
{
    std::string offered;
    auto outcome = result::need_more;
    while (outcome == result::need_more && !bytes.empty()) {
        offered += bytes.substr(0, size);
        bytes.erase(0, size);
        std::size_t consumed = 0;
        outcome = reader.read(offered, consumed);
        offered.erase(0, consumed);
    }
    return outcome;
}

const std::string plain = "HTTP/1.1 201 Created\r\nContent-Length: 2\r\nX-A: 1\r\nx-a: 2\r\n\r\nhi";

} // namespace

BOOST_AUTO_TEST_CASE(in_pieces_of_any_size)
{
    const std::string interim =
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n";
    const std::string chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                               "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: t\r\n\r\n";
    for (std::size_t size = 1; size < 100; ++size) {
        response_reader first(false, 100);
        BOOST_TEST_REQUIRE((feed(first, interim + plain, size) == result::complete), size);
        BOOST_TEST(first.keep_alive());
        const auto answer = first.take();
        BOOST_TEST(answer.status == 201);
        BOOST_TEST(answer.body == "hi");
        BOOST_TEST(answer.headers.at("x-a") == "1, 2");
        BOOST_TEST(!answer.headers.contains("link"));

        response_reader second(false, 100);
        BOOST_TEST_REQUIRE((feed(second, chunks, size) == result::complete), size);
        const auto coded = second.take();
        BOOST_TEST(coded.body == "abcde");
        BOOST_TEST(!coded.headers.contains("trailer"));
    }
}

BOOST_AUTO_TEST_CASE(to_the_end_of_the_connection)
{
    response_reader reader(false, 100);
    BOOST_TEST(!reader.started());
    BOOST_TEST((feed(reader, "HTTP/1.0 200 OK\r\n\r\nall of it") == result::need_more));
    BOOST_TEST(reader.started());
    BOOST_TEST((reader.end() == result::complete));
    BOOST_TEST(!reader.keep_alive());
    BOOST_TEST(reader.take().body == "all of it");
}

BOOST_AUTO_TEST_CASE(without_a_body)
{
    response_reader head(true, 100);
    BOOST_TEST((feed(head, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n") == result::complete));
    response_reader none(false, 100);
    BOOST_TEST((feed(none, "HTTP/1.1 204 No Content\r\n\r\n") == result::complete));
    response_reader last(false, 100);
    BOOST_TEST(
        (feed(last, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n") == result::complete));
    BOOST_TEST(!last.keep_alive());
}

BOOST_AUTO_TEST_CASE(cut_short)
{
    for (std::size_t size = 0; size < plain.size(); ++size) {
        response_reader reader(false, 100);
        BOOST_TEST((feed(reader, plain.substr(0, size)) == result::need_more));
        BOOST_TEST((reader.end() == result::failed), size);
        BOOST_TEST(reader.fault().find("closed before the end") != std::string::npos);
    }
}

BOOST_AUTO_TEST_CASE(refused)
{
    const std::string large(101, 'x');
    for (const std::string& bytes :
         {std::string("hello\r\n\r\n"),
          std::string("HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n"),
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n" + large,
          "HTTP/1.1 200 OK\r\n\r\n" + large,
          std::string("HTTP/1.1 101 Switching Protocols\r\n\r\n"),
          std::string("HTTP/1.1 000 OK\r\n\r\n"), std::string("HTTP/1.1 099 OK\r\n\r\n"),
          "HTTP/1.1 200 OK\r\nX: " + std::string(70'000, 'x') + "\r\n\r\n"}) {
        response_reader reader(false, 100);
        BOOST_TEST((feed(reader, bytes, 4096) == result::failed), bytes.substr(0, 50));
        BOOST_TEST(!reader.fault().empty());
    }
}

BOOST_AUTO_TEST_CASE(urls)
{
    const auto name = parse_url("http://some-host.example:8080").value();
    BOOST_TEST(name.host == "some-host.example");
    BOOST_TEST(name.port == 8080);
    BOOST_TEST(name.authority == "some-host.example:8080");
    BOOST_TEST(name.path == "");
    BOOST_TEST(!name.secure);
    const auto six = parse_url("http://[::1]:80").value();
    BOOST_TEST(six.host == "::1");
    BOOST_TEST(six.authority == "[::1]:80");
    BOOST_TEST(parse_url("http://[::1]").value().port == 80);
    BOOST_TEST(parse_url("http://host/").value().path == "");
    const auto pay = parse_url("https://pay.example/v2/x/").value();
    BOOST_TEST(pay.secure);
    BOOST_TEST(pay.host == "pay.example");
    BOOST_TEST(pay.authority == "pay.example");
    BOOST_TEST(pay.port == 443);
    BOOST_TEST(pay.path == "/v2/x");
    BOOST_TEST(parse_url("https://host:8443/v2").value().port == 8443);
    for (const char* text : {"",
                             "host:80",
                             "http://",
                             "https:///a",
                             "http://host:",
                             "http://:80",
                             "http://host:80/?a",
                             "http://host?a",
                             "http://host/#a",
                             "http://host/a b",
                             "http://host:80:80",
                             "http://[::1]80",
                             "http://host:0",
                             "http://host:65536",
                             "http://host:8x",
                             "http://host:-1",
                             "http://a@host:80",
                             "http://ho st:80",
                             "http://::1:80",
                             "http://[]:80",
                             "HTTP://host:80"})
        BOOST_TEST(!parse_url(text).has_value(), text);
}

BOOST_AUTO_TEST_SUITE_END()
