// Text of HTTP: percent-decoding and what it refuses, queries, UTF-8, tokens, dates, reasons.
#include "http/text.hpp"
#include "pawl/http/message.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <boost/test/unit_test.hpp>

BOOST_AUTO_TEST_SUITE(http_text)

namespace http = pawl::http;
using namespace pawl::http::detail;
using namespace std::string_view_literals;

BOOST_AUTO_TEST_CASE(decodes)
{
    BOOST_TEST(percent_decode("").value() == "");
    BOOST_TEST(percent_decode("a%20b%2Fc%2fd+e").value() == "a b/c/d+e");
    BOOST_TEST(percent_decode("%C3%A9").value() == "\xC3\xA9");
    BOOST_TEST(percent_decode("%2525").value() == "%25");
}

BOOST_AUTO_TEST_CASE(refuses_to_decode)
{
    for (const auto text : {"%"sv, "a%2"sv, "%zz"sv, "%2g"sv, "%%20"sv, "%00"sv, "\0"sv, "%ff"sv,
                            "%C3"sv, "%C0%AF"sv, "%ED%A0%80"sv, "%F4%90%80%80"sv, "% 20"sv})
        BOOST_TEST(!percent_decode(text).has_value(), text);
}

BOOST_AUTO_TEST_CASE(utf8)
{
    for (const auto text : {""sv, "plain"sv, "\x7f"sv, "\xC2\x80"sv, "\xDF\xBF"sv, "\xE0\xA0\x80"sv,
                            "\xEF\xBF\xBF"sv, "\xF0\x90\x80\x80"sv, "\xF4\x8F\xBF\xBF"sv})
        BOOST_TEST(is_utf8(text), text);
    for (const auto text :
         {"\x80"sv, "\xC1\xBF"sv, "\xC2"sv, "\xC2\x41"sv, "\xE0\x9F\xBF"sv, "\xE2\x82"sv,
          "\xED\xA0\x80"sv, "\xF0\x8F\xBF\xBF"sv, "\xF4\x90\x80\x80"sv, "\xF5\x80\x80\x80"sv})
        BOOST_TEST(!is_utf8(text));
}

BOOST_AUTO_TEST_CASE(queries)
{
    std::string repeated;
    const auto query = parse_query("a=1&b=x%26y&flag&&c=d=e&f=+%2B", repeated).value();
    BOOST_TEST(query.size() == 5u);
    BOOST_TEST(repeated == "");
    BOOST_TEST(query.at("a") == "1");
    BOOST_TEST(query.at("b") == "x&y");
    BOOST_TEST(query.at("flag") == "");
    BOOST_TEST(query.at("c") == "d=e");
    BOOST_TEST(query.at("f") == " +");
    BOOST_TEST(parse_query("", repeated).value().empty());
    BOOST_TEST(!parse_query("a=%", repeated).has_value());
    BOOST_TEST(!parse_query("%ff=1", repeated).has_value());
    parse_query("a=1&b&%61=2&b", repeated);
    BOOST_TEST(repeated == "a");
}

BOOST_AUTO_TEST_CASE(tokens_and_values)
{
    BOOST_TEST(is_token("Content-Length"));
    for (const auto text : {""sv, "a b"sv, "a:"sv, "a\r"sv, "\xC3\xA9"sv, "{a}"sv})
        BOOST_TEST(!is_token(text), text);
    BOOST_TEST(is_field_value("a b\tc \xC3\xA9"));
    for (const auto text : {"a\rb"sv, "a\nb"sv, "a\0b"sv, "\x7f"sv})
        BOOST_TEST(!is_field_value(text));
    BOOST_TEST(to_lower("AbC-Z") == "abc-z");
    BOOST_TEST(equal_ignoring_case("Chunked", "chUNKED"));
    BOOST_TEST(!equal_ignoring_case("chunked", "chunked "));
}

BOOST_AUTO_TEST_CASE(dates_and_reasons)
{
    BOOST_TEST(http_date(784111777) == "Sun, 06 Nov 1994 08:49:37 GMT");
    BOOST_TEST(http_date(0) == "Thu, 01 Jan 1970 00:00:00 GMT");
    BOOST_TEST(reason_phrase(404) == "Not Found");
    BOOST_TEST(reason_phrase(431) == "Request Header Fields Too Large");
    BOOST_TEST(reason_phrase(299) == "Unknown");
}

BOOST_AUTO_TEST_CASE(problems_are_json)
{
    const auto answer = http::problem(409, "name \"x\"\n\\ \x01");
    BOOST_TEST(answer.status == 409);
    BOOST_TEST(answer.content_type == "application/problem+json");
    const auto body = boost::json::parse(answer.body).as_object();
    BOOST_TEST(body.at("status").as_int64() == 409);
    BOOST_TEST(body.at("title").as_string() == "Conflict");
    BOOST_TEST(body.at("detail").as_string() == "name \"x\"\n\\ \x01");
}

BOOST_AUTO_TEST_CASE(request_headers)
{
    http::request request;
    request.headers.emplace("host", "a");
    BOOST_TEST(request.header("host") == "a");
    BOOST_TEST(request.header("accept") == "");
}

BOOST_AUTO_TEST_SUITE_END()
