// Orders as JSON: the seed's names and numbers, exact amounts, nothing lost on the way, and what a
// customer may not say is not believed.
#include "order.hpp"

#include "orders.hpp"

#include <boost/test/unit_test.hpp>

#include <chrono>
#include <string>
#include <string_view>

BOOST_AUTO_TEST_SUITE(order_documents)

using namespace order_processing;

namespace {

std::string encoded(const Order& order)
{
    std::string text;
    pawl::codec<Order>::encode(order, text);
    return text;
}

bool contains(std::string_view text, std::string_view part)
{
    return text.find(part) != std::string_view::npos;
}

Order full_order()
{
    using namespace std::chrono_literals;
    Order order = sample_order();
    order.allow_partial = false;
    order.request_digest = "0123456789abcdef";
    order.validation_errors = {"one", "two"};
    order.payment_id = "pay_1";
    order.reservation_id = "res_1";
    order.tracking_number = "TRACK_order-001";
    order.payment_attempts = 2;
    order.cancel_reason = "changed my mind";
    order.payments = {
        {"key-1", "credit_card", money::from_minor(1), PaymentState::declined, "",
         "declined by bank"},
        {"key-2", "debit_card", money::from_minor(1), PaymentState::captured, "pay_1", ""}};
    order.payment_polls = 3;
    order.reservation_key = "key-3";
    order.reservations_tried = 2;
    order.released_reservations = {"res_0"};
    order.shipment_key = "key-4";
    order.dropped_items = {{"mouse", 2, money::from_minor(1'050)}};
    order.refunds = {{"key-5", "pay_1", money::from_minor(2'100), "ref_1"}};
    order.created_at = pawl::time_point{1'700'000'000s};
    order.validated_at = pawl::time_point{1'700'000'001s};
    order.paid_at = pawl::time_point{1'700'000'002s};
    order.fulfilled_at = pawl::time_point{1'700'000'003s};
    order.cancelled_at = pawl::time_point{1'700'000'004s};
    return order;
}

} // namespace

BOOST_AUTO_TEST_CASE(round_trip)
{
    const Order order = full_order();
    const Order again = pawl::codec<Order>::decode(encoded(order));
    BOOST_TEST((again == order));
}

BOOST_AUTO_TEST_CASE(has_the_names_and_numbers_of_the_seed)
{
    const std::string text = encoded(sample_order());
    for (const char* part :
         {R"("id":"order-001")", R"("customer_id":"customer-123")", R"("total":99.99)",
          R"("items":[{"product_id":"laptop","quantity":1,"price":99.99}])",
          R"("payment_method":"credit_card")", R"("zip_code":"94105")", R"("payment_attempts":0)",
          R"("created_at":)"})
        BOOST_TEST(contains(text, part), part);
    BOOST_TEST(!contains(text, "paid_at"));
}

BOOST_AUTO_TEST_CASE(what_is_left_out_takes_its_default)
{
    const Order order = pawl::codec<Order>::decode(R"({"id": "a", "surprise": [1]})");
    BOOST_TEST(order.id == "a");
    BOOST_TEST(order.allow_partial);
    BOOST_TEST(order.items.empty());
}

BOOST_AUTO_TEST_CASE(a_wrong_amount_is_refused_by_its_path)
{
    struct {
        const char* document;
        const char* path;
    } const cases[] = {
        {R"({"total": 1.005})", "total"},
        {R"({"total": -0.01})", "total"},
        {R"({"total": 1e40})", "total"},
        {R"({"total": "1"})", "total"},
        {R"({"items": [{"price": 1}, {"price": 0.001}]})", "items[1].price"},
        {R"({"items": [{"quantity": 1.5}]})", "items[0].quantity"},
    };
    for (const auto& each : cases)
        BOOST_CHECK_EXCEPTION(
            pawl::codec<Order>::decode(each.document), pawl::decode_error,
            [&](const pawl::decode_error& error) { return error.path() == each.path; });
}

BOOST_AUTO_TEST_CASE(statuses_have_the_numbers_of_the_seed)
{
    const char* names[] = {"Created",          "Validated",     "PaymentProcessing",
                           "PaymentProcessed", "PaymentFailed", "InventoryReserved",
                           "InventoryFailed",  "Fulfilled",     "Cancelled",
                           "Refunded"};
    for (int i = 0; i < 10; ++i) {
        const auto status = static_cast<OrderStatus>(i + 1);
        BOOST_TEST(to_string(status) == names[i]);
        BOOST_TEST((parse_order_status(names[i]) == status));
    }
    BOOST_TEST(to_string(OrderStatus{}) == "Unknown");
    BOOST_TEST(!parse_order_status("created").has_value());
}

BOOST_AUTO_TEST_CASE(a_customer_cannot_say_what_only_the_workflow_knows)
{
    const pawl::time_point now{std::chrono::seconds{7}};
    Order expected = sample_order();
    expected.allow_partial = false;
    expected.created_at = now;
    const auto sent = pawl::codec<order_request>::decode(encoded(full_order()));
    BOOST_TEST((new_order(sent, now) == expected));
}

BOOST_AUTO_TEST_CASE(scrubbing_removes_the_person_and_keeps_the_books)
{
    Order order = full_order();
    order.customer_id = "Ada";
    scrub_personal_data(order);
    const std::string text = encoded(order);
    for (const char* personal : {"Ada", "Main St", "San Francisco", "94105", "_card", "my mind"})
        BOOST_TEST(!contains(text, personal), personal);
    BOOST_TEST(order.items.size() == 1u);
    BOOST_TEST(order.payments.at(1).payment_id == "pay_1");
    BOOST_TEST(order.refunds.size() == 1u);
}

BOOST_AUTO_TEST_SUITE_END()
