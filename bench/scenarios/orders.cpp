// The order server, from the customer's POST to the order's end.
#include "histogram.hpp"
#include "host.hpp"
#include "limits/beast.hpp"
#include "scenario.hpp"
#include "stores.hpp"

#include "order_view.hpp"
#include "server.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fmt/format.h>

#include <charconv>
#include <stdexcept>

namespace pawl_bench {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

namespace {

/// Requests that an order without incidents takes: POST and wait by the customer; charge, look at
/// the payment, reserve, ship by the server.
constexpr double exchanges_per_order = 6;

std::string document_of(const std::string& id)
{
    order_processing::order_request order;
    order.id = id;
    order.customer_id = "customer-123";
    order.items = {{"laptop", 1, order_processing::money::from_minor(9'999)}};
    order.total = order_processing::money::from_minor(9'999);
    order.payment_method = "credit_card";
    order.shipping_address = {"123 Main St", "San Francisco", "CA", "94105", "USA"};
    return order_processing::to_json(order);
}

struct customers {
    std::uint16_t port;
    bool measuring = false;
    bool ending = false;
    std::size_t left = 0;
    std::uint64_t orders = 0;
    std::uint64_t made = 0;
    histogram latency{};
    std::exception_ptr failure{};

    /// Open loop: orders come at these times, whatever becomes of those before. Zero: closed.
    steady::duration interval{};
    steady::time_point first{};
    steady::time_point last{};
};

asio::awaitable<void> order(bare_connection& connection, std::string id)
{
    const int accepted = co_await connection.exchange("POST", "/orders", document_of(id));
    if (accepted != 202)
        throw std::runtime_error(fmt::format("POST /orders was answered {}", accepted));
    const int ended =
        co_await connection.exchange("GET", "/orders/" + id + "/wait?timeout_ms=60000", {});
    if (ended != 200)
        throw std::runtime_error(fmt::format("the wait for an order was answered {}", ended));
}

asio::awaitable<void> keep_ordering(customers& all)
{
    bare_connection connection{co_await asio::this_coro::executor};
    co_await connection.connect(all.port);
    while (!all.ending) {
        const auto number = all.made++;
        auto begin = steady::now();
        if (all.interval > 0s) {
            // The time at which the order was to be sent counts, not when there was a connection
            // for it: a server that stalls is charged for all that it keeps waiting.
            begin = all.first + static_cast<std::int64_t>(number) * all.interval;
            if (begin > all.last)
                co_return;
            if (begin > steady::now())
                co_await sleep_for(begin - steady::now());
        }
        co_await order(connection, fmt::format("bench-{}", number));
        if (!all.measuring)
            continue;
        ++all.orders;
        all.latency.record(steady::now() - begin);
    }
}

asio::awaitable<void> measure(customers& all, std::size_t clients, const options& given,
                              double& per_second)
{
    const auto executor = co_await asio::this_coro::executor;
    all.left = clients;
    all.first = steady::now();
    all.last = all.first + given.warm_up + given.duration;
    for (std::size_t i = 0; i < clients; ++i)
        asio::co_spawn(executor, keep_ordering(all), [&all](std::exception_ptr thrown) {
            if (thrown)
                all.failure = std::move(thrown);
            --all.left;
        });
    co_await sleep_for(given.warm_up);
    const auto begin = steady::now();
    all.measuring = true;
    co_await sleep_for(given.duration);
    all.measuring = false;
    per_second = static_cast<double>(all.orders) /
                 std::chrono::duration<double>(steady::now() - begin).count();
    all.ending = true;
    while (all.left > 0)
        co_await sleep_for(1ms);
    if (all.failure)
        std::rethrow_exception(all.failure);
}

struct result {
    double orders_per_second = 0;
    histogram latency;
};

std::uint16_t port_of(const std::string& url)
{
    std::uint16_t port = 0;
    const auto digits = url.substr(url.rfind(':') + 1);
    std::from_chars(digits.data(), digits.data() + digits.size(), port);
    return port;
}

/// @param rate Orders per second; 0: each client sends its next order when the last has ended.
result drive_orders(const options& given, std::size_t clients, double rate)
{
    const scratch_folder folder{given};
    background_host threads{options::pick(given.threads, 1)};
    order_processing::server_settings settings;
    settings.db = folder.database();
    settings.mocks = {true, true, true};
    settings.services_db = ":memory:"; // the services stand for programs elsewhere
    settings.log = [](const pawl::log_entry&) {
    };
    order_processing::order_server server{threads.executor(), std::move(settings)};
    threads.run(server.async_start());
    customers all{port_of(server.url())};
    if (rate > 0)
        all.interval =
            std::chrono::duration_cast<steady::duration>(std::chrono::duration<double>(1 / rate));
    result measured;
    std::exception_ptr failure;
    try {
        host load{1};
        load.run(measure(all, clients, given, measured.orders_per_second));
    } catch (...) {
        failure = std::current_exception();
    }
    threads.run(server.async_stop());
    if (failure)
        std::rethrow_exception(failure);
    measured.latency = all.latency;
    return measured;
}

double milliseconds(histogram::duration span)
{
    return std::chrono::duration<double, std::milli>(span).count();
}

} // namespace

void order_server(const options& given, report& out)
{
    if (!is_wanted(given, "sqlite"))
        return;
    const auto clients = given.flying(256);
    figure rate{"orders", fmt::format("{} clients", clients), "orders/s"};
    rate.limit = "bare Beast exchanges / 6";
    rate.targets = {at_least(2'000)};
    figure p50{"orders", fmt::format("{} clients, p50", clients), "ms"};
    figure p99{"orders", fmt::format("{} clients, p99", clients), "ms"};
    p99.targets = {at_most(400)};
    for (int i = 0; i < given.repeats; ++i) {
        const auto measured = drive_orders(given, clients, 0);
        rate.samples.push_back(measured.orders_per_second);
        p50.samples.push_back(milliseconds(measured.latency.percentile(50)));
        p99.samples.push_back(milliseconds(measured.latency.percentile(99)));
        if (!given.no_limits)
            rate.limit_samples.push_back(
                drive_beast(clients, options::pick(given.threads, 1), given) / exchanges_per_order);
    }
    const auto reached = rate.value();
    out.add(std::move(rate));
    out.add(std::move(p50));
    out.add(std::move(p99));

    // Half of what it can do, sent by the clock.
    const auto rate_of_clock = std::max(reached / 2, 100.0);
    const auto open = drive_orders(given, 4 * clients, rate_of_clock);
    const auto add = [&](const std::string& what, double value) {
        out.add(figure{"orders",
                       fmt::format("open loop at {:.0f} orders/s, {}", rate_of_clock, what),
                       "ms",
                       {value}});
    };
    add("p50", milliseconds(open.latency.percentile(50)));
    add("p99", milliseconds(open.latency.percentile(99)));
    add("p99.9", milliseconds(open.latency.percentile(99.9)));
}

} // namespace pawl_bench
