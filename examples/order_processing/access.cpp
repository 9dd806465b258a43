#include "access.hpp"

#include "pawl/error.hpp"

#include <boost/algorithm/string/predicate.hpp>
#include <boost/algorithm/string/trim.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <utility>

namespace order_processing {
namespace {

using pawl::http::problem;
using pawl::http::request;
using pawl::http::response;

/// b64token of RFC 6750, section 2.1, and its equals signs wherever they are.
bool is_token(std::string_view text)
{
    constexpr std::string_view allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                         "0123456789-._~+/=";
    return text.size() >= 16 && text.size() <= 512 && text.find_first_not_of(allowed) == text.npos;
}

/// The length of a token is not secret.
bool equal_in_constant_time(std::string_view a, std::string_view b)
{
    if (a.size() != b.size())
        return false;
    volatile unsigned char difference = 0;
    for (std::size_t i = 0; i < a.size(); ++i)
        difference = difference | static_cast<unsigned char>(a[i] ^ b[i]);
    return difference == 0;
}

std::ifstream open(const std::string& file)
{
    std::ifstream in{file};
    if (!in)
        throw pawl::definition_error{"the file of tokens '" + file + "' cannot be read"};
    return in;
}

std::string_view bearer_token(const request& req)
{
    constexpr std::string_view scheme = "Bearer ";
    auto credentials = req.header("authorization");
    if (!boost::algorithm::istarts_with(credentials, scheme))
        return {};
    credentials.remove_prefix(scheme.size());
    return credentials;
}

response refuse(int status, std::string_view detail, std::string challenge)
{
    auto answer = problem(status, detail);
    answer.headers.emplace_back("WWW-Authenticate", "Bearer realm=\"orders\"" + challenge);
    return answer;
}

/// Identifies operators by their bearer tokens.
class operator_authenticator final : public pawl::admin::authenticator {
public:
    explicit operator_authenticator(std::shared_ptr<const access_rules> rules)
        : rules_(std::move(rules))
    {
    }

    std::optional<pawl::admin::identity> authenticate(const request& req) override
    {
        const auto owner = rules_->operators.owner_of(bearer_token(req));
        if (!owner)
            return std::nullopt;
        return pawl::admin::identity{*owner, pawl::admin::role::admin, "token"};
    }

    std::string challenge() const override { return "Bearer realm=\"orders\""; }

private:
    std::shared_ptr<const access_rules> rules_;
};

} // namespace

token_set::token_set(const std::string& file)
{
    auto in = open(file);
    std::string line;
    for (int number = 1; std::getline(in, line); ++number) {
        boost::algorithm::trim(line);
        if (line.empty() || line.starts_with('#'))
            continue;
        const auto refuse_line = [&](std::string_view reason) {
            throw pawl::definition_error{fmt::format("{}:{}: {}", file, number, reason)};
        };
        const auto space = std::min(line.find_first_of(" \t"), line.size());
        entry added{line.substr(0, space), line.substr(space)};
        boost::algorithm::trim(added.token);
        if (!is_token(added.token))
            refuse_line(
                "a line is NAME TOKEN, where TOKEN has 16 to 512 of the letters, digits and "
                "-._~+/=");
        for (const auto& entry : entries_)
            if (entry.owner == added.owner || entry.token == added.token)
                refuse_line("the name or the token is there already");
        entries_.push_back(std::move(added));
    }
    if (entries_.empty())
        throw pawl::definition_error{"the file of tokens '" + file + "' has none"};
}

std::optional<std::string> token_set::owner_of(std::string_view token) const
{
    std::optional<std::string> owner;
    for (const auto& entry : entries_)
        if (equal_in_constant_time(entry.token, token))
            owner = entry.owner;
    return owner;
}

std::string read_secret(const std::string& file)
{
    auto in = open(file);
    std::string secret;
    std::getline(in, secret);
    boost::algorithm::trim(secret);
    if (!is_token(secret))
        throw pawl::definition_error{
            "the file '" + file + "' must have a token of 16 to 512 characters as its only line"};
    return secret;
}

std::function<std::optional<response>(request&, std::string_view)>
authorize_by(std::shared_ptr<const access_rules> rules,
             std::set<std::string, std::less<>> for_operators)
{
    return [rules = std::move(rules), for_operators = std::move(for_operators)](
               request& req, std::string_view route) -> std::optional<response> {
        const auto token = bearer_token(req);
        const auto an_operator = rules->operators.owner_of(token);
        const auto customer = rules->customers.owner_of(token);
        req.user = an_operator.value_or(customer.value_or(""));

        const bool needs_operator = for_operators.contains(route);
        const bool needs_token =
            needs_operator ? !rules->operators.empty() : !rules->customers.empty();
        const bool is_admin = route.starts_with(admin_prefix); // it identifies its senders itself
        if (route == "/healthz" || route == "/readyz" || is_admin || !needs_token || an_operator ||
            (customer && !needs_operator))
            return std::nullopt;
        if (customer)
            return refuse(403, "this token is a customer's, and the request needs an operator's",
                          ", error=\"insufficient_scope\"");
        if (req.headers.contains("authorization"))
            return refuse(401, "the token is not known", ", error=\"invalid_token\"");
        return refuse(401, "the request needs a token: Authorization: Bearer TOKEN", "");
    };
}

std::shared_ptr<pawl::admin::authenticator>
admin_authenticator(std::shared_ptr<const access_rules> rules)
{
    if (rules->operators.empty())
        return pawl::admin::loopback_only();
    return std::make_shared<operator_authenticator>(std::move(rules));
}

} // namespace order_processing
