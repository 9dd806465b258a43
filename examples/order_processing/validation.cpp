#include "validation.hpp"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

namespace order_processing {
namespace {

using problems = std::vector<std::string>;

/// A limit, because every sentence is stored and the customer controls how many there are.
constexpr std::size_t most_problems = 20;

/// The beginning of a customer's text, for a sentence, cut at a UTF-8 character.
std::string shortened(const std::string& text)
{
    constexpr std::size_t longest = 64;
    if (text.size() <= longest)
        return text;
    auto end = longest;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80)
        --end;
    return text.substr(0, end) + "...";
}

// Of one line. As max_items, what the inventory takes in one reservation.
constexpr int max_quantity = 1'000'000'000;

bool is_blank(std::string_view text) noexcept
{
    return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

void check_item(const OrderItem& item, std::size_t index, problems& found)
{
    if (is_blank(item.product_id))
        found.push_back("Product id is required for item " + std::to_string(index + 1));
    if (item.quantity <= 0)
        found.push_back("Invalid quantity for product " + shortened(item.product_id));
    if (item.quantity > max_quantity)
        found.push_back("items[" + std::to_string(index) + "].quantity is " +
                        std::to_string(item.quantity) + "; it must be at most " +
                        std::to_string(max_quantity));
    if (item.price < money{})
        found.push_back("Invalid price for product " + shortened(item.product_id));
}

void check_items(const Order& order, problems& found)
{
    if (order.items.empty())
        found.emplace_back("Order must have at least one item");
    if (order.items.size() > max_items) {
        found.push_back("items has " + std::to_string(order.items.size()) +
                        " lines; it must have at most " + std::to_string(max_items));
        return;
    }
    std::set<std::string_view> products;
    std::set<std::string_view> repeated;
    for (std::size_t i = 0; i < order.items.size(); ++i) {
        if (found.size() >= most_problems) {
            found.emplace_back("There are more problems with the items, which are not listed");
            return;
        }
        const OrderItem& item = order.items[i];
        if (!is_blank(item.product_id) && !products.insert(item.product_id).second &&
            repeated.insert(item.product_id).second)
            found.push_back("Product " + shortened(item.product_id) + " is listed more than once");
        check_item(item, i, found);
    }
}

bool total_matches(const Order& order)
{
    try {
        return value_of(order.items) == order.total;
    } catch (const money_error&) {
        return false; // the items are worth more than any total can say
    }
}

bool is_complete(const Address& address) noexcept
{
    return !is_blank(address.street) && !is_blank(address.city) && !is_blank(address.state) &&
           !is_blank(address.zip_code) && !is_blank(address.country);
}

} // namespace

bool is_payment_method(std::string_view method) noexcept
{
    // The last two are test cards of the provider: it refuses one, and never completes the other.
    static constexpr std::array<std::string_view, 4> known{"credit_card", "debit_card",
                                                           "invalid_card", "stuck_card"};
    return std::find(known.begin(), known.end(), method) != known.end();
}

std::vector<std::string> find_problems(const Order& order)
{
    problems found;
    if (is_blank(order.id))
        found.emplace_back("Order id is required");
    if (is_blank(order.customer_id))
        found.emplace_back("Customer id is required");
    check_items(order, found);
    if (order.total <= money{})
        found.emplace_back("Order total must be above zero");
    if (!total_matches(order))
        found.emplace_back("Order total does not match item prices");
    if (is_blank(order.payment_method))
        found.emplace_back("Payment method is required");
    else if (!is_payment_method(order.payment_method))
        found.emplace_back("Unknown payment method"); // not quoted: it may be a card's number
    if (!is_complete(order.shipping_address))
        found.emplace_back("Complete shipping address is required");
    return found;
}

} // namespace order_processing
