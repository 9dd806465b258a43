// Stopped at any moment and started again on the same store, beside services that live on, the
// server brings every order to its end, with each effect made once.
#include "harness.hpp"
#include "orders.hpp"
#include "pawl/memory.hpp"
#include "services/start.hpp"

#include <boost/test/unit_test.hpp>

#include <exception>
#include <string>

BOOST_AUTO_TEST_SUITE(restarts)

using namespace order_processing;
using namespace order_processing::testing;
using boost::asio::awaitable;

namespace {

constexpr int rounds = 40;

Order order_number(int i)
{
    Order order = sample_order("order-" + std::to_string(i));
    if (i % 4 == 1) {
        order.customer_id = "premium_customer";
        order.items[0].price = order.total = money::from_minor(150'000);
    } else if (i % 4 == 2) {
        order.items[0].product_id = "out_of_stock";
    } else if (i % 4 == 3) {
        order.shipping_address.country = "Nowhere";
    }
    return order;
}

/// One life of the server: it takes some orders, and is stopped after `moments` requests.
awaitable<void> live_for(order_server& server, int moments, int first_order)
{
    co_await server.async_start();
    std::exception_ptr failure;
    try {
        scenario s{co_await boost::asio::this_coro::executor, server};
        for (int i = 0; i < 4; ++i)
            co_await s.submit(order_number(first_order + i));
        for (int i = 0; i < moments; ++i)
            co_await s.send("GET", "/healthz");
    } catch (...) {
        failure = std::current_exception();
    }
    co_await server.async_stop();
    if (failure)
        std::rethrow_exception(failure);
}

awaitable<void> finish_all(order_server& server)
{
    co_await server.async_start();
    std::exception_ptr failure;
    try {
        scenario s{co_await boost::asio::this_coro::executor, server};
        for (int i = 0; i < 4 * rounds; ++i) {
            const auto end = co_await s.wait(order_number(i).id);
            const auto expected = i % 4 < 2 ? OrderStatus::Fulfilled : OrderStatus::Refunded;
            BOOST_TEST((end.status == expected), end.order_id);
        }
        co_await s.check();
    } catch (...) {
        failure = std::current_exception();
    }
    co_await server.async_stop();
    if (failure)
        std::rethrow_exception(failure);
}

awaitable<void> all_lives(boost::asio::any_io_executor executor, server_settings settings,
                          services::running_services& services)
{
    std::exception_ptr failure;
    try {
        for (int i = 0; i < rounds; ++i) {
            order_server server{executor, settings};
            co_await live_for(server, i, 4 * i);
        }
        order_server last{executor, settings};
        co_await finish_all(last);
    } catch (...) {
        failure = std::current_exception();
    }
    co_await services.async_stop(std::chrono::seconds{1});
    if (failure)
        std::rethrow_exception(failure);
}

} // namespace

BOOST_AUTO_TEST_CASE(every_order_ends_once)
{
    boost::asio::io_context context{1};
    auto services = services::start_services(context.get_executor(), {});
    auto settings = quick_settings();
    settings.drain = {}; // steps are cancelled wherever they are
    settings.mocks = {};
    settings.services = {services.payment_url(), services.inventory_url(), services.shipping_url()};
    run_coroutine(context, all_lives(context.get_executor(), settings, services));
}

BOOST_AUTO_TEST_SUITE_END()
