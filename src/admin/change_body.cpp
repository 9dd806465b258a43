#include "admin/change_body.hpp"

#include "admin/refusal.hpp"

#include <fmt/format.h>

#include <charconv>
#include <optional>

namespace pawl::admin::detail {

namespace {

/// The version of an If-Match; empty without one, and for "*".
std::optional<std::uint64_t> read_version(const http::request& message)
{
    const auto text = message.header("if-match");
    if (text.empty() || text == "*")
        return std::nullopt;
    std::uint64_t version = 0;
    const auto* const end = text.data() + text.size() - 1;
    const bool is_quoted = text.size() > 2 && text.starts_with('"') && text.ends_with('"');
    const auto read =
        is_quoted ? std::from_chars(text.data() + 1, end, version) : std::from_chars_result{};
    if (!is_quoted || read.ec != std::errc{} || read.ptr != end)
        throw refusal(400, "invalid_argument",
                      fmt::format("the header If-Match is '{}'; it must be the ETag of the run, a "
                                  "number in quotes",
                                  text));
    return version;
}

} // namespace

change_request read_change(const http::request& message, const identity& sender, body_reader& body)
{
    constexpr std::uint64_t longest_wait = 30;
    change_request change;
    change.by = {.name = sender.name, .method = sender.method, .address = message.peer};
    change.reason = body.text("reason");
    change.idempotency_key = message.header("idempotency-key");
    change.if_version = read_version(message);
    if (const auto seconds = body.number("wait_seconds")) {
        if (*seconds > longest_wait)
            throw refusal(
                422, "invalid_argument",
                fmt::format("the member wait_seconds is {}; it may be {}", *seconds, longest_wait));
        change.wait_for = std::chrono::seconds{*seconds};
    }
    return change;
}

} // namespace pawl::admin::detail
