// The customer's cancel: wherever it finds the order, what was done is undone; after the shipment
// it is too late; and in a race with the shipment exactly one of the two wins.
#include "harness.hpp"
#include "orders.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/test/unit_test.hpp>

#include <string>

BOOST_AUTO_TEST_SUITE(cancelled_by_the_customer)

using namespace order_processing;
using namespace order_processing::testing;
using boost::asio::awaitable;

namespace {

using service = scenario::service;

awaitable<int> cancel(scenario& s, std::string id)
{
    const auto answer =
        co_await s.send("POST", "/orders/" + id + "/cancel", R"({"reason": "changed my mind"})");
    co_return answer.status;
}

/// A status 503 does not say whether the charge was passed on, so it is made certain and undone.
awaitable<void> after_an_unclear_charge(scenario& s)
{
    co_await s.set_faults(service::payment, R"({"error_rate": 1})");
    co_await s.submit(sample_order("a"));
    co_await s.wait_for_failure("a", OrderStatus::Validated);
    const int status = co_await cancel(s, "a");
    BOOST_TEST(status == 202);
    co_await s.set_faults(service::payment, "{}");
    const auto end = co_await s.wait("a");
    BOOST_TEST((end.status == OrderStatus::Refunded));
    BOOST_TEST(end.order.cancel_reason == "changed my mind");
    const auto effects = co_await s.effects("a");
    BOOST_TEST(effects == "charge 99.99 credit_card, refund 99.99 credit_card");
}

awaitable<void> while_a_charge_is_in_flight(scenario& s)
{
    // The provider charges, and every answer of it gets lost.
    co_await s.set_faults(service::payment, R"({"drop_after_rate": 1})");
    co_await s.submit(sample_order("a"));
    co_await s.wait_for_failure("a", OrderStatus::Validated);
    const int status = co_await cancel(s, "a");
    BOOST_TEST(status == 202);
    co_await s.set_faults(service::payment, "{}");
    const auto end = co_await s.wait("a");
    BOOST_TEST((end.status == OrderStatus::Refunded));
    const auto effects = co_await s.effects("a");
    BOOST_TEST(effects == "charge 99.99 credit_card, refund 99.99 credit_card");
}

awaitable<void> while_the_payment_is_processing(scenario& s)
{
    Order order = sample_order("a");
    order.payment_method = "stuck_card";
    co_await s.submit(order);
    co_await s.wait_for_status("a", OrderStatus::PaymentProcessing);
    const int status = co_await cancel(s, "a");
    BOOST_TEST(status == 202);
    const auto end = co_await s.wait("a");
    BOOST_TEST((end.status == OrderStatus::Cancelled));
    const auto effects = co_await s.effects("a");
    BOOST_TEST(effects == "authorize 99.99 stuck_card, void 99.99 stuck_card");
}

awaitable<void> while_a_reservation_is_in_flight(scenario& s)
{
    co_await s.set_faults(service::inventory, R"({"drop_after_rate": 1})");
    co_await s.submit(sample_order("a"));
    co_await s.wait_for_failure("a", OrderStatus::PaymentProcessed);
    const int status = co_await cancel(s, "a");
    BOOST_TEST(status == 202);
    co_await s.set_faults(service::inventory, "{}");
    const auto end = co_await s.wait("a");
    BOOST_TEST((end.status == OrderStatus::Refunded));
    BOOST_TEST(end.order.released_reservations.size() == 1u);
    const auto effects = co_await s.effects("a");
    BOOST_TEST(effects == "charge 99.99 credit_card, refund 99.99 credit_card, reserve, release");
}

/// A gateway answers 503 also for a request that it has passed on.
awaitable<void> after_an_unclear_shipment(scenario& s)
{
    co_await s.set_faults(service::shipping, R"({"error_rate": 1})");
    co_await s.submit(sample_order("a"));
    co_await s.wait_for_failure("a", OrderStatus::InventoryReserved);
    const int status = co_await cancel(s, "a");
    BOOST_TEST(status == 409);
    co_await s.set_faults(service::shipping, "{}");
    const auto end = co_await s.wait("a");
    BOOST_TEST((end.status == OrderStatus::Fulfilled));
    const auto effects = co_await s.effects("a");
    BOOST_TEST(effects == "charge 99.99 credit_card, reserve, shipment");
}

awaitable<void> after_a_shipment_whose_answer_got_lost(scenario& s)
{
    co_await s.set_faults(service::shipping, R"({"drop_after_rate": 1})");
    co_await s.submit(sample_order("a"));
    co_await s.wait_for_failure("a", OrderStatus::InventoryReserved);
    const int status = co_await cancel(s, "a");
    BOOST_TEST(status == 409);
    co_await s.set_faults(service::shipping, "{}");
    const auto end = co_await s.wait("a");
    BOOST_TEST((end.status == OrderStatus::Fulfilled));
    const auto effects = co_await s.effects("a");
    BOOST_TEST(effects == "charge 99.99 credit_card, reserve, shipment");
}

/// The answer does not wait for the shipment.
awaitable<void> during_a_slow_shipment(scenario& s)
{
    co_await s.set_faults(service::shipping, R"({"latency_ms": 3600000})");
    co_await s.submit(sample_order("a"));
    std::string key;
    while (key.empty()) {
        const auto order = co_await s.find("a");
        key = order.order.shipment_key;
    }
    const int status = co_await cancel(s, "a");
    BOOST_TEST(status == 409);
    co_await s.set_faults(service::shipping, "{}");
    const auto end = co_await s.wait("a");
    BOOST_TEST((end.status == OrderStatus::Fulfilled));
}

std::shared_ptr<pawl::record_store> store_of_test;

/// However often a paused order is cancelled, one cancel waits for it to be resumed.
awaitable<void> while_paused(scenario& s)
{
    co_await s.set_faults(service::payment, R"({"error_rate": 1})");
    co_await s.submit(sample_order("a"));
    co_await s.wait_for_failure("a", OrderStatus::Validated);
    const auto paused =
        co_await s.send("POST", "/admin/api/v1/runs/order-processing:a/pause", "{}");
    BOOST_TEST(paused.status == 200, paused.body);
    for (int i = 0; i < 20; ++i) {
        const auto answer = co_await s.send("POST", "/orders/a/cancel");
        BOOST_TEST(answer.status == 202);
        BOOST_TEST(answer.body.find(R"("outcome":"pending")") != std::string::npos, answer.body);
    }
    const auto order = co_await s.find("a");
    const auto record = co_await store_of_test->find(pawl::parse_run_id(order.run_id).value());
    BOOST_REQUIRE(record.has_value());
    BOOST_TEST(record->inbox_pending == 1u);
    co_await s.set_faults(service::payment, "{}");
    const auto resumed =
        co_await s.send("POST", "/admin/api/v1/runs/order-processing:a/resume", "{}");
    BOOST_TEST(resumed.status == 200, resumed.body);
    const auto end = co_await s.wait("a");
    BOOST_TEST((end.status == OrderStatus::Refunded || end.status == OrderStatus::Cancelled));
}

awaitable<void> after_the_end(scenario& s)
{
    co_await s.submit_and_wait(sample_order("a"));
    const int shipped = co_await cancel(s, "a");
    BOOST_TEST(shipped == 409);

    Order bad = sample_order("b");
    bad.items.clear();
    co_await s.submit_and_wait(bad);
    const int cancelled = co_await cancel(s, "b");
    BOOST_TEST(cancelled == 409);

    const int unknown = co_await cancel(s, "c");
    BOOST_TEST(unknown == 404);
}

awaitable<void> race_once(scenario& s, std::string id, int head_start)
{
    co_await s.submit(sample_order(id));
    for (int i = 0; i < head_start; ++i)
        co_await s.send("GET", "/healthz");
    const int status = co_await cancel(s, id);
    const auto end = co_await s.wait(id);
    BOOST_TEST((status == 202 || status == 409));
    const bool shipped = end.status == OrderStatus::Fulfilled;
    BOOST_TEST(shipped == (status == 409), "order " + id + " was answered " +
                                               std::to_string(status) + " and ended as " +
                                               std::string{to_string(end.status)});
}

awaitable<void> race(scenario& s)
{
    using namespace boost::asio::experimental::awaitable_operators;
    for (int i = 0; i < 25; ++i) {
        const auto id = std::to_string(i);
        co_await (race_once(s, "a" + id, i) && race_once(s, "b" + id, i / 2) &&
                  race_once(s, "c" + id, 0));
    }
}

} // namespace

