// The order server on a disk that is full for a while, or that fails to flush: customers are told,
// what was accepted ends as it must, and orders are taken again when the fault is over.
#include "orders.hpp"
#include "pawl/sqlite.hpp"
#include "server/harness.hpp"
#include "sqlite/faulty_disk.hpp"
#include "temporary_folder.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/test/unit_test.hpp>

#include <exception>
#include <string>

BOOST_AUTO_TEST_SUITE(chaos_disk)

using namespace order_processing;
using namespace order_processing::testing;
using boost::asio::awaitable;

namespace {

using kind = faulty_disk::kind;

/// The scenarios are functions without captures; they find the disk here.
faulty_disk* disk = nullptr;

Order order_number(int i)
{
    return sample_order("order-" + std::to_string(i));
}

awaitable<void> take(scenario& s, int first, int last)
{
    for (int i = first; i < last; ++i)
        co_await s.submit(order_number(i));
}

awaitable<void> wait_for_all(scenario& s, int last)
{
    for (int i = 0; i < last; ++i) {
        const auto end = co_await s.wait(order_number(i).id);
        BOOST_TEST((end.status == OrderStatus::Fulfilled), end.order_id);
    }
}

awaitable<void> full_for_a_while(scenario& s)
{
    co_await take(s, 0, 5);
    disk->fail({.first = 1,
                .calls = faulty_disk::for_ever,
                .what = faulty_disk::fault::full,
                .kinds = static_cast<unsigned>(kind::write),
                .file = "orders.db"});
    for (int i = 5; i < 8; ++i) {
        const auto answer = co_await s.send("POST", "/orders", document_of(order_number(i)));
        BOOST_TEST(answer.status == 503);
        BOOST_TEST(answer.body.find("no space is left") != std::string::npos, answer.body);
    }
    const auto seen = co_await s.send("GET", "/orders/order-0");
    BOOST_TEST(seen.status == 200);
    const auto failed = disk->failed();
    BOOST_TEST(failed > 0u);
    disk->heal();
    co_await take(s, 5, 8);
    co_await wait_for_all(s, 8);
}

awaitable<void> check_ready(scenario& s)
{
    const auto ready = co_await s.send("GET", "/readyz");
    BOOST_TEST(ready.status == 200, ready.body);
}

awaitable<void> no_flush(scenario& s)
{
    co_await take(s, 0, 5);
    co_await check_ready(s);
    disk->fail({.first = 1, .kinds = static_cast<unsigned>(kind::flush), .file = "orders.db"});
    for (int i = 5; i < 10; ++i) {
        const auto answer = co_await s.send("POST", "/orders", document_of(order_number(i)));
        const auto ready = co_await s.send("GET", "/readyz");
        for (const auto& each : {answer, ready}) {
            BOOST_TEST(each.status == 503);
            BOOST_TEST(each.body.find("reopen the database") != std::string::npos, each.body);
        }
    }
    const auto seen = co_await s.send("GET", "/orders/order-0");
    BOOST_TEST(seen.status == 200);
}

awaitable<void> started_again(scenario& s)
{
    co_await check_ready(s);
    // What was answered with a failure may be there all the same.
    for (int i = 5; i < 10; ++i)
        co_await s.send("POST", "/orders", document_of(order_number(i)));
    co_await wait_for_all(s, 10);
}

/// Settings with everything in files of a folder.
server_settings settings_in(const temporary_folder& folder)
{
    auto settings = quick_settings();
    settings.store = nullptr;
    settings.db = folder.file("orders.db");
    settings.services_db = folder.file("services.db");
    return settings;
}

awaitable<void> one_life(server_settings settings, awaitable<void> (*body)(scenario&))
{
    const auto executor = co_await boost::asio::this_coro::executor;
    order_server server{executor, std::move(settings)};
    co_await server.async_start();
    std::exception_ptr failure;
    try {
        scenario running{executor, server};
        co_await body(running);
    } catch (...) {
        failure = std::current_exception();
    }
    co_await server.async_stop();
    if (failure)
        std::rethrow_exception(failure);
}

} // namespace

BOOST_AUTO_TEST_CASE(a_full_disk_refuses_orders_and_takes_them_again)
{
    const temporary_folder folder;
    faulty_disk faulty;
    disk = &faulty;
    run_scenario(full_for_a_while, settings_in(folder));
}

BOOST_AUTO_TEST_CASE(after_a_failed_flush_it_takes_orders_when_it_has_been_started_again)
{
    const temporary_folder folder;
    faulty_disk faulty;
    disk = &faulty;
    boost::asio::io_context context{1};
    run_coroutine(context, one_life(settings_in(folder), no_flush));
    run_scenario(started_again, settings_in(folder));
}

BOOST_AUTO_TEST_SUITE_END()
