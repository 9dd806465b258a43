#include "otlp/encode_spans.hpp"

#include "pawl/detail/json_io.hpp"
#include "pawl/error.hpp"

#include <string_view>
#include <utility>

namespace pawl::otlp {

namespace {

using detail::close_list;
using detail::write_name;

/// Requests need valid UTF-8, whatever a handler has thrown.
void write_text(std::string_view text, std::string& out)
{
    const auto before = out.size();
    try {
        detail::write_text(text, out);
    } catch (const encode_error&) {
        out.resize(before);
        std::string valid;
        for (const char c : text)
            if (static_cast<unsigned char>(c) < 0x80)
                valid += c;
            else
                valid += "\xef\xbf\xbd";
        detail::write_text(valid, out);
    }
}

void write_hex(std::span<const std::uint8_t> bytes, std::string& out)
{
    constexpr char digits[] = "0123456789abcdef";
    out += '"';
    for (const auto byte : bytes) {
        out += digits[byte >> 4];
        out += digits[byte & 15];
    }
    out += '"';
}

/// 64-bit integers are strings in JSON.
void write_quoted(std::int64_t number, std::string& out)
{
    out += '"';
    detail::write_signed(number, out);
    out += '"';
}

void write_time(std::string_view name, time_point at, std::string& out)
{
    write_name(name, out);
    write_quoted(std::chrono::nanoseconds{at.time_since_epoch()}.count(), out);
    out += ',';
}

void write_attribute(std::string_view name,
                     const std::variant<std::string, std::int64_t, bool>& value, std::string& out)
{
    out += "{\"key\":";
    write_text(name, out);
    out += ",\"value\":{";
    if (const auto* text = std::get_if<std::string>(&value)) {
        write_name("stringValue", out);
        write_text(*text, out);
    } else if (const auto* number = std::get_if<std::int64_t>(&value)) {
        write_name("intValue", out);
        write_quoted(*number, out);
    } else {
        write_name("boolValue", out);
        out += std::get<bool>(value) ? "true" : "false";
    }
    out += "}},";
}

void write_attributes(const std::vector<span_attribute>& attributes, std::string& out)
{
    out += "\"attributes\":[";
    for (const auto& attribute : attributes)
        write_attribute(attribute.name, attribute.value, out);
    close_list(']', out);
}

void write_ids(const trace_context& context, std::string& out)
{
    write_name("traceId", out);
    write_hex(context.trace_id, out);
    out += ',';
    write_name("spanId", out);
    write_hex(context.span_id, out);
    out += ',';
    write_name("flags", out);
    detail::write_unsigned(context.flags, out);
    out += ',';
}

void write_events(const span& made, std::string& out)
{
    out += "\"events\":[";
    for (const auto& event : made.events) {
        out += '{';
        write_time("timeUnixNano", event.at, out);
        write_name("name", out);
        write_text(event.name, out);
        out += ',';
        write_attributes(event.attributes, out);
        out += "},";
    }
    close_list(']', out);
    out += ",\"droppedEventsCount\":";
    detail::write_unsigned(made.dropped_events, out);
    out += ',';
}

void write_links(const span& made, std::string& out)
{
    out += "\"links\":[";
    for (const auto& link : made.links) {
        out += '{';
        write_ids(link.target, out);
        write_attributes(link.attributes, out);
        out += "},";
    }
    close_list(']', out);
    out += ',';
}

void write_span(const span& made, std::string& out)
{
    constexpr std::string_view error_status = "{\"code\":2,\"message\":";
    out += '{';
    write_ids(made.context, out);
    if (made.parent_id != decltype(made.parent_id){}) {
        write_name("parentSpanId", out);
        write_hex(made.parent_id, out);
        out += ',';
    }
    write_name("name", out);
    write_text(made.name, out);
    out += ",\"kind\":";
    detail::write_unsigned(static_cast<std::uint64_t>(made.kind), out);
    out += ',';
    write_time("startTimeUnixNano", made.began_at, out);
    write_time("endTimeUnixNano", made.ended_at, out);
    if (!made.events.empty())
        write_events(made, out);
    if (!made.links.empty())
        write_links(made, out);
    if (made.failed) {
        out += "\"status\":";
        out += error_status;
        write_text(made.error, out);
        out += "},";
    }
    write_attributes(made.attributes, out);
    out += '}';
}

} // namespace

span_encoder::span_encoder(const otlp_options& options) : max_bytes_(options.max_batch_bytes)
{
    beginning_ = R"({"resourceSpans":[{"resource":{"attributes":[)";
    write_attribute("service.name", options.service_name, beginning_);
    for (const auto& [name, value] : options.resource_attributes)
        if (name != "service.name")
            write_attribute(name, value, beginning_);
    close_list(']', beginning_);
    beginning_ += R"(},"scopeSpans":[{"scope":{"name":"pawl"},"spans":[)";
}

std::size_t span_encoder::encode(std::span<const span> spans, std::string& body) const
{
    body = beginning_;
    std::size_t written = 0;
    do {
        write_span(spans[written], body);
        body += ',';
        ++written;
    } while (written < spans.size() && body.size() < max_bytes_);
    close_list(']', body);
    body += "}]}]}";
    return written;
}

} // namespace pawl::otlp
