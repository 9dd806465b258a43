#include "services/json.hpp"

#include <boost/json/array.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace order_processing::services {

namespace json = boost::json;

namespace {

constexpr std::int64_t max_quantity = 1'000'000'000;
constexpr std::size_t max_items = 10'000;

json::object parse_body(std::string_view body)
{
    boost::system::error_code code;
    auto value = json::parse({body.data(), body.size()}, code);
    if (code)
        throw field_error("The body must be JSON: " + code.message() + ".");
    if (!value.is_object())
        throw field_error("The body must be a JSON object.");
    return std::move(value.get_object());
}

} // namespace

json_reader::json_reader(std::string_view body) : json_reader(parse_body(body), "")
{
}

json_reader::json_reader(json::object members, std::string path)
    : members_(std::move(members)), path_(std::move(path))
{
}

bool json_reader::has(std::string_view name) const
{
    return members_.contains({name.data(), name.size()});
}

std::string json_reader::text(std::string_view name) const
{
    auto value = text_or_empty(name);
    if (value.empty())
        fail(name, "must not be empty");
    return value;
}

std::string json_reader::text_or_empty(std::string_view name) const
{
    const auto& value = member(name);
    if (!value.is_string())
        fail(name, "must be a string");
    return {value.get_string().data(), value.get_string().size()};
}

std::int64_t json_reader::number(std::string_view name, std::int64_t lowest,
                                 std::int64_t highest) const
{
    const auto& value = member(name);
    if (!value.is_int64() || value.get_int64() < lowest || value.get_int64() > highest)
        fail(name, fmt::format("must be a whole number from {} to {}", lowest, highest));
    return value.get_int64();
}

std::uint64_t json_reader::seed(std::string_view name) const
{
    const auto& value = member(name);
    if (value.is_uint64())
        return value.get_uint64();
    if (!value.is_int64() || value.get_int64() < 0)
        fail(name, "must be a whole number from 0 to 2^64 - 1");
    return static_cast<std::uint64_t>(value.get_int64());
}

double json_reader::rate(std::string_view name) const
{
    const auto& value = member(name);
    const double rate = value.is_double()  ? value.get_double()
                        : value.is_int64() ? static_cast<double>(value.get_int64())
                                           : -1;
    if (!(rate >= 0 && rate <= 1))
        fail(name, "must be a number from 0 to 1");
    return rate;
}

money json_reader::positive_amount(std::string_view name) const
{
    try {
        const auto amount = money::from_json(member(name));
        if (amount <= money{})
            fail(name, "must be more than 0");
        return amount;
    } catch (const money_error& error) {
        fail(name, error.what());
    }
}

std::vector<item> json_reader::items(std::string_view name) const
{
    const auto& value = member(name);
    if (!value.is_array() || value.get_array().empty() || value.get_array().size() > max_items)
        fail(name, fmt::format("must be an array of 1 to {} lines", max_items));
    std::vector<item> lines;
    for (const auto& each : value.get_array()) {
        const auto path = fmt::format("{}{}[{}]", path_, name, lines.size());
        if (!each.is_object())
            throw field_error(path + " must be an object.");
        const json_reader line{each.get_object(), path + "."};
        lines.push_back({.product_id = line.text("product_id"),
                         .quantity = line.number("quantity", 1, max_quantity)});
    }
    return lines;
}

json_reader json_reader::object(std::string_view name) const
{
    const auto& value = member(name);
    if (!value.is_object())
        fail(name, "must be an object");
    return {value.get_object(), fmt::format("{}{}.", path_, name)};
}

void json_reader::allow_only(const std::vector<std::string_view>& names) const
{
    for (const auto& each : members_) {
        const std::string_view name{each.key().data(), each.key().size()};
        if (std::find(names.begin(), names.end(), name) == names.end())
            fail(name, "is unknown");
    }
}

const json::value& json_reader::member(std::string_view name) const
{
    const auto* found = members_.if_contains({name.data(), name.size()});
    if (found == nullptr)
        fail(name, "is missing");
    return *found;
}

void json_reader::fail(std::string_view name, std::string_view what) const
{
    throw field_error(fmt::format("{}{} {}.", path_, name, what));
}

json_writer& json_writer::add(std::string_view name, std::string_view text)
{
    return add_json(name, json::serialize(json::string_view{text.data(), text.size()}));
}

json_writer& json_writer::add(std::string_view name, const char* text)
{
    return add(name, std::string_view{text});
}

json_writer& json_writer::add(std::string_view name, money amount)
{
    return add_json(name, to_string(amount));
}

json_writer& json_writer::add(std::string_view name, double number)
{
    return add_json(name, fmt::format("{}", number));
}

json_writer& json_writer::add_json(std::string_view name, std::string_view value)
{
    if (text_.size() > 1)
        text_ += ',';
    text_ += '"';
    text_ += name;
    text_ += "\":";
    text_ += value;
    return *this;
}

std::string json_writer::done()
{
    text_ += '}';
    return std::move(text_);
}

std::map<std::string, std::int64_t> demand_of(const std::vector<item>& items)
{
    std::map<std::string, std::int64_t> demand;
    for (const auto& line : items)
        demand[line.product_id] += line.quantity;
    return demand;
}

std::string to_json(const std::vector<item>& items)
{
    std::string text = "[";
    for (const auto& line : items) {
        if (text.size() > 1)
            text += ',';
        text +=
            json_writer{}.add("product_id", line.product_id).add("quantity", line.quantity).done();
    }
    return text + "]";
}

std::vector<item> items_from_json(std::string_view text)
{
    return json_reader{fmt::format(R"({{"items":{}}})", text)}.items("items");
}

} // namespace order_processing::services
