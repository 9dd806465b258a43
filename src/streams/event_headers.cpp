#include "streams/event_headers.hpp"

#include "pawl/codec.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

namespace pawl::streams {

namespace {

// Other programs read them, and messages are stored by brokers: never change.
constexpr std::string_view format_header = "Pawl-Event"; ///< marks a message that Pawl has written
constexpr std::string_view id_header = "Pawl-Id";
constexpr std::string_view key_header = "Pawl-Key";
constexpr std::string_view type_header = "Pawl-Type";
constexpr std::string_view time_header = "Pawl-Time"; ///< microseconds since 1970
constexpr std::string_view trace_header = "traceparent";

/// Headers with these beginnings have a meaning to brokers or to CloudEvents.
constexpr std::string_view reserved_beginnings[] = {"pawl-", "nats-", "ce-", "ce_", "traceparent"};

char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool begins_with(std::string_view text, std::string_view beginning)
{
    return text.size() >= beginning.size() &&
           std::equal(beginning.begin(), beginning.end(), text.begin(),
                      [](char b, char t) { return b == lower(t); });
}

void append_escaped(std::string& out, char c)
{
    constexpr char digits[] = "0123456789ABCDEF";
    const auto byte = static_cast<unsigned char>(c);
    out += {'%', digits[byte / 16], digits[byte % 16]};
}

/// Percent-encodes what is not printable ASCII, spaces, quotation marks and the percent sign, as
/// CloudEvents demands of header values.
std::string escaped_value(std::string_view text)
{
    std::string out;
    for (const char c : text)
        if (c > ' ' && c <= '~' && c != '"' && c != '%')
            out += c;
        else
            append_escaped(out, c);
    return out;
}

bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
}

/// A name that brokers would act on is changed: its first character is encoded. An empty name is
/// written as "%".
std::string escaped_name(std::string_view name)
{
    const bool is_reserved =
        std::ranges::any_of(reserved_beginnings, [&](std::string_view beginning) {
            return begins_with(name, beginning);
        });
    std::string out;
    for (std::size_t i = 0; i < name.size(); ++i)
        if (is_name_char(name[i]) && !(i == 0 && is_reserved))
            out += name[i];
        else
            append_escaped(out, name[i]);
    return out.empty() ? "%" : out;
}

int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    const char small = lower(c);
    return small >= 'a' && small <= 'f' ? small - 'a' + 10 : -1;
}

/// A percent sign without two digits stands for itself.
std::string unescaped(std::string_view text)
{
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '%' && i + 2 < text.size() && digit_of(text[i + 1]) >= 0 &&
            digit_of(text[i + 2]) >= 0) {
            out += static_cast<char>(digit_of(text[i + 1]) * 16 + digit_of(text[i + 2]));
            i += 2;
        } else {
            out += text[i];
        }
    }
    return out;
}

/// RFC 3339, without the quotation marks of JSON.
std::string time_text(time_point at)
{
    std::string json;
    codec<time_point>::encode(at, json);
    return json.substr(1, json.size() - 2);
}

std::optional<time_point> parsed_time(const std::string& text)
try {
    return codec<time_point>::decode('"' + text + '"');
} catch (const std::exception&) {
    return {};
}

std::optional<std::string_view> find(const header_list& headers, std::string_view name)
{
    for (const auto& [known, value] : headers)
        if (known.size() == name.size() && std::ranges::equal(known, name, {}, lower, lower))
            return value;
    return {};
}

std::string text_of(const header_list& headers, std::string_view name)
{
    return unescaped(find(headers, name).value_or(std::string_view{}));
}

std::string prefixed(std::string_view prefix, std::string_view name)
{
    return std::string{prefix}.append(name);
}

void add_cloud_event(header_list& headers, const stream_event& event,
                     const event_header_rules& rules)
{
    const auto add = [&](std::string_view name, std::string_view value) {
        if (!value.empty())
            headers.emplace_back(prefixed(rules.cloud_events_prefix, name), escaped_value(value));
    };
    add("specversion", "1.0");
    add("id", event.id);
    add("source", rules.cloud_events_source);
    add("type", event.type.empty() ? std::string_view{"event"} : event.type);
    add("subject", event.key);
    add("time", time_text(event.at));
    add("traceparent", event.trace_parent);
}

void read_own(const header_list& headers, stream_event& event)
{
    event.id = text_of(headers, id_header);
    event.key = text_of(headers, key_header);
    event.type = text_of(headers, type_header);
    event.trace_parent = text_of(headers, trace_header);
    const auto text = text_of(headers, time_header);
    std::int64_t time = 0;
    std::from_chars(text.data(), text.data() + text.size(), time);
    event.at = time_point{duration{time}};
    for (const auto& [name, value] : headers)
        if (std::ranges::none_of(reserved_beginnings, [&](std::string_view beginning) {
                return begins_with(name, beginning);
            }))
            event.headers[name == "%" ? std::string{} : unescaped(name)] = unescaped(value);
}

void read_foreign(const header_list& headers, const event_header_rules& rules, stream_event& event)
{
    const auto cloud = [&](std::string_view name) {
        return text_of(headers, prefixed(rules.cloud_events_prefix, name));
    };
    if (!rules.id_header.empty())
        event.id = find(headers, rules.id_header).value_or(std::string_view{});
    if (auto id = cloud("id"); event.id.empty() && !id.empty())
        event.id = cloud("source") + " " + id; // an id is unique within its source
    if (auto subject = cloud("subject"); !subject.empty())
        event.key = std::move(subject);
    if (auto type = cloud("type"); !type.empty())
        event.type = std::move(type);
    if (const auto at = parsed_time(cloud("time")))
        event.at = *at;
    event.trace_parent = find(headers, trace_header).value_or(std::string_view{});
    if (event.trace_parent.empty())
        event.trace_parent = cloud("traceparent");
    for (const auto& [name, value] : headers) {
        const auto [known, is_new] = event.headers.emplace(name, value);
        if (!is_new)
            known->second += ", " + value;
    }
}

} // namespace

header_list write_event_headers(const stream_event& event, const event_header_rules& rules)
{
    header_list headers;
    headers.emplace_back(format_header, "1");
    const auto add = [&](std::string_view name, std::string_view value) {
        if (!value.empty())
            headers.emplace_back(name, escaped_value(value));
    };
    add(id_header, event.id);
    add(key_header, event.key);
    add(type_header, event.type);
    add(time_header, std::to_string(event.at.time_since_epoch().count()));
    add(trace_header, event.trace_parent);
    if (!rules.id_header.empty() && !event.id.empty())
        headers.emplace_back(rules.id_header, escaped_value(event.id));
    if (!rules.cloud_events_source.empty())
        add_cloud_event(headers, event, rules);
    for (const auto& [name, value] : event.headers)
        headers.emplace_back(escaped_name(name), escaped_value(value));
    return headers;
}

void read_event_headers(const header_list& headers, const event_header_rules& rules,
                        stream_event& event)
{
    if (find(headers, format_header))
        read_own(headers, event);
    else
        read_foreign(headers, rules, event);
}

} // namespace pawl::streams
