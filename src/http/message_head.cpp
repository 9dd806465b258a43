#include "http/message_head.hpp"

#include "http/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>

namespace pawl::http::detail {
namespace {

void write_header(std::string& out, std::string_view name, std::string_view value)
{
    out.append(name).append(": ").append(value).append("\r\n");
}

void write_length(std::string& out, std::size_t length)
{
    fmt::format_to(std::back_inserter(out), "Content-Length: {}\r\n", length);
}

std::optional<std::string> find_fault(const std::string& content_type, const header_list& headers)
{
    constexpr std::array reserved{"connection",        "content-length", "content-type", "expect",
                                  "transfer-encoding", "host",           "upgrade"};
    if (!is_field_value(content_type))
        return "its content type has a control character";
    for (const auto& [name, value] : headers) {
        if (!is_token(name))
            return fmt::format("'{}' is not a valid header name", name);
        if (std::ranges::any_of(
                reserved, [&](std::string_view word) { return equal_ignoring_case(word, name); }))
            return fmt::format("the header {} is set by the library", name);
        if (!is_field_value(value))
            return fmt::format("the header {} has a control character", name);
    }
    return std::nullopt;
}

} // namespace

bool has_body(int status) noexcept
{
    return status >= 200 && status != 204 && status != 304;
}

void write_answer_head(std::string& out, const response& answer, const answer_frame& frame)
{
    fmt::format_to(std::back_inserter(out), "HTTP/1.1 {} {}\r\n", answer.status,
                   reason_phrase(answer.status));
    write_header(out, "Date", frame.date);
    if (has_body(answer.status)) {
        if (!answer.body.empty() || frame.streamed)
            write_header(out, "Content-Type", answer.content_type);
        if (!frame.streamed)
            write_length(out, answer.body.size());
        else if (!frame.http_1_0)
            write_header(out, "Transfer-Encoding", "chunked");
    }
    for (const auto& [name, value] : answer.headers)
        write_header(out, name, value);
    if (!frame.keep_alive)
        write_header(out, "Connection", "close");
    else if (frame.http_1_0)
        write_header(out, "Connection", "keep-alive");
    out += "\r\n";
}

void write_request_head(std::string& out, const client_request& request, const url& target)
{
    fmt::format_to(std::back_inserter(out), "{} {}{} HTTP/1.1\r\n", request.method, target.path,
                   request.target);
    write_header(out, "Host", target.authority);
    const bool body_expected =
        request.method == "POST" || request.method == "PUT" || request.method == "PATCH";
    if (!request.body.empty())
        write_header(out, "Content-Type", request.content_type);
    if (!request.body.empty() || body_expected)
        write_length(out, request.body.size());
    for (const auto& [name, value] : request.headers)
        write_header(out, name, value);
    out += "\r\n";
}

std::optional<std::string> find_fault(const response& answer)
{
    if (answer.status < 200 || answer.status > 599)
        return fmt::format("status {} is not in [200, 599]", answer.status);
    return find_fault(answer.content_type, answer.headers);
}

std::optional<std::string> find_fault(const client_request& request)
{
    if (!is_token(request.method) || request.method == "CONNECT")
        return fmt::format("'{}' is not a method that can be sent", request.method);
    const bool printable = std::ranges::all_of(
        request.target, [](char c) { return c > ' ' && c < '\x7f' && c != '#'; });
    if (!request.target.starts_with('/') || !printable)
        return "its target must begin with '/' and be percent-encoded";
    return find_fault(request.content_type, request.headers);
}

std::optional<std::string> find_fault(const header_list& headers)
{
    return find_fault({}, headers);
}

} // namespace pawl::http::detail
