#include "admin/session.hpp"

#include "http/text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace pawl::admin::detail {
namespace {

constexpr std::string_view cookie_name = "pawl_session";
constexpr std::size_t max_token_size = 512;

std::string_view trim(std::string_view text)
{
    const auto begin = text.find_first_not_of(" \t");
    if (begin == text.npos)
        return {};
    return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

} // namespace

bool is_token(std::string_view text) noexcept
{
    constexpr std::string_view characters =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=";
    return !text.empty() && text.size() <= max_token_size &&
           text.find_first_not_of(characters) == text.npos;
}

std::string_view session_token(const http::request& message)
{
    if (message.headers.contains("authorization"))
        return {};
    auto rest = message.header("cookie");
    while (!rest.empty()) {
        const auto semicolon = std::min(rest.find(';'), rest.size());
        const auto pair = rest.substr(0, semicolon);
        rest.remove_prefix(std::min(semicolon + 1, rest.size()));
        const auto equals = pair.find('=');
        if (equals == pair.npos || trim(pair.substr(0, equals)) != cookie_name)
            continue;
        // The first is the one with the longest path.
        const auto token = trim(pair.substr(equals + 1));
        return is_token(token) ? token : std::string_view{};
    }
    return {};
}

http::request with_token(const http::request& message, std::string_view token)
{
    http::request signed_in{.method = message.method,
                            .path = message.path,
                            .query = message.query,
                            .captures = message.captures,
                            .headers = message.headers,
                            .body = {},
                            .user = message.user,
                            .peer = message.peer};
    signed_in.headers.insert_or_assign("authorization", fmt::format("Bearer {}", token));
    return signed_in;
}

std::string begin_session(const http::request& message, std::string_view prefix,
                          std::string_view token)
{
    const auto origin = message.header("origin");
    const bool is_secure = http::detail::equal_ignoring_case(
        origin.substr(0, std::min<std::size_t>(8, origin.size())), "https://");
    return fmt::format("{}={}; Path={}/; HttpOnly; SameSite=Strict{}", cookie_name, token, prefix,
                       is_secure ? "; Secure" : "");
}

std::string end_session(std::string_view prefix)
{
    return fmt::format("{}=; Path={}/; HttpOnly; SameSite=Strict; Max-Age=0", cookie_name, prefix);
}

} // namespace pawl::admin::detail
