// Who may send which request: roles, hosts, origins, content types, limits.
#include "admin/api_core.hpp"
#include "admin/refusal.hpp"
#include "support.hpp"

#include "http/routes.hpp"

#include <algorithm>
#include <set>

BOOST_AUTO_TEST_SUITE(admin_access)

using namespace admin_test;
using pawl::admin::detail::api_route;
using pawl::admin::detail::api_routes;

namespace {

/// A request for a route that its handler refuses with 404 or 422, or answers: it was admitted.
http::request request_of(const api_route& route)
{
    auto request = request_for(std::string{route.method}, "/");
    for (const char* name : {"run", "workflow", "topic", "schedule", "sequence", "name"})
        request.captures.emplace(name, "none");
    return request;
}

std::string path_of(const api_route& route)
{
    return "/api/v1" + std::string{route.pattern};
}

answer send_changed(pawl::admin::api_options options, const std::string& method,
                    const std::string& pattern,
                    std::vector<std::pair<std::string, std::string>> headers)
{
    world w(std::move(options));
    auto request = request_for(method, "/");
    request.captures = {{"run", "none"}, {"topic", "none"}};
    for (auto& [name, value] : headers)
        request.headers.insert_or_assign(name, value);
    return w.call(request, "/api/v1" + pattern);
}

answer read_as(std::vector<std::pair<std::string, std::string>> headers)
{
    return send_changed(options_for(role::viewer), "GET", "/me", std::move(headers));
}

std::string fault_of(const std::function<void(pawl::admin::api_options&)>& change)
{
    pawl::testing::harness<order, stage> bench(orders());
    auto options = options_for(role::viewer);
    change(options);
    try {
        const pawl::admin::api refused(bench.engine().operations(), std::move(options));
    } catch (const pawl::definition_error& error) {
        return error.what();
    }
    return "";
}

} // namespace

BOOST_AUTO_TEST_CASE(each_route_admits_the_roles_of_its_permission_only)
{
    for (const auto granted : {role::viewer, role::operator_, role::admin}) {
        world w(options_for(granted));
        for (const auto& route : api_routes()) {
            const auto got = w.call(request_of(route), path_of(route));
            const bool may = granted >= pawl::admin::detail::role_for(route.needed);
            BOOST_TEST((got.status != 403) == may, to_string(granted)
                                                       << " " << route.method << " "
                                                       << route.pattern << " " << got.status);
            BOOST_TEST((got.text("/code") == "denied") == !may, got.raw.body);
            const auto inside =
                w.send(std::string{route.method}, std::string{route.pattern}, "", granted);
            if (route.pattern != pawl::admin::detail::stream_pattern)
                BOOST_TEST((inside.status != 403) == may,
                           "in process: " << route.method << " " << route.pattern);
        }
    }
}

BOOST_AUTO_TEST_CASE(each_route_has_its_methods_only)
{
    world w;
    const http::detail::route_table table(w.api().routes());
    std::set<std::pair<std::string, std::string>> known;
    for (const auto& route : api_routes())
        known.emplace(route.method, path_of(route));
    for (const auto& route : api_routes()) {
        std::vector<std::string> segments{"api", "v1"};
        std::string part;
        for (const char c : std::string{route.pattern.substr(1)} + "/") {
            if (c != '/') {
                part += c;
                continue;
            }
            segments.push_back(part.starts_with('{') ? "none" : part);
            part.clear();
        }
        for (const char* method : {"GET", "POST", "PUT", "PATCH", "DELETE"}) {
            const auto found = table.find(method, segments);
            BOOST_TEST((found.answer != nullptr) == known.contains({method, path_of(route)}),
                       method << " " << route.pattern);
        }
    }
}

BOOST_AUTO_TEST_CASE(an_unknown_sender_is_asked_to_sign_in)
{
    world w(options_for(std::nullopt));
    for (const auto& route : api_routes()) {
        const auto got = w.call(request_of(route), path_of(route));
        // After some failures the address has to wait.
        BOOST_TEST((got.status == 401 || got.status == 429), got.status);
    }
    const auto got = send_changed(options_for(std::nullopt), "GET", "/me", {});
    BOOST_TEST(got.status == 401);
    BOOST_TEST(got.text("/code") == "unauthenticated");
    BOOST_TEST(got.header("WWW-Authenticate") == "Test");
}

