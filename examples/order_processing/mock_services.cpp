// The payment, inventory and shipping services in a process of their own, so that the order server
// can be killed without them.
#include "descriptors.hpp"
#include "flags.hpp"
#include "services/start.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <csignal>
#include <exception>
#include <iostream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace asio = boost::asio;
using order_processing::services::running_services;
using order_processing::services::services_options;

namespace {

constexpr std::chrono::seconds drain_time{10};

asio::awaitable<void> stop_on_signal(asio::signal_set& signals, running_services& services)
{
    co_await signals.async_wait(asio::use_awaitable);
    co_await services.async_stop(drain_time);
}

void serve(services_options options, int threads)
{
    asio::io_context context{threads};
    asio::signal_set signals{context, SIGINT, SIGTERM};
    auto services = start_services(context.get_executor(), std::move(options));
    std::cout << services.announcement() << std::flush;

    std::exception_ptr failure;
    asio::co_spawn(context, stop_on_signal(signals, services),
                   [&failure](std::exception_ptr thrown) { failure = std::move(thrown); });
    {
        std::vector<std::jthread> others;
        for (int i = 1; i < threads; ++i)
            others.emplace_back([&context] { context.run(); });
        context.run();
    }
    if (failure)
        std::rethrow_exception(failure);
}

} // namespace

int main(int argc, char** argv)
{
    std::signal(SIGPIPE, SIG_IGN); // the reader of the log may exit
    const auto descriptors = order_processing::raise_descriptor_limit();
    services_options options;
    options.database = "services.db";
    // Customers are other programs here, of three services.
    options.max_connections = std::clamp<std::size_t>(
        order_processing::share_descriptors(descriptors).customers / 3, 1, 10'000);
    int threads = 1;
    order_processing::flag_set flags{
        "mock_services: the payment, inventory and shipping services of the order example.\n"
        "They listen on 127.0.0.1, tell their addresses on standard output, and stop on SIGTERM.",
        "PAWL_SERVICES_"};
    flags.text("db", options.database, "FILE", "The ledger's file; :memory: keeps nothing");
    flags.number("payment-port", options.payment_port, "0 picks a free port");
    flags.number("inventory-port", options.inventory_port, "0 picks a free port");
    flags.number("shipping-port", options.shipping_port, "0 picks a free port");
    flags.number("threads", threads, "Threads that serve, beside the ledger's", 1, 64);
    try {
        if (!flags.parse(argc, argv)) {
            std::cout << flags.help();
            return 0;
        }
        options.log({pawl::log_level::info,
                     "at most " + std::to_string(descriptors) + " descriptors: " +
                         std::to_string(options.max_connections) + " connections to each service"});
        serve(std::move(options), threads);
        return 0;
    } catch (const order_processing::flag_error& error) {
        std::cerr << "mock_services: " << error.what() << '\n';
        return 2;
    } catch (const std::exception& error) {
        std::cerr << "mock_services: " << error.what() << '\n';
        return 1;
    }
}
