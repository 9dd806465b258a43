// Validation: every problem is found, all at once, and a sound order has none.
#include "validation.hpp"

#include "orders.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <functional>
#include <limits>
#include <string>
#include <vector>

BOOST_AUTO_TEST_SUITE(validation)

using order_processing::find_problems;
using order_processing::money;
using order_processing::Order;
using order_processing::sample_order;

namespace {

struct wrong_order {
    const char* sentence;
    std::function<void(Order&)> spoil;
};

const std::vector<wrong_order>& wrong_orders()
{
    static const std::vector<wrong_order> table{
        {"Order id is required",
         [](Order& o) {
             o.id = " ";
         }},
        {"Customer id is required",
         [](Order& o) {
             o.customer_id.clear();
         }},
        {"Order must have at least one item",
         [](Order& o) {
             o.items.clear();
         }},
        {"Product id is required for item 1",
         [](Order& o) {
             o.items[0].product_id.clear();
         }},
        {"Product laptop is listed more than once",
         [](Order& o) {
             o.items.push_back(o.items[0]);
         }},
        {"Invalid quantity for product laptop",
         [](Order& o) {
             o.items[0].quantity = 0;
         }},
        {"Invalid quantity for product laptop",
         [](Order& o) {
             o.items[0].quantity = -1;
         }},
        {"Invalid price for product laptop",
         [](Order& o) {
             o.items[0].price = money::from_minor(-1);
         }},
        {"Order total must be above zero",
         [](Order& o) {
             o.total = {};
         }},
        {"Order total must be above zero",
         [](Order& o) {
             o.total = money::from_minor(-5);
         }},
        {"Order total does not match item prices",
         [](Order& o) {
             o.total = money::from_minor(9'998);
         }},
        {"Order total does not match item prices",
         [](Order& o) {
             o.items[0].price = money::from_minor(money::max_minor);
             o.items[0].quantity = std::numeric_limits<int>::max();
         }},
        {"Payment method is required",
         [](Order& o) {
             o.payment_method.clear();
         }},
        {"Unknown payment method",
         [](Order& o) {
             o.payment_method = "shells";
         }},
        {"Complete shipping address is required",
         [](Order& o) {
             o.shipping_address.street.clear();
         }},
        {"Complete shipping address is required",
         [](Order& o) {
             o.shipping_address.city = "\t";
         }},
        {"Complete shipping address is required",
         [](Order& o) {
             o.shipping_address.state.clear();
         }},
        {"Complete shipping address is required",
         [](Order& o) {
             o.shipping_address.zip_code.clear();
         }},
        {"Complete shipping address is required",
         [](Order& o) {
             o.shipping_address.country.clear();
         }},
    };
    return table;
}

bool contains(const std::vector<std::string>& problems, const std::string& sentence)
{
    return std::find(problems.begin(), problems.end(), sentence) != problems.end();
}

} // namespace

BOOST_AUTO_TEST_CASE(a_sound_order_has_no_problems)
{
    BOOST_TEST(find_problems(sample_order()).empty());
}

BOOST_AUTO_TEST_CASE(each_problem_is_found)
{
    for (const auto& wrong : wrong_orders()) {
        Order order = sample_order();
        wrong.spoil(order);
        BOOST_TEST(contains(find_problems(order), wrong.sentence), wrong.sentence);
    }
}

BOOST_AUTO_TEST_CASE(all_problems_are_found_at_once)
{
    const auto problems = find_problems(Order{});
    for (const char* sentence :
         {"Order id is required", "Customer id is required", "Order must have at least one item",
          "Order total must be above zero", "Payment method is required",
          "Complete shipping address is required"})
        BOOST_TEST(contains(problems, sentence), sentence);
}

BOOST_AUTO_TEST_CASE(a_product_that_is_repeated_is_reported_once)
{
    Order order = sample_order();
    order.items = {order.items[0], order.items[0], order.items[0]};
    const auto problems = find_problems(order);
    BOOST_TEST(std::count(problems.begin(), problems.end(),
                          "Product laptop is listed more than once") == 1);
}

BOOST_AUTO_TEST_CASE(a_cent_too_little_is_not_the_total)
{
    Order order = sample_order();
    order.items = {{"pen", 3, money::from_minor(33)}};
    order.total = money::from_minor(99);
    BOOST_TEST(find_problems(order).empty());
    order.total = money::from_minor(100);
    BOOST_TEST(contains(find_problems(order), "Order total does not match item prices"));
}

BOOST_AUTO_TEST_CASE(a_quantity_that_the_inventory_would_refuse_is_named)
{
    Order order = sample_order();
    order.items[0].quantity = 1'000'000'001;
    order.items[0].price = money{};
    order.items.push_back({"mouse", 1, order.total});
    const auto problems = find_problems(order);
    BOOST_REQUIRE(problems.size() == 1u);
    BOOST_TEST(problems[0] == "items[0].quantity is 1000000001; it must be at most 1000000000");
    order.items[0].quantity = 1'000'000'000;
    BOOST_TEST(find_problems(order).empty());
}

BOOST_AUTO_TEST_CASE(more_lines_than_the_inventory_takes_are_one_problem)
{
    Order order = sample_order();
    order.items.clear();
    for (int i = 0; i < 10'001; ++i)
        order.items.push_back({"product-" + std::to_string(i), 1, money::from_minor(1)});
    order.total = value_of(order.items);
    const auto problems = find_problems(order);
    BOOST_REQUIRE(problems.size() == 1u);
    BOOST_TEST(problems[0] == "items has 10001 lines; it must have at most 10000");
}

BOOST_AUTO_TEST_CASE(a_small_order_cannot_have_large_problems)
{
    Order order = sample_order();
    order.items.assign(10'000, {});
    for (auto& item : order.items) {
        item.product_id.assign(63, 'x');
        item.product_id += "\xC3\xA9"; // one character on the border
        item.product_id.append(1'000, 'x');
    }
    const auto problems = find_problems(order);
    BOOST_TEST(problems.size() < 30u);
    for (const auto& each : problems)
        BOOST_TEST(each.size() < 200u, each);
    BOOST_TEST(std::count(problems.begin(), problems.end(),
                          "There are more problems with the items, which are not listed") == 1);
    BOOST_TEST(problems[0] == "Invalid quantity for product " + std::string(63, 'x') + "...");
}

BOOST_AUTO_TEST_SUITE_END()