BOOST_AUTO_TEST_CASE(the_program_is_told_of_each_refusal)
{
    std::vector<std::string> refusals;
    auto options = options_for(role::viewer);
    options.on_refusal = [&](int status, std::string_view code) {
        refusals.push_back(std::to_string(status) + " " + std::string{code});
    };
    world w(std::move(options));
    auto request = request_for("GET", "/");
    BOOST_TEST(w.call(request, "/api/v1/me").status == 200);
    request.headers.at("host") = "other.example";
    BOOST_TEST(w.call(request, "/api/v1/me").status == 421);
    BOOST_TEST(w.get("/audit", role::viewer).status == 403);
    BOOST_TEST(w.get("/runs/none").status == 404); // an answer, not a refusal
    const std::vector<std::string> expected{"421 unknown_host", "403 denied"};
    BOOST_TEST(refusals == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(failed_sign_ins_are_limited_for_each_address)
{
    auto options = options_for(std::nullopt);
    options.max_failed_sign_ins = 3;
    world w(std::move(options));
    auto request = request_for("GET", "/");
    for (int i = 0; i < 10; ++i) // without a token nothing is guessed
        BOOST_TEST(w.call(request, "/api/v1/me").status == 401);
    request.headers.emplace("authorization", "Bearer wrong");
    for (int i = 0; i < 3; ++i)
        BOOST_TEST(w.call(request, "/api/v1/me").status == 401);
    const auto blocked = w.call(request, "/api/v1/me");
    BOOST_TEST(blocked.status == 429);
    BOOST_TEST(blocked.header("Retry-After") == "1");
    request.peer = "10.0.0.7";
    BOOST_TEST(w.call(request, "/api/v1/me").status == 401);
}

BOOST_AUTO_TEST_CASE(only_known_hosts_are_answered)
{
    for (const char* host : {"localhost", "localhost:8080", "127.0.0.1:80", "[::1]:80", "10.1.2.3"})
        BOOST_TEST(read_as({{"host", host}}).status == 200, host);
    for (const char* host : {"evil.example", "evil.example:8080", "localhost.evil.example", ""}) {
        const auto got = read_as({{"host", host}});
        BOOST_TEST(got.status == 421, host);
        BOOST_TEST(got.text("/code") == "unknown_host");
    }
    auto options = options_for(role::viewer);
    options.hosts = {"pawl.internal"};
    const auto got = send_changed(std::move(options), "GET", "/me", {{"host", "Pawl.internal:81"}});
    BOOST_TEST(got.status == 200);
}

BOOST_AUTO_TEST_CASE(a_change_needs_the_content_type_of_json)
{
    const auto send = [](const std::string& type) {
        return send_changed(options_for(role::admin), "POST", "/runs/{run}/pause",
                            {{"content-type", type}});
    };
    for (const char* type : {"", "text/plain", "application/x-www-form-urlencoded",
                             "multipart/form-data", "application/jsonp"}) {
        const auto got = send(type);
        BOOST_TEST(got.status == 415, type);
        BOOST_TEST(got.text("/code") == "unsupported_media_type");
    }
    for (const char* type : {"application/json", "Application/JSON ; charset=utf-8"})
        BOOST_TEST(send(type).status == 404, type); // admitted: there is no such run
}

BOOST_AUTO_TEST_CASE(a_page_of_another_origin_changes_nothing)
{
    const auto send = [](std::vector<std::pair<std::string, std::string>> headers) {
        return send_changed(options_for(role::admin), "POST", "/runs/{run}/pause",
                            std::move(headers));
    };
    for (const char* site : {"cross-site", "same-site", "none", "nonsense"}) {
        const auto got = send({{"sec-fetch-site", site}});
        BOOST_TEST(got.status == 403, site);
        BOOST_TEST(got.text("/code") == "cross_origin");
    }
    // A browser that sends both headers decides by the first one.
    BOOST_TEST(send({{"sec-fetch-site", "same-origin"}, {"origin", "http://x"}}).status == 404);
    for (const char* origin : {"https://evil.example", "null", "http://localhost:9"})
        BOOST_TEST(send({{"origin", origin}}).status == 403, origin);
    for (const char* origin : {"http://localhost", "https://Localhost"})
        BOOST_TEST(send({{"origin", origin}}).status == 404, origin);
    BOOST_TEST(read_as({{"sec-fetch-site", "cross-site"}}).status == 200); // nothing is changed
}

BOOST_AUTO_TEST_CASE(a_large_body_is_refused)
{
    auto options = options_for(role::admin);
    options.max_body = 10;
    world w(std::move(options));
    auto request = request_for("POST", "/");
    request.captures = {{"run", "none"}};
    request.body = R"({"a":1234})";
    BOOST_TEST(w.call(request, "/api/v1/runs/{run}/pause").status == 422);
    request.body += " ";
    const auto got = w.call(request, "/api/v1/runs/{run}/pause");
    BOOST_TEST(got.status == 413);
    BOOST_TEST(got.text("/detail") == "the body has 11 bytes; it may have 10");
}

BOOST_AUTO_TEST_CASE(each_answer_has_the_security_headers)
{
    for (const auto granted : {std::optional{role::viewer}, std::optional<role>{}}) {
        const auto got = send_changed(options_for(granted), "GET", "/me", {});
        const auto policy = got.header("Content-Security-Policy");
        for (const char* rule : {"default-src 'none'", "script-src 'self'", "style-src 'self'",
                                 "base-uri 'self'", "frame-ancestors 'none'",
                                 "require-trusted-types-for 'script'", "trusted-types 'none'"})
            BOOST_TEST(policy.find(rule) != std::string::npos, rule << " in " << policy);
        BOOST_TEST(got.header("X-Content-Type-Options") == "nosniff");
        BOOST_TEST(got.header("Referrer-Policy") == "no-referrer");
        BOOST_TEST(got.header("Cache-Control") == "no-store");
    }
}

BOOST_AUTO_TEST_CASE(options_out_of_range_are_refused_by_name)
{
    BOOST_TEST(fault_of([](auto& o) { o.authenticator.reset(); }) ==
               "api_options::authenticator is required: see token_file()");
    BOOST_TEST(fault_of([](auto& o) { o.prefix = "admin"; }) ==
               "api_options::prefix is 'admin'; it must begin with a slash and not end with one");
    BOOST_TEST(fault_of([](auto& o) { o.prefix = "/admin/"; }) ==
               "api_options::prefix is '/admin/'; it must begin with a slash and not end with one");
    BOOST_TEST(fault_of([](auto& o) { o.max_requests = 0; }) ==
               "api_options::max_requests is 0; it must be at least 1");
    BOOST_TEST(fault_of([](auto& o) { o.max_streams = 0; }) ==
               "api_options::max_streams is 0; it must be at least 1");
    BOOST_TEST(fault_of([](auto& o) { o.max_body = 0; }) ==
               "api_options::max_body is 0; it must be at least 1");
    BOOST_TEST(fault_of([](auto& o) { o.max_failed_sign_ins = 0; }) ==
               "api_options::max_failed_sign_ins is 0; it must be at least 1");
    BOOST_TEST(fault_of([](auto& o) { o.stream_interval = 0s; }) ==
               "api_options::stream_interval must be above zero");
    BOOST_TEST(fault_of([](auto& o) { o.stream_lifetime = 0s; }) ==
               "api_options::stream_lifetime must be above zero");
}

BOOST_AUTO_TEST_CASE(a_full_api_refuses_further_requests)
{
    auto options = options_for(role::viewer);
    options.max_requests = 1;
    world w(std::move(options));
    const auto request = request_for("GET", "/");
    // Both begin before one of them reads from the store.
    std::vector<int> statuses;
    for (int i = 0; i < 2; ++i)
        asio::co_spawn(
            w.bench().context(), w.call_route(request, "/api/v1/overview"),
            [&](std::exception_ptr, const http::response& got) { statuses.push_back(got.status); });
    w.bench().run_until_idle();
    BOOST_TEST_REQUIRE(statuses.size() == 2u);
    BOOST_TEST(std::ranges::count(statuses, 503) == 1);
    BOOST_TEST(std::ranges::count(statuses, 200) == 1);
    BOOST_TEST(w.call(request, "/api/v1/overview").status == 200);
}

BOOST_AUTO_TEST_CASE(each_error_code_has_a_name_of_its_own)
{
    std::set<std::string_view> names;
    int number = 1;
    for (;; ++number) {
        const auto code = static_cast<pawl::errc>(number);
        if (make_error_code(code).message() == "unknown error")
            break;
        const auto name = pawl::admin::detail::name_of(code);
        BOOST_TEST(name != "unknown", number);
        BOOST_TEST(names.insert(name).second, name);
    }
    BOOST_TEST(number > 30);
}

BOOST_AUTO_TEST_SUITE_END()
