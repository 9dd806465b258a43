// Requests from bytes: whole, in pieces, pipelined; limits; and framing that two readers could
// understand differently, which is refused.
#include "http/request_reader.hpp"

#include <boost/test/unit_test.hpp>

#include <random>
#include <string>
#include <string_view>

BOOST_AUTO_TEST_SUITE(http_request_reader)

using pawl::http::detail::request_reader;
using result = request_reader::result;
using namespace std::string_view_literals;

namespace {

struct fed {
    result outcome = result::need_more;
    std::string rest;
};

/// Offers `bytes` in pieces of `size`, as a connection would.
fed feed(request_reader& reader, std::string bytes, std::size_t size = std::string::npos)
{
    fed out;
    while (out.outcome == result::need_more) {
        std::size_t consumed = 0;
        out.outcome = reader.read(out.rest, consumed);
        out.rest.erase(0, consumed);
        if (out.outcome != result::need_more || bytes.empty())
            break;
        out.rest += bytes.substr(0, size);
        bytes.erase(0, size);
        if (bytes.empty()) {
            out.outcome = reader.read(out.rest, consumed);
            out.rest.erase(0, consumed);
            break;
        }
    }
    out.rest += bytes;
    return out;
}

/// The status that `bytes` are refused with; 0 when more is wanted, 1 when they are a request.
int judge(std::string bytes, std::size_t header_limit = 1024, std::size_t body_limit = 100)
{
    request_reader reader(header_limit, body_limit);
    switch (feed(reader, std::move(bytes)).outcome) {
    case result::need_more:
        return 0;
    case result::complete:
        return 1;
    case result::refused:
        return reader.refusal().status;
    }
    return -1;
}

const std::string post = "POST /a%20b?x=1 HTTP/1.1\r\nHost: h\r\nX-One: a\r\nx-one:  b \r\n"
                         "Content-Length: 5\r\n\r\nhello";
const std::string chunked = "PUT /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n"
                            "3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nHost: trailer\r\nX-T: 1\r\n\r\n";

std::string with(const std::string& headers)
{
    return "POST / HTTP/1.1\r\nHost: h\r\n" + headers + "\r\n";
}

} // namespace

BOOST_AUTO_TEST_CASE(whole_requests_in_pieces_of_any_size)
{
    for (std::size_t size = 1; size < post.size() + chunked.size(); ++size) {
        request_reader reader(1024, 100);
        auto first = feed(reader, post + chunked, size);
        BOOST_TEST_REQUIRE((first.outcome == result::complete), size);
        auto& message = reader.message();
        BOOST_TEST(message.method == "POST");
        BOOST_TEST(message.path == "/a b");
        BOOST_TEST(message.query.at("x") == "1");
        BOOST_TEST(message.header("x-one") == "a, b");
        BOOST_TEST(message.body == "hello");
        BOOST_TEST(reader.keep_alive());

        reader.next();
        const auto second = feed(reader, first.rest, size);
        BOOST_TEST_REQUIRE((second.outcome == result::complete), size);
        BOOST_TEST(reader.message().method == "PUT");
        BOOST_TEST(reader.message().body == "abcde");
        BOOST_TEST(reader.message().header("host") == "h");
        BOOST_TEST(reader.message().header("x-t") == "");
        BOOST_TEST(second.rest == "");
    }
}

/// Damaged requests: nothing asserts, and pieces are understood as the whole is.
BOOST_AUTO_TEST_CASE(any_bytes)
{
    std::mt19937 random(7);
    const auto below = [&](std::size_t limit) {
        return random() % limit;
    };
    constexpr auto spice = "\r\n :,;0159afGx\0\t\xff/%?"sv;
    int complete = 0;
    for (int i = 0; i < 20'000; ++i) {
        auto bytes = i % 2 == 0 ? post : chunked;
        for (std::size_t changes = 1 + below(3); changes > 0; --changes) {
            const auto at = below(bytes.size());
            if (below(3) == 0)
                bytes.erase(at, 1 + below(4));
            else
                bytes.insert(at, 1, spice[below(spice.size())]);
        }
        request_reader whole(1024, 100);
        request_reader pieces(1024, 100);
        const auto once = feed(whole, bytes);
        const auto bit_by_bit = feed(pieces, bytes, 1 + below(5));
        BOOST_TEST_REQUIRE((once.outcome == bit_by_bit.outcome), bytes);
        if (once.outcome != result::complete)
            continue;
        ++complete;
        BOOST_TEST_REQUIRE(once.rest == bit_by_bit.rest);
        BOOST_TEST_REQUIRE(whole.message().path == pieces.message().path);
        BOOST_TEST_REQUIRE(whole.message().body == pieces.message().body);
        BOOST_TEST_REQUIRE((whole.message().headers == pieces.message().headers));
    }
    BOOST_TEST(complete > 100);
}

