// The ready authenticators: token files, trusted proxies, this machine.
#include "support.hpp"
#include "temporary_folder.hpp"

#include "pawl/testing/manual_clock.hpp"

#include <fstream>
#include <functional>

BOOST_AUTO_TEST_SUITE(admin_authenticators)

using namespace admin_test;
using namespace pawl::admin;

namespace {

void write_file(const std::string& file, const std::string& text)
{
    std::ofstream(file) << text;
}

http::request with_token(const std::string& credentials)
{
    auto request = request_for("GET", "/");
    request.headers.emplace("authorization", credentials);
    return request;
}

std::string name_of(authenticator& by, const http::request& request)
{
    const auto found = by.authenticate(request);
    return found ? found->name + " " + std::string{to_string(found->granted)} + " " + found->method
                 : "nobody";
}

std::string fault_of(const std::function<void()>& action)
{
    try {
        action();
    } catch (const pawl::definition_error& error) {
        return error.what();
    }
    return "";
}

struct token_fixture {
    temporary_folder folder;
    std::string file = folder.file("tokens");
    std::shared_ptr<pawl::testing::manual_clock> clock =
        std::make_shared<pawl::testing::manual_clock>();
    std::vector<std::string> log;

    std::shared_ptr<authenticator> open()
    {
        return token_file(
            file, [this](const pawl::log_entry& entry) { log.push_back(to_string(entry)); }, clock);
    }
};

} // namespace

