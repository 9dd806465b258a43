// Bearer tokens: the files that they are read from, and who may send what.
#include "access.hpp"
#include "pawl/error.hpp"
#include "temporary_folder.hpp"

#include <boost/test/unit_test.hpp>

#include <fstream>
#include <string>

BOOST_AUTO_TEST_SUITE(order_access)

using namespace order_processing;

namespace {

const std::string first_token = "first-token-0123456789";
const std::string second_token = "second-token-0123456789";
const std::string operator_token = "operator-token-0123456789";

struct files {
    temporary_folder folder;

    std::string write(const std::string& text)
    {
        const auto file = folder.file("tokens-" + std::to_string(++count));
        std::ofstream{file} << text;
        return file;
    }

    std::string fault_of(const std::string& text)
    {
        try {
            token_set{write(text)};
        } catch (const pawl::definition_error& error) {
            return error.what();
        }
        return {};
    }

    int count = 0;
};

int ask(const access_rules& rules, const std::string& route, const std::string& authorization,
        std::string* user = nullptr)
{
    const auto authorize = authorize_by(std::make_shared<const access_rules>(rules),
                                        {"/metrics", "/orders/{id}/data"});
    pawl::http::request asked;
    if (!authorization.empty())
        asked.headers.emplace("authorization", authorization);
    const auto refused = authorize(asked, route);
    if (user)
        *user = asked.user;
    return refused ? refused->status : 200;
}

} // namespace

BOOST_FIXTURE_TEST_CASE(tokens_have_owners, files)
{
    const token_set tokens{
        write("# the shop\n\n  shop\t" + first_token + "  \r\napp " + second_token)};
    BOOST_TEST(tokens.owner_of(first_token).value() == "shop");
    BOOST_TEST(tokens.owner_of(second_token).value() == "app");
    for (const auto& wrong :
         {std::string{}, first_token.substr(1), first_token + "x", "F" + first_token.substr(1)})
        BOOST_TEST(!tokens.owner_of(wrong).has_value(), wrong);
    BOOST_TEST(token_set{}.empty());
    BOOST_TEST(!token_set{}.owner_of("").has_value());
}

BOOST_FIXTURE_TEST_CASE(wrong_files_are_named_without_their_tokens, files)
{
    BOOST_CHECK_THROW(token_set{folder.file("missing")}, pawl::definition_error);
    BOOST_TEST(fault_of("") != "");
    for (const auto& line :
         {std::string{"shop"}, std::string{"shop short"}, "shop " + first_token + " more",
          "shop \"" + first_token + "\"", "shop " + std::string(513, 'x')}) {
        const auto fault = fault_of("app " + second_token + "\n" + line + "\n");
        BOOST_TEST(fault.find("tokens-" + std::to_string(count) + ":2: ") != std::string::npos,
                   fault);
        BOOST_TEST(fault.find("token-0123456789") == std::string::npos, fault);
    }
    BOOST_TEST(fault_of("a " + first_token + "\na " + second_token) != "");
    BOOST_TEST(fault_of("a " + first_token + "\nb " + first_token) != "");

    BOOST_TEST(read_secret(write(first_token + "\n")) == first_token);
    BOOST_CHECK_THROW(read_secret(write("")), pawl::definition_error);
    BOOST_CHECK_THROW(read_secret(write("a\r\nb")), pawl::definition_error);
}

BOOST_FIXTURE_TEST_CASE(requests_need_the_token_of_their_route, files)
{
    access_rules rules;
    rules.customers = token_set{write("shop " + first_token)};
    rules.operators = token_set{write("ada " + operator_token)};
    struct row {
        std::string route, token;
        int status;
        std::string user;
    };
    const std::vector<row> table{
        {"/orders", "", 401, ""},
        {"/orders", "Bearer " + second_token, 401, ""},
        {"/orders", "Basic " + first_token, 401, ""},
        {"/orders", first_token, 401, ""},
        {"/orders", "Bearer " + first_token, 200, "shop"},
        {"/orders", "bearer " + first_token, 200, "shop"},
        {"/orders", "Bearer " + operator_token, 200, "ada"},
        {"", "", 401, ""},
        {"", "Bearer " + first_token, 200, "shop"},
        {"/metrics", "", 401, ""},
        {"/metrics", "Bearer " + first_token, 403, "shop"},
        {"/orders/{id}/data", "Bearer " + operator_token, 200, "ada"},
        {"/healthz", "", 200, ""},
        {"/readyz", "", 200, ""},
        {"/readyz", "Bearer " + second_token, 200, ""},
    };
    for (const auto& each : table) {
        std::string user;
        BOOST_TEST(ask(rules, each.route, each.token, &user) == each.status,
                   each.route << " " << each.token);
        BOOST_TEST(user == each.user, each.route << " " << each.token);
    }
}

BOOST_FIXTURE_TEST_CASE(without_tokens_nobody_needs_one, files)
{
    BOOST_TEST(ask({}, "/orders", "") == 200);
    BOOST_TEST(ask({}, "/metrics", "Bearer x") == 200);
    access_rules rules;
    rules.operators = token_set{write("ada " + operator_token)};
    BOOST_TEST(ask(rules, "/orders", "") == 200);
    BOOST_TEST(ask(rules, "/metrics", "") == 401);
}

BOOST_AUTO_TEST_SUITE_END()
