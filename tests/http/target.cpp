// A request's target: path, segments and query, split before they are decoded.
#include "http/target.hpp"

#include <boost/test/unit_test.hpp>

BOOST_AUTO_TEST_SUITE(http_target)

using namespace pawl::http::detail;
using segments = std::vector<std::string>;

BOOST_AUTO_TEST_CASE(takes_apart)
{
    const auto where = parse_target("/orders/a%2Fb%20c/?x=1&y=%3F?").value();
    BOOST_TEST(where.path == "/orders/a/b c/");
    BOOST_TEST(where.segments == (segments{"orders", "a/b c", ""}),
               boost::test_tools::per_element());
    BOOST_TEST(where.query.at("x") == "1");
    BOOST_TEST(where.query.at("y") == "??");
}

BOOST_AUTO_TEST_CASE(root_and_empty_segments)
{
    BOOST_TEST(parse_target("/").value().segments == segments{""},
               boost::test_tools::per_element());
    BOOST_TEST(parse_target("//a").value().segments == (segments{"", "a"}),
               boost::test_tools::per_element());
    BOOST_TEST(parse_target("/?").value().query.empty());
    BOOST_TEST(parse_target("/a?b=/c").value().segments == segments{"a"},
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(absolute_form)
{
    const auto where = parse_target("http://host:80/a%20b?x=1").value();
    BOOST_TEST(where.authority == "host:80");
    BOOST_TEST(where.path == "/a b");
    BOOST_TEST(where.query.at("x") == "1");
    BOOST_TEST(parse_target("HTTPS://[::1]").value().path == "/");
    const auto no_path = parse_target("http://host?x=/y").value();
    BOOST_TEST(no_path.path == "/");
    BOOST_TEST(no_path.query.at("x") == "/y");
    BOOST_TEST(parse_target("/http://host/a").value().authority == "");
}

BOOST_AUTO_TEST_CASE(refuses)
{
    for (const char* text :
         {"", "*", "a", "http:///a", "http://a@host/a", "ftp://host/a", "http://a,b/", "?a=1", "/%",
          "/%00", "/a?b=%zz", "/a#b", "/%ff", "/%C3/%A9"})
        BOOST_TEST(!parse_target(text).has_value(), text);
}

BOOST_AUTO_TEST_SUITE_END()
