#include "http/http_span.hpp"

#include "http/text.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

namespace pawl::http::detail {

namespace {

constexpr std::string_view header_name = "traceparent";

time_point now()
{
    return std::chrono::floor<duration>(std::chrono::system_clock::now());
}

/// A name from a bounded set: peers may send any method.
std::string_view known_method(std::string_view method)
{
    constexpr std::array<std::string_view, 9> methods{
        "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"};
    return std::ranges::find(methods, method) == methods.end() ? "_OTHER" : method;
}

void put(span& made, std::string_view name, std::string_view value)
{
    made.attributes.push_back({name, std::string{value}});
}

void put_status(span& made, int status, int least_error)
{
    made.attributes.push_back({"http.response.status_code", std::int64_t{status}});
    made.failed = status >= least_error;
    if (made.failed)
        put(made, "error.type", std::to_string(status));
}

} // namespace

std::string http_span::begin(const span_recording& recording, std::string_view header)
{
    const auto parent = trace_context::parse(header);
    parent_ = parent.value_or(trace_context{});
    context_ = make_span(parent, recording.policy);
    began_at_ = now();
    is_open_ = true;
    return to_string(context_);
}

void http_span::begin(const span_recording& recording, request& message)
{
    if (!recording.sink)
        return;
    auto header = begin(recording, message.header(header_name));
    message.headers.insert_or_assign(std::string{header_name}, std::move(header));
}

void http_span::begin(const span_recording& recording, client_request& message)
{
    if (!recording.sink)
        return;
    method_ = message.method;
    const auto found = std::ranges::find_if(message.headers, [](const auto& header) {
        return equal_ignoring_case(header.first, header_name);
    });
    if (found != message.headers.end())
        found->second = begin(recording, found->second);
    else
        message.headers.emplace_back(header_name, begin(recording, std::string_view{}));
}

bool http_span::take(const span_recording& recording)
{
    return std::exchange(is_open_, false) && (context_.flags & 1) != 0 &&
           recording.sink->has_room();
}

span http_span::make(span_kind kind, std::string_view method) const
{
    span made;
    made.context = context_;
    made.parent_id = parent_.span_id;
    made.kind = kind;
    made.began_at = began_at_;
    made.ended_at = std::max(began_at_, now());
    made.name = known_method(method);
    put(made, "http.request.method", known_method(method));
    return made;
}

void http_span::end_at_server(const span_recording& recording, std::string_view method,
                              std::string_view route, bool is_secure, int status)
{
    if (!take(recording))
        return;
    auto made = make(span_kind::server, method);
    if (!route.empty()) {
        made.name.append(" ").append(route);
        put(made, "http.route", route);
    }
    put(made, "url.scheme", is_secure ? "https" : "http");
    put_status(made, status, 500);
    recording.sink->add(std::move(made));
}

void http_span::end_at_client(const span_recording& recording, std::string_view host,
                              std::uint16_t port, int status, std::string_view problem)
{
    if (!take(recording))
        return;
    auto made = make(span_kind::client, method_);
    put(made, "server.address", host);
    if (port != 0)
        made.attributes.push_back({"server.port", std::int64_t{port}});
    if (status != 0) {
        put_status(made, status, 400);
    } else {
        made.failed = true;
        put(made, "error.type", problem);
    }
    recording.sink->add(std::move(made));
}

} // namespace pawl::http::detail
