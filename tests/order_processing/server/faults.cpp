// Whatever a service does to its callers, every order ends, each effect is made once, and the books
// agree with the ledgers.
#include "harness.hpp"
#include "orders.hpp"

#include <boost/test/unit_test.hpp>

#include <string>

BOOST_AUTO_TEST_SUITE(faults_of_services)

using namespace order_processing;
using namespace order_processing::testing;
using boost::asio::awaitable;

namespace {

using service = scenario::service;

constexpr int orders_each = 12;

/// Orders of every kind, by turns.
Order order_number(int i)
{
    Order order = sample_order("order-" + std::to_string(i));
    switch (i % 6) {
    case 1:
        order.customer_id = "premium_customer";
        order.items[0].price = order.total = money::from_minor(150'000);
        break;
    case 2:
        order.items[0].product_id = "out_of_stock";
        break;
    case 3:
        order.items.push_back({"out_of_stock", 2, money::from_minor(50)});
        order.total += money::from_minor(100);
        break;
    case 4:
        order.shipping_address.country = "Nowhere";
        break;
    case 5:
        order.payment_method = "stuck_card";
        order.customer_id = i % 4 == 1 ? "premium_customer" : "customer";
        break;
    default:
        break;
    }
    return order;
}

awaitable<void> with_faults(scenario& s, service of, std::string faults)
{
    co_await s.set_faults(of, std::move(faults));
    for (int i = 0; i < orders_each; ++i)
        co_await s.submit(order_number(i));
    for (int i = 0; i < orders_each; ++i)
        co_await s.wait(order_number(i).id);
}

constexpr const char* kinds[] = {
    R"({"error_rate": 0.4, "seed": 1})",
    R"({"drop_before_rate": 0.4, "seed": 2})",
    R"({"drop_after_rate": 0.4, "seed": 3})",
    R"({"hang_rate": 0.2, "seed": 4})",
    R"({"latency_ms": 2, "jitter_ms": 5, "seed": 5})",
    R"({"pending_polls": 2, "error_rate": 0.2, "drop_before_rate": 0.1, "drop_after_rate": 0.2,
        "hang_rate": 0.05, "jitter_ms": 2, "seed": 6})",
};

/// run_scenario() takes functions without captures: one for each kind of fault and service.
template <int Kind, service Of>
awaitable<void> faulty(scenario& s)
{
    return with_faults(s, Of, kinds[Kind]);
}

template <int Kind>
awaitable<void> all_faulty(scenario& s)
{
    co_await s.set_faults(service::payment, kinds[Kind]);
    co_await s.set_faults(service::inventory, kinds[Kind]);
    co_await with_faults(s, service::shipping, kinds[Kind]);
}

template <int Kind>
void run_with_each_service()
{
    auto settings = quick_settings();
    settings.orders.request_timeout = std::chrono::milliseconds{250};
    settings.orders.payment_timeout = std::chrono::milliseconds{300};
    const auto fresh = [&] {
        auto copy = settings;
        copy.store = quick_settings().store;
        return copy;
    };
    run_scenario(faulty<Kind, service::payment>, fresh());
    run_scenario(faulty<Kind, service::inventory>, fresh());
    run_scenario(faulty<Kind, service::shipping>, fresh());
    run_scenario(all_faulty<Kind>, fresh());
}

} // namespace

BOOST_AUTO_TEST_CASE(errors)
{
    run_with_each_service<0>();
}

BOOST_AUTO_TEST_CASE(connections_that_drop_before_the_effect)
{
    run_with_each_service<1>();
}

BOOST_AUTO_TEST_CASE(connections_that_drop_after_the_effect)
{
    run_with_each_service<2>();
}

BOOST_AUTO_TEST_CASE(requests_that_hang)
{
    run_with_each_service<3>();
}

BOOST_AUTO_TEST_CASE(slow_answers)
{
    run_with_each_service<4>();
}

BOOST_AUTO_TEST_CASE(everything_at_once)
{
    run_with_each_service<5>();
}

BOOST_AUTO_TEST_SUITE_END()
