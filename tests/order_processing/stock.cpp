// Partial stock: what is kept and what is dropped, by quantities, and back again.
#include "stock.hpp"

#include "orders.hpp"

#include <boost/test/unit_test.hpp>

BOOST_AUTO_TEST_SUITE(partial_stock)

using namespace order_processing;

namespace {

Order two_products()
{
    Order order = sample_order();
    order.items = {{"laptop", 2, money::from_minor(10'000)}, {"mouse", 5, money::from_minor(250)}};
    order.total = value_of(order.items);
    return order;
}

} // namespace

BOOST_AUTO_TEST_CASE(keeps_what_is_there_line_by_line_and_piece_by_piece)
{
    Order order = two_products();
    keep_available(order, {{"laptop", 0}, {"mouse", 3}});
    BOOST_REQUIRE(order.items.size() == 1u);
    BOOST_TEST((order.items[0] == OrderItem{"mouse", 3, money::from_minor(250)}));
    BOOST_REQUIRE(order.dropped_items.size() == 2u);
    BOOST_TEST((order.dropped_items[0] == OrderItem{"laptop", 2, money::from_minor(10'000)}));
    BOOST_TEST((order.dropped_items[1] == OrderItem{"mouse", 2, money::from_minor(250)}));
    BOOST_TEST((order.total == money::from_minor(750)));
}

BOOST_AUTO_TEST_CASE(a_product_that_the_answer_leaves_out_is_not_there)
{
    Order order = two_products();
    keep_available(order, {{"laptop", 9}});
    BOOST_REQUIRE(order.items.size() == 1u);
    BOOST_TEST(order.items[0].product_id == "laptop");
}

BOOST_AUTO_TEST_CASE(with_everything_there_nothing_is_dropped)
{
    const Order before = two_products();
    Order order = before;
    keep_available(order, {{"laptop", 2}, {"mouse", 5}});
    BOOST_TEST((order == before));
}

BOOST_AUTO_TEST_CASE(with_nothing_there_nothing_is_kept)
{
    Order order = two_products();
    keep_available(order, {{"laptop", -1}});
    BOOST_TEST(order.items.empty());
    BOOST_TEST((order.total == money{}));
}

BOOST_AUTO_TEST_CASE(a_second_look_starts_from_what_was_ordered)
{
    const Order before = two_products();
    Order order = before;
    keep_available(order, {{"mouse", 1}});
    keep_available(order, {{"laptop", 1}, {"mouse", 5}});
    BOOST_TEST((order.total == money::from_minor(11'250)));
    BOOST_REQUIRE(order.dropped_items.size() == 1u);
    BOOST_TEST((order.dropped_items[0] == OrderItem{"laptop", 1, money::from_minor(10'000)}));
    keep_available(order, {});
    restore_items(order);
    BOOST_TEST((order.total == before.total));
    BOOST_TEST(order.dropped_items.empty());
    BOOST_TEST(order.items.size() == 2u);
}

BOOST_AUTO_TEST_SUITE_END()