BOOST_AUTO_TEST_CASE(a_token_names_its_owner_and_role)
{
    token_fixture f;
    const auto ada = make_token("ada", role::admin);
    const auto bob = make_token("bob", role::viewer);
    BOOST_TEST(ada.token.size() == 43u);
    BOOST_TEST(ada.token != bob.token);
    BOOST_TEST(ada.line.find(ada.token) == std::string::npos);
    write_file(f.file, "# users\n\n" + ada.line + "\n  " + bob.line + "\n");
    const auto tokens = f.open();
    BOOST_TEST(tokens->is_remote());
    BOOST_TEST(tokens->challenge() == "Bearer realm=\"pawl\"");
    BOOST_TEST(name_of(*tokens, with_token("Bearer " + ada.token)) == "ada admin token");
    BOOST_TEST(name_of(*tokens, with_token("bearer " + bob.token)) == "bob viewer token");
    for (const std::string& wrong :
         {std::string{"Bearer "}, "Bearer " + ada.token + "x", "Basic " + ada.token, ada.token,
          "Bearer " + std::string(10'000, 'x')})
        BOOST_TEST(name_of(*tokens, with_token(wrong)) == "nobody", wrong);
    BOOST_TEST(name_of(*tokens, request_for("GET", "/")) == "nobody");
}

BOOST_AUTO_TEST_CASE(a_token_expires)
{
    token_fixture f;
    const auto made = make_token("ada", role::operator_, f.clock->now() + 10s);
    write_file(f.file, made.line + "\n");
    const auto tokens = f.open();
    BOOST_TEST(name_of(*tokens, with_token("Bearer " + made.token)) == "ada operator token");
    f.clock->advance(11s);
    BOOST_TEST(name_of(*tokens, with_token("Bearer " + made.token)) == "nobody");
}

BOOST_AUTO_TEST_CASE(a_changed_file_is_read_again)
{
    token_fixture f;
    const auto ada = make_token("ada", role::admin);
    const auto bob = make_token("bob", role::operator_);
    write_file(f.file, ada.line + "\n");
    const auto tokens = f.open();
    write_file(f.file, "# ada has left\n" + bob.line + "\n");
    f.clock->advance(2s);
    BOOST_TEST(name_of(*tokens, with_token("Bearer " + ada.token)) == "nobody");
    BOOST_TEST(name_of(*tokens, with_token("Bearer " + bob.token)) == "bob operator token");

    BOOST_TEST(f.log.empty());
}

BOOST_AUTO_TEST_CASE(what_a_changed_file_lacks_is_revoked)
{
    token_fixture f;
    const auto ada = make_token("ada", role::admin);
    const auto bob = make_token("bob", role::operator_);
    write_file(f.file, ada.line + "\n" + bob.line + "\n");
    const auto tokens = f.open();
    write_file(f.file, "nonsense\n" + bob.line + "\n");
    f.clock->advance(2s);
    BOOST_TEST(name_of(*tokens, with_token("Bearer " + ada.token)) == "nobody");
    BOOST_TEST(name_of(*tokens, with_token("Bearer " + bob.token)) == "bob operator token");
    BOOST_TEST_REQUIRE(f.log.size() == 1u);
    BOOST_TEST(f.log[0].find("a token is not valid: " + f.file + ":1: the role is ''") !=
                   std::string::npos,
               f.log[0]);

    std::filesystem::remove(f.file);
    f.clock->advance(2s);
    BOOST_TEST(name_of(*tokens, with_token("Bearer " + bob.token)) == "nobody");
    BOOST_TEST_REQUIRE(f.log.size() == 2u);
    BOOST_TEST(f.log[1].find("cannot be read") != std::string::npos, f.log[1]);

    write_file(f.file, ada.line + "\n");
    f.clock->advance(2s);
    BOOST_TEST(name_of(*tokens, with_token("Bearer " + ada.token)) == "ada admin token");
}

BOOST_AUTO_TEST_CASE(a_faulty_file_is_refused_with_its_line)
{
    token_fixture f;
    const auto refused = [&](const std::string& text) {
        write_file(f.file, text);
        return fault_of([&] { f.open(); });
    };
    const auto line = make_token("ada", role::admin).line;
    const std::string hash(64, 'a');
    BOOST_TEST(refused("# nobody\n") == "the token file '" + f.file + "' has no token");
    BOOST_TEST(refused("\nada chief sha256:" + hash) ==
               f.file + ":2: the role is 'chief'; it must be viewer, operator or admin");
    BOOST_TEST(refused("ada admin sha256:12") ==
               f.file + ":1: the third word must be sha256: and 64 hexadecimal digits");
    BOOST_TEST(refused("ada admin sha256:" + hash + " tomorrow") ==
               f.file + ":1: the expiry is 'tomorrow'; it must be a time such as "
                        "2027-01-31T00:00:00Z");
    BOOST_TEST(refused(line + "\n" + line) == f.file + ":2: the token is there already");
    BOOST_TEST(fault_of([&] { token_file(f.folder.file("none")); }) ==
               "the token file '" + f.folder.file("none") + "' cannot be read");
    BOOST_TEST(fault_of([] { make_token("ada lovelace", role::viewer); }) ==
               "the name of a token is 'ada lovelace'; it must not be empty, begin with '#', or "
               "have a space");
}

BOOST_AUTO_TEST_CASE(a_trusted_proxy_names_users_and_groups)
{
    const auto proxy = trusted_proxy({.addresses = {"10.0.0.1", "unix"}});
    auto request = request_for("GET", "/");
    request.headers.emplace("x-forwarded-user", "ada@example.com");
    request.headers.emplace("x-forwarded-groups", "staff, pawl-viewer ,pawl-operator");
    BOOST_TEST(name_of(*proxy, request) == "nobody"); // not from the proxy
    request.peer = "10.0.0.1";
    BOOST_TEST(name_of(*proxy, request) == "ada@example.com operator proxy");
    request.peer = "unix";
    BOOST_TEST(name_of(*proxy, request) == "ada@example.com operator proxy");
    request.headers["x-forwarded-groups"] = "staff";
    BOOST_TEST(name_of(*proxy, request) == "nobody");
    request.headers["x-forwarded-groups"] = "pawl-admin";
    request.headers["x-forwarded-user"] = " ";
    BOOST_TEST(name_of(*proxy, request) == "nobody");
    BOOST_TEST(fault_of([] { trusted_proxy({}); }) ==
               "proxy_options::addresses is empty; it must have the proxy's address");
}

BOOST_AUTO_TEST_CASE(this_machine_is_identified_by_its_addresses)
{
    const auto local = loopback_only();
    BOOST_TEST(!local->is_remote());
    auto request = request_for("GET", "/");
    for (const char* peer : {"127.0.0.1", "127.8.8.8", "::1", "unix"}) {
        request.peer = peer;
        BOOST_TEST(name_of(*local, request) == "local admin loopback", peer);
    }
    for (const char* peer : {"10.0.0.1", "fe80::1", ""}) {
        request.peer = peer;
        BOOST_TEST(name_of(*local, request) == "nobody", peer);
    }
    request.peer = "127.0.0.1";
    for (const char* header : {"forwarded", "x-forwarded-for", "via"}) {
        auto forwarded = request;
        forwarded.headers.emplace(header, "10.0.0.9");
        BOOST_TEST(name_of(*local, forwarded) == "nobody", header);
    }
}

BOOST_AUTO_TEST_SUITE_END()
