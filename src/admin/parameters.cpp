#include "admin/parameters.hpp"

#include "admin/refusal.hpp"
#include "pawl/codec.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace pawl::admin::detail {
namespace {

[[noreturn]] void refuse_parameter(std::string_view name, std::string_view value,
                                   const std::string& demand)
{
    throw refusal(
        400, "invalid_argument",
        fmt::format("the query parameter {} is '{}'; it must be {}", name, value, demand));
}

[[noreturn]] void refuse_member(std::string_view name, const std::string& demand)
{
    throw refusal(422, "invalid_argument",
                  fmt::format("the member {} of the body must be {}", name, demand));
}

std::optional<std::uint64_t> parse_number(std::string_view text)
{
    std::uint64_t value = 0;
    const auto* const end = text.data() + text.size();
    const auto read = std::from_chars(text.data(), end, value);
    if (text.empty() || read.ec != std::errc{} || read.ptr != end)
        return std::nullopt;
    return value;
}

std::optional<attribute_value> parse_attribute_value(std::string_view text)
{
    const auto colon = text.find(':');
    const auto kind = text.substr(0, colon);
    const auto rest = colon == text.npos ? text : text.substr(colon + 1);
    if (colon == text.npos || (kind != "integer" && kind != "boolean" && kind != "time"))
        return attribute_value{std::string{text}};
    if (kind == "integer") {
        std::int64_t value = 0;
        const auto* const end = rest.data() + rest.size();
        const auto read = std::from_chars(rest.data(), end, value);
        if (rest.empty() || read.ec != std::errc{} || read.ptr != end)
            return std::nullopt;
        return attribute_value{value};
    }
    if (kind == "boolean") {
        if (rest != "true" && rest != "false")
            return std::nullopt;
        return attribute_value{rest == "true"};
    }
    const auto at = parse_time(rest);
    if (!at)
        return std::nullopt;
    return attribute_value{*at};
}

} // namespace

void allow_parameters(const http::request& message, std::initializer_list<std::string_view> names)
{
    for (const auto& [name, value] : message.query)
        if (std::ranges::find(names, name) == names.end())
            throw refusal(400, "invalid_argument",
                          fmt::format("there is no query parameter '{}' here{}{}", name,
                                      names.size() == 0 ? "" : "; there are ",
                                      fmt::join(names, ", ")));
}

std::string text_parameter(const http::request& message, std::string_view name)
{
    const auto found = message.query.find(name);
    return found == message.query.end() ? std::string{} : found->second;
}

std::uint64_t number_parameter(const http::request& message, std::string_view name,
                               std::uint64_t otherwise, std::uint64_t lowest, std::uint64_t highest)
{
    const auto found = message.query.find(name);
    if (found == message.query.end())
        return otherwise;
    const auto value = parse_number(found->second);
    if (!value || *value < lowest || *value > highest)
        refuse_parameter(name, found->second,
                         fmt::format("a whole number from {} to {}", lowest, highest));
    return *value;
}

bool flag_parameter(const http::request& message, std::string_view name)
{
    const auto text = text_parameter(message, name);
    if (!text.empty() && text != "true" && text != "false")
        refuse_parameter(name, text, "true or false");
    return text == "true";
}

std::optional<time_point> parse_time(std::string_view text)
{
    if (text.find_first_of("\"\\") != text.npos)
        return std::nullopt;
    try {
        return codec<time_point>::decode('"' + std::string{text} + '"');
    } catch (const system_error&) {
        return std::nullopt;
    }
}

std::optional<time_point> time_parameter(const http::request& message, std::string_view name)
{
    const auto found = message.query.find(name);
    if (found == message.query.end())
        return std::nullopt;
    const auto at = parse_time(found->second);
    if (!at)
        refuse_parameter(name, found->second, "a time such as 2027-01-31T00:00:00Z");
    return at;
}

std::optional<std::vector<std::string>> list_parameter(const http::request& message,
                                                       std::string_view name)
{
    const auto found = message.query.find(name);
    if (found == message.query.end() || found->second.empty())
        return std::nullopt;
    std::vector<std::string> parts;
    std::string_view rest = found->second;
    for (;;) {
        const auto comma = rest.find(',');
        parts.emplace_back(rest.substr(0, comma));
        if (comma == rest.npos)
            return parts;
        rest.remove_prefix(comma + 1);
    }
}

std::vector<attribute_filter> attributes_parameter(const http::request& message,
                                                   std::string_view name)
{
    std::vector<attribute_filter> filters;
    for (const auto& part : list_parameter(message, name).value_or(std::vector<std::string>{})) {
        const auto equals = part.find('=');
        const auto value = equals == part.npos
                               ? std::nullopt
                               : parse_attribute_value(std::string_view{part}.substr(equals + 1));
        if (equals == 0 || !value)
            refuse_parameter(name, part,
                             "NAME=VALUE, where VALUE is a text or integer:N, boolean:true, "
                             "time:2027-01-31T00:00:00Z");
        filters.push_back({.name = part.substr(0, equals), .value = *value});
    }
    return filters;
}

body_reader::body_reader(const http::request& message)
{
    if (message.body.empty())
        return;
    boost::json::value document;
    try {
        document = pawl::detail::parse_json(message.body);
    } catch (const system_error& fault) {
        throw refusal(422, "decode_failed", std::string{"the body: "} + fault.what());
    }
    if (!document.is_object())
        throw refusal(422, "decode_failed", "the body must be a JSON object");
    members_ = std::move(document.as_object());
}

const boost::json::value* body_reader::find(std::string_view name)
{
    read_.emplace_back(name);
    return members_.if_contains({name.data(), name.size()});
}

std::string body_reader::text(std::string_view name)
{
    const auto* const found = find(name);
    if (found == nullptr || found->is_null())
        return {};
    if (!found->is_string())
        refuse_member(name, "a text");
    return std::string{found->as_string()};
}

std::optional<std::string> body_reader::document(std::string_view name)
{
    const auto* const found = find(name);
    if (found == nullptr)
        return std::nullopt;
    std::string text;
    pawl::detail::write_value(*found, text);
    return text;
}

std::optional<std::uint64_t> body_reader::number(std::string_view name)
{
    const auto* const found = find(name);
    if (found == nullptr || found->is_null())
        return std::nullopt;
    std::optional<std::uint64_t> value;
    if (found->is_string())
        value = parse_number({found->as_string().data(), found->as_string().size()});
    else if (found->is_int64() && found->as_int64() >= 0)
        value = static_cast<std::uint64_t>(found->as_int64());
    if (!value)
        refuse_member(name, "a whole number that is not negative");
    return value;
}

bool body_reader::flag(std::string_view name)
{
    const auto* const found = find(name);
    if (found == nullptr || found->is_null())
        return false;
    if (!found->is_bool())
        refuse_member(name, "true or false");
    return found->as_bool();
}

void body_reader::finish() const
{
    for (const auto& member : members_)
        if (std::ranges::find(read_, std::string_view{member.key().data(), member.key().size()}) ==
            read_.end())
            throw refusal(422, "invalid_argument",
                          fmt::format("there is no member '{}' here; there are {}",
                                      std::string{member.key()}, fmt::join(read_, ", ")));
}

} // namespace pawl::admin::detail
