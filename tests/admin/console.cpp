// The console: its files, and the session of a browser.
#include "admin/console_files.hpp"
#include "admin/session.hpp"
#include "support.hpp"

#include "temporary_folder.hpp"

#include <fstream>

BOOST_AUTO_TEST_SUITE(admin_console)

using namespace admin_test;

namespace {

/// A world whose users have tokens.
struct token_world {
    explicit token_world(const std::string& prefix = "/ops")
        : viewer(pawl::admin::make_token("vera", role::viewer)), w(options(prefix))
    {
    }

    pawl::admin::api_options options(const std::string& prefix)
    {
        std::ofstream{folder.file("tokens")} << viewer.line << "\n";
        pawl::admin::api_options set;
        set.authenticator = pawl::admin::token_file(folder.file("tokens"));
        set.prefix = prefix;
        set.max_failed_sign_ins = 3;
        return set;
    }

    answer sign_in(const std::string& token,
                   const std::vector<std::pair<std::string, std::string>>& headers = {})
    {
        auto request = request_for("POST", "/ops/session");
        request.body = R"({"token": ")" + token + "\"}";
        for (const auto& [name, value] : headers)
            request.headers.insert_or_assign(name, value);
        return w.call(request, "/ops/session");
    }

    answer read_me(const std::vector<std::pair<std::string, std::string>>& headers)
    {
        auto request = request_for("GET", "/ops/api/v1/me");
        for (const auto& [name, value] : headers)
            request.headers.insert_or_assign(name, value);
        return w.call(request, "/ops/api/v1/me");
    }

    const temporary_folder folder;
    pawl::admin::token_line viewer;
    world w;
};

std::string path_of(const pawl::admin::detail::console_file& file)
{
    return "/ops/" + std::string{file.path};
}

} // namespace

BOOST_AUTO_TEST_CASE(everybody_may_read_the_files)
{
    token_world users;
    BOOST_TEST(pawl::admin::detail::console_files().size() == 4u);
    for (const auto& file : pawl::admin::detail::console_files()) {
        const auto got = users.w.call(request_for("GET", path_of(file)), path_of(file));
        BOOST_TEST(got.status == 200, file.path);
        BOOST_TEST(got.raw.content_type == file.content_type);
        BOOST_TEST(got.header("Content-Encoding") == "gzip");
        BOOST_TEST(got.header("Cache-Control") == "no-cache");
        BOOST_TEST(got.header("ETag") == file.etag);
        BOOST_TEST(got.header("Content-Security-Policy").find("script-src 'self'") !=
                   std::string::npos);
        BOOST_TEST(got.raw.body.starts_with("\x1f\x8b"), "not gzip: " << file.path);
    }
}

BOOST_AUTO_TEST_CASE(a_known_version_is_not_sent_again)
{
    token_world users;
    for (const auto& file : pawl::admin::detail::console_files()) {
        auto request = request_for("GET", path_of(file));
        request.headers["if-none-match"] = file.etag;
        const auto same = users.w.call(request, path_of(file));
        BOOST_TEST(same.status == 304, file.path);
        BOOST_TEST(same.raw.body.empty());
        request.headers["if-none-match"] = "\"other\"";
        BOOST_TEST(users.w.call(request, path_of(file)).status == 200, file.path);
    }
}

BOOST_AUTO_TEST_CASE(the_prefix_without_a_slash_leads_to_the_page)
{
    token_world users;
    const auto got = users.w.call(request_for("GET", "/ops"), "/ops");
    BOOST_TEST(got.status == 308);
    BOOST_TEST(got.header("Location") == "/ops/");
    world root;
    BOOST_TEST(root.call(request_for("GET", "/"), "/").status == 200);
}

BOOST_AUTO_TEST_CASE(an_api_without_the_console_has_its_routes_only)
{
    auto options = options_for(role::viewer);
    options.has_console = false;
    world w(std::move(options));
    for (const auto& route : w.api().routes())
        BOOST_TEST(route.pattern.starts_with("/api/v1/"), route.pattern);
}

BOOST_AUTO_TEST_CASE(files_are_for_known_hosts_only)
{
    token_world users;
    for (const char* pattern : {"/ops/", "/ops"}) {
        auto request = request_for("GET", pattern);
        request.headers["host"] = "evil.example";
        BOOST_TEST(users.w.call(request, pattern).status == 421, pattern);
    }
}

