#include "services/json.hpp"

#include <fmt/format.h>

#include <utility>

namespace order_processing::services {

void require(bool holds, std::string_view name, std::string_view bound)
{
    if (!holds)
        throw field_error(fmt::format("{} must {}.", name, bound));
}

void require_text(const std::string& text, std::string_view name)
{
    require(!text.empty(), name, "not be empty");
}

void require_items(const std::vector<item>& items)
{
    require(!items.empty() && items.size() <= 10'000, "items", "be an array of 1 to 10000 lines");
    for (std::size_t i = 0; i < items.size(); ++i) {
        const auto path = fmt::format("items[{}].", i);
        require_text(items[i].product_id, path + "product_id");
        require(items[i].quantity >= 1 && items[i].quantity <= 1'000'000'000, path + "quantity",
                "be a whole number from 1 to 1000000000");
    }
}

json_writer& json_writer::add_json(std::string_view name, std::string_view value)
{
    if (text_.size() > 1)
        text_ += ',';
    text_.append("\"").append(name).append("\":").append(value);
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

} // namespace order_processing::services