BOOST_AUTO_TEST_CASE(a_charge_with_an_unclear_answer_is_given_back)
{
    run_scenario(after_an_unclear_charge);
}

BOOST_AUTO_TEST_CASE(a_charge_in_flight_is_not_lost)
{
    run_scenario(while_a_charge_is_in_flight);
}

BOOST_AUTO_TEST_CASE(a_payment_under_way_is_voided)
{
    run_scenario(while_the_payment_is_processing);
}

BOOST_AUTO_TEST_CASE(a_reservation_in_flight_is_released)
{
    run_scenario(while_a_reservation_is_in_flight);
}

BOOST_AUTO_TEST_CASE(after_an_unclear_shipment_it_is_too_late)
{
    run_scenario(after_an_unclear_shipment);
}

BOOST_AUTO_TEST_CASE(a_shipment_that_may_have_been_made_is_not_cancelled)
{
    run_scenario(after_a_shipment_whose_answer_got_lost);
}

BOOST_AUTO_TEST_CASE(during_a_shipment_the_answer_comes_at_once)
{
    auto settings = quick_settings();
    settings.cancel_wait = std::chrono::milliseconds{50};
    settings.orders.request_timeout = std::chrono::milliseconds{500};
    run_scenario(during_a_slow_shipment, std::move(settings));
}

BOOST_AUTO_TEST_CASE(a_paused_order_keeps_one_cancel)
{
    auto settings = quick_settings();
    store_of_test = settings.store;
    run_scenario(while_paused, std::move(settings));
    store_of_test.reset();
}

BOOST_AUTO_TEST_CASE(after_the_end_it_is_too_late)
{
    run_scenario(after_the_end);
}

BOOST_AUTO_TEST_CASE(in_a_race_the_answer_says_who_won)
{
    run_scenario(race);
}

BOOST_AUTO_TEST_SUITE_END()
