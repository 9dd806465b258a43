// Routes: literals before captures, paths before methods, HEAD from GET, and what is refused when
// the table is made.
#include "http/routes.hpp"
#include "http/target.hpp"
#include "pawl/error.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/test/unit_test.hpp>

BOOST_AUTO_TEST_SUITE(http_routes)

using namespace pawl::http;
using namespace pawl::http::detail;

namespace {

boost::asio::awaitable<response> nothing(const request&)
{
    co_return response{};
}

route_table table(std::vector<std::pair<std::string, std::string>> names)
{
    std::vector<route> routes;
    for (auto& [method, pattern] : names)
        routes.push_back({.method = method, .pattern = pattern, .answer = nothing});
    return route_table(std::move(routes));
}

route_match find(const route_table& routes, std::string_view method, std::string_view path)
{
    return routes.find(method, parse_target(path).value().segments);
}

} // namespace

BOOST_AUTO_TEST_CASE(captures)
{
    const auto routes = table({{"GET", "/orders/{id}/history/{at}"}});
    const auto found = find(routes, "GET", "/orders/a%2Fb/history/7");
    BOOST_TEST_REQUIRE(found.answer);
    BOOST_TEST(found.captures.at("id") == "a/b");
    BOOST_TEST(found.captures.at("at") == "7");
    BOOST_TEST(!find(routes, "GET", "/orders//history/7").answer);
    BOOST_TEST(!find(routes, "GET", "/orders/a/b/history/7").answer);
}

BOOST_AUTO_TEST_CASE(literals_win_from_the_left)
{
    const auto routes = table({{"GET", "/{a}/x/{c}"},
                               {"GET", "/{a}/{b}/y"},
                               {"GET", "/p/{b}/{c}"},
                               {"GET", "/p/q"},
                               {"GET", "/p/{b}"}});
    const auto names = [&](std::string_view path) {
        std::string out;
        for (const auto& [name, value] : find(routes, "GET", path).captures)
            out += name + "=" + value + " ";
        return out;
    };
    BOOST_TEST(names("/p/x/y") == "b=x c=y ");
    BOOST_TEST(names("/o/x/y") == "a=o c=y ");
    BOOST_TEST(names("/o/z/y") == "a=o b=z ");
    BOOST_TEST(names("/p/q") == "");
    BOOST_TEST(find(routes, "GET", "/p/q").answer);
    BOOST_TEST(names("/p/r") == "b=r ");
}

BOOST_AUTO_TEST_CASE(a_tail_captures_the_rest_and_is_tried_last)
{
    const auto routes = table({{"GET", "/ui/{path...}"},
                               {"GET", "/ui/{page}"},
                               {"GET", "/ui/api"},
                               {"GET", "/{any}/api/x"}});
    const auto rest = [&](std::string_view path) {
        const auto found = find(routes, "GET", path);
        const auto at = found.captures.find("path");
        return at == found.captures.end() ? std::string{found.pattern} : "rest " + at->second;
    };
    BOOST_TEST(rest("/ui/a/b%2Fc/d") == "rest a/b/c/d");
    BOOST_TEST(rest("/ui/") == "rest ");
    BOOST_TEST(rest("/ui/a/") == "rest a/");
    BOOST_TEST(rest("/ui/a") == "/ui/{page}");
    BOOST_TEST(rest("/ui/api") == "/ui/api");
    BOOST_TEST(rest("/ui/api/x") == "rest api/x");
    BOOST_TEST(rest("/p/api/x") == "/{any}/api/x");
    BOOST_TEST(!find(routes, "GET", "/ui").answer);
    BOOST_TEST(find(table({{"GET", "/{all...}"}}), "GET", "/").answer);
}

BOOST_AUTO_TEST_CASE(unknown_path_and_unknown_method)
{
    const auto routes =
        table({{"GET", "/a"}, {"POST", "/a"}, {"DELETE", "/b/{id}"}, {"POST", "/b/c"}});
    BOOST_TEST(!find(routes, "GET", "/x").answer);
    BOOST_TEST(find(routes, "GET", "/x").allow == "");
    BOOST_TEST(find(routes, "PUT", "/a").allow == "GET, HEAD, POST");
    BOOST_TEST(find(routes, "OPTIONS", "/a").allow == "GET, HEAD, POST");
    BOOST_TEST(find(routes, "get", "/a").allow == "GET, HEAD, POST");
    BOOST_TEST(find(routes, "HEAD", "/a").answer == find(routes, "GET", "/a").answer);
    BOOST_TEST(find(routes, "HEAD", "/b/x").allow == "DELETE");
    BOOST_TEST(find(routes, "DELETE", "/b/c").allow == "POST");
}

BOOST_AUTO_TEST_CASE(a_trailing_slash_is_another_path)
{
    const auto routes = table({{"GET", "/a"}, {"GET", "/b/"}, {"GET", "/"}});
    BOOST_TEST(find(routes, "GET", "/a").answer);
    BOOST_TEST(!find(routes, "GET", "/a/").answer);
    BOOST_TEST(find(routes, "GET", "/b/").answer);
    BOOST_TEST(!find(routes, "GET", "/b").answer);
    BOOST_TEST(find(routes, "GET", "/").answer);
    BOOST_TEST(!find(routes, "GET", "//").answer);
}

BOOST_AUTO_TEST_CASE(the_same_shape_is_one_resource)
{
    const auto routes = table({{"GET", "/a/{id}"}, {"PUT", "/a/{name}"}});
    BOOST_TEST(find(routes, "GET", "/a/1").captures.contains("id"));
    BOOST_TEST(find(routes, "PUT", "/a/1").captures.contains("name"));
}

BOOST_AUTO_TEST_CASE(refused_tables)
{
    for (const char* pattern :
         {"", "a", "/{}", "/{a", "/a}", "/x{a}", "/{a}x", "/{a}{b}", "/{a}/{a}", "/{...}",
          "/{a...}/b", "/{a}/{a...}", "/a?b", "/a%20b", "/#", "/{{a}}"})
        BOOST_CHECK_THROW(table({{"GET", pattern}}), pawl::definition_error);
    BOOST_CHECK_THROW(table({{"", "/"}}), pawl::definition_error);
    BOOST_CHECK_THROW(table({{"GET /", "/"}}), pawl::definition_error);
    BOOST_CHECK_THROW(table({{"GET", "/a/{b}"}, {"GET", "/a/{c}"}}), pawl::definition_error);
    BOOST_CHECK_THROW(route_table({{.method = "GET", .pattern = "/", .answer = nullptr}}),
                      pawl::definition_error);
}

BOOST_AUTO_TEST_SUITE_END()