BOOST_AUTO_TEST_CASE(keeping_the_connection)
{
    const auto keeps = [](const std::string& bytes) {
        request_reader reader(1024, 100);
        BOOST_TEST_REQUIRE((feed(reader, bytes).outcome == result::complete));
        return reader.keep_alive();
    };
    BOOST_TEST(keeps("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
    BOOST_TEST(!keeps("GET / HTTP/1.1\r\nHost: h\r\nConnection: foo, Close\r\n\r\n"));
    BOOST_TEST(!keeps("GET / HTTP/1.0\r\n\r\n"));
    BOOST_TEST(keeps("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
}

BOOST_AUTO_TEST_CASE(ambiguous_framing)
{
    BOOST_TEST(judge(with("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n")) == 400);
    BOOST_TEST(judge(with("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n")) == 400);
    BOOST_TEST(judge(with("Content-Length: 1\r\nContent-Length: 2\r\n")) == 400);
    BOOST_TEST(judge(with("Content-Length: 1, 2\r\n")) == 400);
    BOOST_TEST(judge(with("Content-Length: 1, 1\r\n") + "x") == 400);
    BOOST_TEST(judge(with("Content-Length: 1\r\nContent-Length: 1\r\n") + "x") == 400);
    for (const char* length : {"", "-1", "+1", "1x", "0x1", "1 1", "99999999999999999999"})
        BOOST_TEST(judge(with(std::string("Content-Length: ") + length + "\r\n")) == 400, length);
    BOOST_TEST(judge(with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")) == 400);
    BOOST_TEST(judge(with("Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n")) == 400);
    BOOST_TEST(judge(with("Transfer-Encoding: gzip\r\n")) == 501);
    BOOST_TEST(judge(with("Transfer-Encoding: gzip\r\nContent-Length: 1\r\n")) >= 400);
    BOOST_TEST(judge(with("Transfer-Encoding: gzip, chunked\r\n")) == 501);
    BOOST_TEST(judge(with("Transfer-Encoding: chunked, gzip\r\n")) == 501);
    BOOST_TEST(judge("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n") == 400);
}

BOOST_AUTO_TEST_CASE(line_endings_and_folding)
{
    BOOST_TEST(judge("GET / HTTP/1.1\nHost: h\n\n") == 400);
    BOOST_TEST(judge("GET / HTTP/1.1\r\nHost: h\n\r\n") == 400);
    BOOST_TEST(judge("GET / HTTP/1.1\r\nHost: h\r\n\n") == 400);
    BOOST_TEST(judge("GET / HTTP/1.1\r\nHost: h\r\nA: b\rC: d\r\n\r\n") == 400);
    BOOST_TEST(judge(with("A: b\r\n c\r\n")) == 400);
    BOOST_TEST(judge(with("A: b\r\n\tc\r\n")) == 400);
    BOOST_TEST(judge(with("A:\r\n b\r\n")) == 400);
    BOOST_TEST(judge(with("A : b\r\n")) == 400);
    BOOST_TEST(judge(with("no colon\r\n")) == 400);
    BOOST_TEST(judge(with(std::string("A: b\0c\r\n", 8))) == 400);
    BOOST_TEST(judge("\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n") == 1);
    BOOST_TEST(judge("\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n") == 400);
    BOOST_TEST(judge("\n") == 400);
    BOOST_TEST(judge("\r") == 0);
    BOOST_TEST(judge("\rG") == 400);
}

BOOST_AUTO_TEST_CASE(what_is_not_http)
{
    BOOST_TEST(judge("\x16\x03\x01") == 400);
    BOOST_TEST(judge("hello\r\n\r\n") == 400);
    BOOST_TEST(judge("GET /\r\n\r\n") == 400);
    BOOST_TEST(judge("GET  / HTTP/1.1\r\nHost: h\r\n\r\n") == 400);
    BOOST_TEST(judge("GET / HTTP/2.0\r\nHost: h\r\n\r\n") == 400);
    BOOST_TEST(judge("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") == 400);
}

BOOST_AUTO_TEST_CASE(hosts_and_targets)
{
    BOOST_TEST(judge("GET / HTTP/1.1\r\n\r\n") == 400);
    BOOST_TEST(judge("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n") == 400);
    for (const char* target : {"*", "a", "http://u@h/", "/%zz", "/a%00", "/a?b=%", "/?b=1&b=2"})
        BOOST_TEST(judge(std::string("GET ") + target + " HTTP/1.1\r\nHost: h\r\n\r\n") == 400,
                   target);
}

BOOST_AUTO_TEST_CASE(limits)
{
    const std::string line = "GET / HTTP/1.1\r\nHost: h\r\n";
    const auto padded = [&](std::size_t size) {
        return line + "A: " + std::string(size - line.size() - 7, 'a') + "\r\n\r\n";
    };
    BOOST_TEST(judge(padded(1024)) == 1);
    BOOST_TEST(judge(padded(1025)) == 431);
    BOOST_TEST(judge(padded(2000).substr(0, 1024)) == 431);
    BOOST_TEST(judge(padded(2000).substr(0, 1023)) == 0);
    BOOST_TEST(judge(std::string(1024, 'G') + "\n") == 431); // what is past the limit is not judged

    // Announced too large: refused before any of it came.
    BOOST_TEST(judge(with("Content-Length: 101\r\n")) == 413);
    BOOST_TEST(judge(with("Expect: 100-continue\r\nContent-Length: 101\r\n")) == 413);
    BOOST_TEST(judge(with("Content-Length: 100\r\n")) == 0);
    BOOST_TEST(judge(with("Content-Length: 100\r\n") + std::string(100, 'x')) == 1);

    const auto coded = with("Transfer-Encoding: chunked\r\n");
    const auto chunk = "32\r\n" + std::string(50, 'x') + "\r\n";
    BOOST_TEST(judge(coded + chunk + chunk + "0\r\n\r\n") == 1);
    BOOST_TEST(judge(coded + chunk + chunk + "1\r\n") == 413);
    BOOST_TEST(judge(coded + "ffffffffffffffff\r\n") == 413);
    BOOST_TEST(judge(coded + "1ffffffffffffffff\r\n") == 400);
    BOOST_TEST(judge(coded + "x\r\n") == 400);
    BOOST_TEST(judge(coded + "1\r\nabc\r\n") == 400);
    BOOST_TEST(judge(coded + "1\nab\r\n") == 400);
    BOOST_TEST(judge(coded + "1;a=" + std::string(1100, 'a')) == 431);
    BOOST_TEST(judge(coded + "0\r\nA: " + std::string(1100, 'a')) == 431);
}

BOOST_AUTO_TEST_CASE(continuing)
{
    const auto head = with("Expect: 100-Continue\r\nContent-Length: 2\r\n");
    request_reader reader(1024, 100);
    BOOST_TEST((feed(reader, head).outcome == result::need_more));
    BOOST_TEST(reader.take_continue());
    BOOST_TEST(!reader.take_continue());
    BOOST_TEST((feed(reader, "xx").outcome == result::complete));

    request_reader eager(1024, 100);
    BOOST_TEST((feed(eager, head + "x").outcome == result::need_more));
    BOOST_TEST(!eager.take_continue());

    BOOST_TEST(judge(with("Expect: something\r\n")) == 417);
    BOOST_TEST(judge("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx") == 1);
}

BOOST_AUTO_TEST_CASE(started_with_the_first_byte_of_a_request)
{
    request_reader reader(1024, 100);
    BOOST_TEST((feed(reader, "\r\n").outcome == result::need_more));
    BOOST_TEST(!reader.started());
    BOOST_TEST((feed(reader, "G").outcome == result::need_more));
    BOOST_TEST(reader.started());
}

BOOST_AUTO_TEST_CASE(refused_for_good)
{
    request_reader reader(1024, 100);
    BOOST_TEST((feed(reader, "G").outcome == result::need_more));
    reader.refuse(408, "late");
    BOOST_TEST((feed(reader, "ET / HTTP/1.1\r\nHost: h\r\n\r\n").outcome == result::refused));
    BOOST_TEST(reader.refusal().status == 408);
    BOOST_TEST(!reader.keep_alive());
}

BOOST_AUTO_TEST_SUITE_END()
