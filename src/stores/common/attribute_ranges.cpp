#include "stores/common/attribute_ranges.hpp"

#include "pawl/error.hpp"

#include <algorithm>
#include <utility>

namespace pawl {

std::string_view to_string(attribute_kind kind) noexcept
{
    switch (kind) {
    case attribute_kind::text:
        return "text";
    case attribute_kind::integer:
        return "integer";
    case attribute_kind::boolean:
        return "boolean";
    case attribute_kind::time:
        return "time";
    }
    return "unknown";
}

} // namespace pawl

namespace pawl::core {

namespace {

constexpr std::size_t max_filters = 16;

/// Big-endian, with the sign bit inverted, so that the bytes are ordered as the numbers.
void append_ordered(std::string& bytes, std::int64_t number)
{
    const auto ordered = static_cast<std::uint64_t>(number) ^ (std::uint64_t{1} << 63);
    for (int shift = 56; shift >= 0; shift -= 8)
        bytes.push_back(static_cast<char>(ordered >> shift & 0xff));
}

/// Texts are compared as PostgreSQL and SQLite compare bytes.
std::string successor(std::string bytes)
{
    bytes.push_back('\0');
    return bytes;
}

attribute_range range_of(const attribute_filter& filter)
{
    const auto kind = static_cast<char>(kind_of(filter.value));
    attribute_range range{filter.name, {kind}, {static_cast<char>(kind + 1)}};
    auto value = encode_attribute(filter.value);
    switch (filter.comparison) {
    case attribute_comparison::equal:
        range.end = successor(value);
        range.first = std::move(value);
        break;
    case attribute_comparison::less:
        range.end = std::move(value);
        break;
    case attribute_comparison::less_or_equal:
        range.end = successor(std::move(value));
        break;
    case attribute_comparison::greater:
        range.first = successor(std::move(value));
        break;
    case attribute_comparison::greater_or_equal:
        range.first = std::move(value);
        break;
    }
    return range;
}

bool has_order(attribute_kind kind)
{
    return kind == attribute_kind::integer || kind == attribute_kind::time;
}

} // namespace

std::string encode_attribute(const attribute_value& value)
{
    std::string bytes{static_cast<char>(kind_of(value))};
    if (const auto* text = std::get_if<std::string>(&value))
        bytes += *text;
    else if (const auto* integer = std::get_if<std::int64_t>(&value))
        append_ordered(bytes, *integer);
    else if (const auto* boolean = std::get_if<bool>(&value))
        bytes.push_back(*boolean ? 1 : 0);
    else
        append_ordered(bytes, std::get<time_point>(value).time_since_epoch().count());
    return bytes;
}

bool attribute_range::is_equality() const noexcept
{
    return end.size() == first.size() + 1 && end.back() == '\0' && end.starts_with(first);
}

std::vector<attribute_range> attribute_ranges(const record_query& query)
{
    std::vector<attribute_range> ranges;
    for (const attribute_filter& filter : query.attributes) {
        auto range = range_of(filter);
        const auto same = std::ranges::find(ranges, filter.name, &attribute_range::name);
        if (same == ranges.end()) {
            ranges.push_back(std::move(range));
        } else {
            same->first = std::max(same->first, range.first);
            same->end = std::min(same->end, range.end);
        }
    }
    const auto searched = std::ranges::find_if(
        ranges, [](const attribute_range& range) { return range.is_equality(); });
    if (searched != ranges.end())
        std::rotate(ranges.begin(), searched, searched + 1);
    return ranges;
}

void check_attribute_filters(const record_query& query)
{
    if (query.attributes.empty())
        return;
    if (query.attributes.size() > max_filters)
        throw error{errc::invalid_argument,
                    "record_query::attributes has " + std::to_string(query.attributes.size()) +
                        " conditions; at most " + std::to_string(max_filters) + " are allowed"};
    if (query.workflow.empty())
        throw error{errc::invalid_argument,
                    "record_query::attributes needs record_query::workflow"};
    for (const attribute_filter& filter : query.attributes)
        if (const auto kind = kind_of(filter.value);
            filter.comparison != attribute_comparison::equal && !has_order(kind))
            throw error{errc::invalid_argument,
                        "attribute \"" + filter.name + "\" is " + std::string{to_string(kind)} +
                            ", which has no order: it can only be compared with ="};
}

void check_attributes(const attribute_changes& changes)
{
    const auto& values = changes.values;
    for (auto changed = values.begin(); changed != values.end(); ++changed) {
        if (changed->name.empty())
            throw error{errc::invalid_argument, "the name of an attribute is empty"};
        if (std::find_if(values.begin(), changed, [&](const stored_attribute& before) {
                return before.name == changed->name;
            }) != changed)
            throw error{errc::invalid_argument,
                        "a change has two values of attribute \"" + changed->name + "\""};
    }
}

} // namespace pawl::core
