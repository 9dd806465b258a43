#include "admin/guard.hpp"

#include "admin/refusal.hpp"
#include "admin/session.hpp"
#include "http/authority.hpp"
#include "http/text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace pawl::admin::detail {
namespace {

/// Addresses that are counted apart. Others share one count.
constexpr std::size_t max_addresses = 1'024;

bool is_safe(const std::string& method)
{
    return method == "GET" || method == "HEAD";
}

bool is_json(std::string_view content_type)
{
    const auto type = content_type.substr(0, content_type.find(';'));
    const auto end = type.find_last_not_of(" \t");
    return http::detail::equal_ignoring_case(type.substr(0, end + 1), "application/json");
}

/// Browsers name the relation of the page to the server in Sec-Fetch-Site, but not over plain HTTP
/// to a name; then Origin decides. A program sends neither header.
bool is_same_origin(const http::request& message)
{
    const auto site = message.header("sec-fetch-site");
    if (!site.empty())
        return site == "same-origin";
    const auto origin = message.headers.find("origin");
    if (origin == message.headers.end())
        return true;
    const std::string_view text = origin->second;
    const auto scheme_end = text.find("://");
    return scheme_end != text.npos &&
           http::detail::equal_ignoring_case(text.substr(scheme_end + 3), message.header("host"));
}

} // namespace

std::size_t& sign_in_limiter::count_of(const std::string& address)
{
    const auto now = std::chrono::steady_clock::now();
    if (now >= minute_end_) {
        failures_.clear();
        minute_end_ = now + std::chrono::minutes{1};
    }
    const bool is_full = failures_.size() >= max_addresses && !failures_.contains(address);
    return failures_[is_full ? std::string{} : address];
}

bool sign_in_limiter::is_blocked(const std::string& address)
{
    const std::lock_guard lock(mutex_);
    return count_of(address) >= most_;
}

void sign_in_limiter::note_failure(const std::string& address)
{
    const std::lock_guard lock(mutex_);
    ++count_of(address);
}

guard::guard(const api_options& options)
    : authenticator_(options.authenticator), hosts_(options.hosts), max_body_(options.max_body),
      limiter_(options.max_failed_sign_ins)
{
}

identity guard::admit(const http::request& message, permission needed)
{
    check_host(message);
    auto sender = identify(message);
    check_permission(sender, needed);
    if (!is_safe(message.method))
        check_change(message);
    return sender;
}

void guard::check_host(const http::request& message) const
{
    const auto host = http::detail::host_of(message.header("host"));
    // A page cannot send its own name, under which it may have this server's address, as one of
    // these.
    if (http::detail::is_address(host) || http::detail::equal_ignoring_case(host, "localhost"))
        return;
    const bool is_known = std::ranges::any_of(hosts_, [&](const std::string& known) {
        return http::detail::equal_ignoring_case(known, host);
    });
    if (!is_known)
        throw refusal(421, "unknown_host",
                      fmt::format("the host '{}' is not one of api_options::hosts", host));
}

identity guard::identify(const http::request& message)
{
    if (limiter_.is_blocked(message.peer))
        throw refusal(429, "too_many_sign_ins",
                      "too many sign-ins from this address have failed; try again in a minute");
    if (auto sender = sender_of(message))
        return std::move(*sender);
    // Pages that are opened without a session guess no token.
    if (!session_token(message).empty() || !message.header("authorization").empty())
        limiter_.note_failure(message.peer);
    throw refusal(401, "unauthenticated", "the sender of the request is not known: sign in");
}

bool guard::is_admitted(const http::request& message, permission needed) const
{
    const auto sender = sender_of(message);
    return sender && sender->granted >= role_for(needed);
}

std::optional<identity> guard::sender_of(const http::request& message) const
{
    const auto token = session_token(message);
    return token.empty() ? authenticator_->authenticate(message)
                         : authenticator_->authenticate(with_token(message, token));
}

void guard::check_change(const http::request& message) const
{
    if (!is_json(message.header("content-type")))
        throw refusal(415, "unsupported_media_type",
                      "a request that changes something must have the content type "
                      "application/json");
    if (!is_same_origin(message))
        throw refusal(403, "cross_origin", "pages of another origin must not change anything");
    if (message.body.size() > max_body_)
        throw refusal(
            413, "too_large",
            fmt::format("the body has {} bytes; it may have {}", message.body.size(), max_body_));
}

void check_permission(const identity& sender, permission needed)
{
    const auto wanted = role_for(needed);
    if (sender.granted < wanted)
        throw refusal(403, "denied",
                      fmt::format("{} has the role {}; the request needs the role {}", sender.name,
                                  to_string(sender.granted), to_string(wanted)));
}

void add_security_headers(http::response& answer)
{
    answer.headers.emplace_back(
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self'; font-src 'self'; base-uri 'self'; form-action 'self'; "
        "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'");
    answer.headers.emplace_back("X-Content-Type-Options", "nosniff");
    answer.headers.emplace_back("Referrer-Policy", "no-referrer");
    answer.headers.emplace_back("Cross-Origin-Resource-Policy", "same-origin");
    const auto is_cache_control = [](const auto& header) {
        return header.first == "Cache-Control";
    };
    if (std::ranges::none_of(answer.headers, is_cache_control))
        answer.headers.emplace_back("Cache-Control", "no-store");
}

} // namespace pawl::admin::detail
