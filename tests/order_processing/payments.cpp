// The bookkeeping of tries to charge: how many are left, when a method is spent, and which payment
// is the current one.
#include "payments.hpp"

#include "orders.hpp"

#include <boost/test/unit_test.hpp>

#include <string>

BOOST_AUTO_TEST_SUITE(payment_tries)

using namespace order_processing;

namespace {

Payment tried(const char* method, PaymentState state, const char* id = "")
{
    Payment payment;
    payment.method = method;
    payment.state = state;
    payment.payment_id = id;
    payment.amount = money::from_minor(9'999);
    return payment;
}

} // namespace

BOOST_AUTO_TEST_CASE(a_method_is_open_until_its_tries_are_used_up)
{
    Order order = sample_order();
    for (int i = 0; i < 3; ++i) {
        BOOST_TEST(!is_spent(order, "credit_card", 3));
        order.payments.push_back(tried("credit_card", PaymentState::declined));
        BOOST_TEST(tries_with(order, "credit_card") == i + 1);
    }
    BOOST_TEST(is_spent(order, "credit_card", 3));
    BOOST_TEST(!is_spent(order, "debit_card", 3));
}

BOOST_AUTO_TEST_CASE(a_method_is_spent_by_anything_but_a_decline)
{
    for (const auto end :
         {PaymentState::refused, PaymentState::live, PaymentState::captured, PaymentState::failed,
          PaymentState::voided, PaymentState::refunded, PaymentState::never_made}) {
        Order order = sample_order();
        order.payments.push_back(tried("credit_card", end));
        BOOST_TEST(is_spent(order, "credit_card", 3));
    }
}

BOOST_AUTO_TEST_CASE(a_try_in_flight_keeps_its_method_open)
{
    Order order = sample_order();
    for (int i = 0; i < 2; ++i)
        order.payments.push_back(tried("credit_card", PaymentState::declined));
    BOOST_TEST(!charge_in_flight(order));
    order.payments.push_back(tried("credit_card", PaymentState::in_flight));
    BOOST_TEST(charge_in_flight(order));
    BOOST_TEST(!is_spent(order, "credit_card", 3));
}

BOOST_AUTO_TEST_CASE(an_archived_payment_is_not_the_current_one)
{
    Order order = sample_order();
    BOOST_TEST(current_payment(order) == nullptr);
    order.payments.push_back(tried("credit_card", PaymentState::live, "pay_1"));
    order.payment_id = "pay_1";
    BOOST_REQUIRE(current_payment(order) != nullptr);
    archive_payment(order, PaymentState::voided);
    BOOST_TEST(order.payment_id.empty());
    BOOST_TEST(current_payment(order) == nullptr);
    BOOST_TEST((order.payments[0].state == PaymentState::voided));
    BOOST_TEST(order.payments[0].payment_id == "pay_1");
}

BOOST_AUTO_TEST_CASE(only_some_customers_have_an_alternative)
{
    BOOST_TEST(alternative_method("premium_customer").value_or("") == "debit_card");
    BOOST_TEST(!alternative_method("customer-123").has_value());
}

BOOST_AUTO_TEST_SUITE_END()