BOOST_AUTO_TEST_CASE(a_token_begins_a_session)
{
    token_world users;
    const auto got = users.sign_in(users.viewer.token);
    BOOST_TEST(got.status == 200, got.raw.body);
    BOOST_TEST(got.text("/name") == "vera");
    BOOST_TEST(got.text("/role") == "viewer");
    BOOST_TEST(got.header("Set-Cookie") ==
               "pawl_session=" + users.viewer.token + "; Path=/ops/; HttpOnly; SameSite=Strict");
    BOOST_TEST(got.header("Cache-Control") == "no-store");
    const auto me = users.read_me({{"cookie", "a=b; pawl_session=" + users.viewer.token}});
    BOOST_TEST(me.status == 200);
    BOOST_TEST(me.text("/name") == "vera");
}

BOOST_AUTO_TEST_CASE(a_session_over_tls_is_sent_by_tls_only)
{
    token_world users;
    const auto host = std::pair<std::string, std::string>{"host", "localhost"};
    const auto tls = users.sign_in(users.viewer.token, {host, {"origin", "https://localhost"}});
    BOOST_TEST(tls.header("Set-Cookie").ends_with("; Secure"), tls.header("Set-Cookie"));
    const auto plain = users.sign_in(users.viewer.token, {host, {"origin", "http://localhost"}});
    BOOST_TEST(!plain.header("Set-Cookie").ends_with("; Secure"), plain.header("Set-Cookie"));
}

BOOST_AUTO_TEST_CASE(a_wrong_token_begins_no_session)
{
    token_world users;
    for (const char* token : {"wrong", "a\\u000ab", ""}) {
        const auto got = users.sign_in(token);
        BOOST_TEST(got.status == 401, token);
        BOOST_TEST(got.header("Set-Cookie") == "");
    }
    BOOST_TEST(users.sign_in(users.viewer.token).status == 429);
}

BOOST_AUTO_TEST_CASE(a_page_of_another_origin_begins_and_ends_no_session)
{
    token_world users;
    for (const char* method : {"POST", "DELETE"}) {
        auto request = request_for(method, "/ops/session");
        request.body = R"({"token": ")" + users.viewer.token + "\"}";
        request.headers["sec-fetch-site"] = "cross-site";
        BOOST_TEST(users.w.call(request, "/ops/session").status == 403, method);
        request.headers.erase("sec-fetch-site");
        request.headers["content-type"] = "text/plain";
        BOOST_TEST(users.w.call(request, "/ops/session").status == 415, method);
        request.headers["content-type"] = "application/json";
        request.headers["host"] = "evil.example";
        BOOST_TEST(users.w.call(request, "/ops/session").status == 421, method);
    }
}

BOOST_AUTO_TEST_CASE(signing_out_removes_the_cookie)
{
    token_world users;
    const auto got = users.w.call(request_for("DELETE", "/ops/session"), "/ops/session");
    BOOST_TEST(got.status == 204);
    BOOST_TEST(got.header("Set-Cookie") ==
               "pawl_session=; Path=/ops/; HttpOnly; SameSite=Strict; Max-Age=0");
}

BOOST_AUTO_TEST_CASE(the_authorization_header_has_precedence_over_the_cookie)
{
    token_world users;
    const auto cookie = "pawl_session=" + users.viewer.token;
    BOOST_TEST(users.read_me({{"cookie", cookie}, {"authorization", "Bearer wrong"}}).status ==
               401);
    BOOST_TEST(users.read_me({{"cookie", "pawl_session=wrong"}}).status == 401);
    BOOST_TEST(users.read_me({{"cookie", "xpawl_session=" + users.viewer.token}}).status == 401);
}

BOOST_AUTO_TEST_CASE(the_cookie_is_found_among_others)
{
    const auto token_in = [](const char* cookie) {
        auto request = request_for("GET", "/");
        request.headers["cookie"] = cookie;
        return std::string{pawl::admin::detail::session_token(request)};
    };
    BOOST_TEST(token_in("pawl_session=abc") == "abc");
    BOOST_TEST(token_in("a=b;pawl_session=abc ; c=d") == "abc");
    BOOST_TEST(token_in("pawl_session=abc; pawl_session=def") == "abc");
    BOOST_TEST(token_in("pawl_session=") == "");
    BOOST_TEST(token_in("pawl_session") == "");
    BOOST_TEST(token_in(";;=;pawl_session=\"abc\"") == "");
    BOOST_TEST(token_in("") == "");
}

BOOST_AUTO_TEST_SUITE_END()
