// Where orders end, and what it takes of the services: for each way through the workflow, its
// status, its books, and the ledgers.
#include "demo_orders.hpp"
#include "harness.hpp"
#include "orders.hpp"

#include <boost/test/unit_test.hpp>

BOOST_AUTO_TEST_SUITE(ends_of_orders)

using namespace order_processing;
using namespace order_processing::testing;
using boost::asio::awaitable;

namespace {

Order two_lines(std::string id)
{
    Order order = sample_order(std::move(id));
    order.items.push_back({"mouse", 3, money::from_minor(1'000)});
    order.total = money::from_minor(12'999);
    return order;
}

awaitable<void> three_orders(scenario& s)
{
    for (const demo_order& expected : demo_orders()) {
        const auto answer = co_await s.send("POST", "/orders", to_json(expected.request));
        BOOST_TEST(answer.status == 202);
    }
    const auto ledgers_of = [&] {
        return read_ledgers(s.executor(), s.server().services());
    };
    for (const demo_order& expected : demo_orders()) {
        const auto end = co_await s.wait(expected.request.id);
        const auto ledgers = co_await ledgers_of();
        for (const std::string& wrong : differences(expected, end, entries_of(ledgers, end.run_id)))
            BOOST_ERROR(expected.request.id + ": " + wrong);
    }
    const auto second = co_await s.find("order-002");
    BOOST_TEST(second.order.payment_method == "debit_card");
    BOOST_TEST(second.order.payments.size() == 4u);
    BOOST_TEST(second.order.payment_attempts == 1);
    const auto third = co_await s.find("order-003");
    BOOST_TEST(third.order.payment_id.empty());
    BOOST_TEST(third.order.refunds.size() == 1u);
}

awaitable<void> not_valid(scenario& s)
{
    Order order = sample_order("bad");
    order.items[0].quantity = 0;
    order.shipping_address.city.clear();
    const auto end = co_await s.submit_and_wait(order);
    BOOST_TEST((end.status == OrderStatus::Cancelled));
    BOOST_TEST(end.run_state == "Cancelled");
    BOOST_TEST(end.order.validation_errors.size() == 3u);
    BOOST_TEST(end.order.cancelled_at.has_value());
    BOOST_TEST(end.reason.find("Invalid quantity") != std::string::npos);
    const auto effects = co_await s.effects("bad");
    BOOST_TEST(effects == "");
}

awaitable<void> refused_card(scenario& s)
{
    Order order = sample_order("refused");
    order.payment_method = "invalid_card";
    const auto end = co_await s.submit_and_wait(order);
    BOOST_TEST((end.status == OrderStatus::Cancelled));
    BOOST_TEST(end.order.payments.size() == 1u);
    BOOST_TEST(end.reason.find("invalid payment method") != std::string::npos);
    const auto effects = co_await s.effects("refused");
    BOOST_TEST(effects == "");
}

awaitable<void> refused_card_with_alternative(scenario& s)
{
    Order order = sample_order("premium");
    order.customer_id = "premium_customer";
    order.payment_method = "invalid_card";
    const auto end = co_await s.submit_and_wait(order);
    BOOST_TEST((end.status == OrderStatus::Fulfilled));
    const auto effects = co_await s.effects("premium");
    BOOST_TEST(effects == "charge 99.99 debit_card, reserve, shipment");
}

awaitable<void> declined_without_alternative(scenario& s)
{
    Order order = sample_order("dear");
    order.items[0].price = order.total = money::from_minor(100'001);
    const auto end = co_await s.submit_and_wait(order);
    BOOST_TEST((end.status == OrderStatus::Cancelled));
    BOOST_TEST(end.order.payment_attempts == 3);
    const auto effects = co_await s.effects("dear");
    BOOST_TEST(effects == "decline 1000.01 credit_card, decline 1000.01 credit_card, "
                          "decline 1000.01 credit_card");
}

awaitable<void> partial_stock(scenario& s)
{
    co_await s.set_stock("mouse", 1);
    const auto end = co_await s.submit_and_wait(two_lines("partial"));
    BOOST_TEST((end.status == OrderStatus::Fulfilled));
    BOOST_TEST((end.order.total == money::from_minor(10'999)));
    BOOST_REQUIRE(end.order.dropped_items.size() == 1u);
    BOOST_TEST((end.order.dropped_items[0] == OrderItem{"mouse", 2, money::from_minor(1'000)}));
    const auto effects = co_await s.effects("partial");
    BOOST_TEST(effects == "charge 129.99 credit_card, refund 20.00 credit_card, reserve, shipment");
}

awaitable<void> partial_stock_not_wanted(scenario& s)
{
    co_await s.set_stock("mouse", 1);
    Order order = two_lines("whole");
    order.allow_partial = false;
    const auto end = co_await s.submit_and_wait(order);
    BOOST_TEST((end.status == OrderStatus::Refunded));
    BOOST_TEST((end.order.total == money::from_minor(12'999)));
    const auto effects = co_await s.effects("whole");
    BOOST_TEST(effects == "charge 129.99 credit_card, refund 129.99 credit_card");
}

awaitable<void> pending_payment(scenario& s)
{
    co_await s.set_faults(scenario::service::payment, R"({"pending_polls": 3})");
    const auto end = co_await s.submit_and_wait(sample_order("pending"));
    BOOST_TEST((end.status == OrderStatus::Fulfilled));
    BOOST_TEST(end.order.payment_polls == 2);
    const auto effects = co_await s.effects("pending");
    BOOST_TEST(effects == "authorize 99.99 credit_card, capture 99.99 credit_card, reserve, "
                          "shipment");
}

awaitable<void> stuck_payment(scenario& s)
{
    Order order = sample_order("stuck");
    order.payment_method = "stuck_card";
    const auto end = co_await s.submit_and_wait(order);
    BOOST_TEST((end.status == OrderStatus::Cancelled));
    BOOST_TEST(end.order.payment_id.empty());
    BOOST_TEST((end.order.payments.at(0).state == PaymentState::voided));
    const auto effects = co_await s.effects("stuck");
    BOOST_TEST(effects == "authorize 99.99 stuck_card, void 99.99 stuck_card");
}

awaitable<void> stuck_payment_with_alternative(scenario& s)
{
    Order order = sample_order("stuck-premium");
    order.customer_id = "premium_customer";
    order.payment_method = "stuck_card";
    const auto end = co_await s.submit_and_wait(order);
    BOOST_TEST((end.status == OrderStatus::Fulfilled));
    const auto effects = co_await s.effects("stuck-premium");
    BOOST_TEST(effects == "authorize 99.99 stuck_card, void 99.99 stuck_card, "
                          "charge 99.99 debit_card, reserve, shipment");
}

awaitable<void> shipping_refused(scenario& s)
{
    Order order = sample_order("far");
    order.shipping_address.country = "Nowhere";
    const auto end = co_await s.submit_and_wait(order);
    BOOST_TEST((end.status == OrderStatus::Refunded));
    BOOST_TEST(end.order.cancel_reason == "the shipping service refuses the order");
    BOOST_TEST(end.order.released_reservations.size() == 1u);
    BOOST_TEST(end.order.reservation_id.empty());
    const auto effects = co_await s.effects("far");
    BOOST_TEST(effects == "charge 99.99 credit_card, refund 99.99 credit_card, reserve, release");
}

/// The carrier refuses the second run, and has only the shipment of the first one to show.
awaitable<void> shipped_before(scenario& s)
{
    co_await s.submit_and_wait(sample_order("again"));
    co_await s.set_faults(scenario::service::shipping, R"({"error_rate": 1})");
    const auto answer =
        co_await s.send("POST", "/orders?new_run=true", document_of(sample_order("again")));
    BOOST_TEST(answer.status == 202);
    co_await s.wait_for_failure("again", OrderStatus::InventoryReserved);
    co_await s.set_faults(scenario::service::shipping, "{}");
    const auto end = co_await s.wait("again");
    BOOST_TEST((end.status == OrderStatus::Refunded));
    const auto effects = co_await s.effects("again");
    BOOST_TEST(effects == "charge 99.99 credit_card, refund 99.99 credit_card, reserve, release");
}

/// Orders of nearly the largest size have room for what the steps store.
awaitable<void> largest_orders(scenario& s)
{
    for (std::size_t room = 200; room <= 1'400; room += 400) {
        Order order = sample_order("large-" + std::to_string(room));
        order.shipping_address.street.resize(1024 * 1024 - room - to_json(order).size(), 'x');
        const auto end = co_await s.submit_and_wait(order);
        BOOST_TEST((end.status == OrderStatus::Fulfilled));
    }
}

awaitable<void> large_order_in_part(scenario& s)
{
    Order order = sample_order("large");
    order.items.clear();
    order.total = {};
    for (int i = 0; i < 60; ++i) {
        const auto product = std::string(12'000, 'p') + std::to_string(i);
        order.items.push_back({product, 2, money::from_minor(100)});
        order.total += money::from_minor(200);
        co_await s.set_stock(product, 1);
    }
    const auto end = co_await s.submit_and_wait(order);
    BOOST_TEST((end.status == OrderStatus::Fulfilled));
    BOOST_TEST((end.order.total == money::from_minor(6'000)));
}

server_settings impatient()
{
    auto settings = quick_settings();
    settings.orders.payment_timeout = std::chrono::milliseconds{50};
    return settings;
}

} // namespace

BOOST_AUTO_TEST_CASE(the_three_orders_of_the_seed)
{
    run_scenario(three_orders);
}

BOOST_AUTO_TEST_CASE(an_order_that_is_not_valid_is_cancelled_before_it_costs_anything)
{
    run_scenario(not_valid);
}

BOOST_AUTO_TEST_CASE(a_card_that_is_refused_is_tried_once)
{
    run_scenario(refused_card);
}

BOOST_AUTO_TEST_CASE(a_card_that_is_refused_gives_way_to_the_alternative)
{
    run_scenario(refused_card_with_alternative);
}

BOOST_AUTO_TEST_CASE(a_card_that_is_declined_is_tried_three_times)
{
    run_scenario(declined_without_alternative);
}

BOOST_AUTO_TEST_CASE(what_is_in_stock_is_shipped_and_the_rest_refunded)
{
    run_scenario(partial_stock);
}

BOOST_AUTO_TEST_CASE(whoever_wants_all_or_nothing_gets_nothing)
{
    run_scenario(partial_stock_not_wanted);
}

BOOST_AUTO_TEST_CASE(a_pending_payment_is_polled)
{
    run_scenario(pending_payment);
}

BOOST_AUTO_TEST_CASE(a_payment_that_never_ends_is_voided)
{
    run_scenario(stuck_payment, impatient());
}

BOOST_AUTO_TEST_CASE(after_a_void_the_alternative_is_charged)
{
    run_scenario(stuck_payment_with_alternative, impatient());
}

BOOST_AUTO_TEST_CASE(a_second_run_of_a_shipped_order_is_undone)
{
    run_scenario(shipped_before);
}

BOOST_AUTO_TEST_CASE(an_order_of_the_largest_size_is_shipped)
{
    run_scenario(largest_orders);
}

BOOST_AUTO_TEST_CASE(a_part_of_a_large_order_is_shipped)
{
    run_scenario(large_order_in_part);
}

BOOST_AUTO_TEST_CASE(an_order_that_cannot_be_shipped_is_undone)
{
    run_scenario(shipping_refused);
}

BOOST_AUTO_TEST_SUITE_END()
