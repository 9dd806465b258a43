#include "services/start.hpp"

#include "services/ledger.hpp"
#include "services/routes.hpp"

#include <algorithm>
#include <memory>
#include <utility>

namespace order_processing::services {

namespace {

using make_routes = std::vector<pawl::http::route>(const std::shared_ptr<service>&);

pawl::http::server make_server(const boost::asio::any_io_executor& executor, std::string name,
                               const std::shared_ptr<ledger>& books, std::uint16_t port,
                               const services_options& common, make_routes& routes)
{
    auto owner = std::make_shared<service>();
    owner->name = std::move(name);
    owner->books_of_all = books;
    pawl::http::server_options options;
    options.port = port;
    options.hosts = {"localhost"};
    options.max_connections = common.max_connections;
    options.log = common.log;
    return {executor, routes(owner), std::move(options)};
}

} // namespace

running_services::running_services(pawl::http::server payment, pawl::http::server inventory,
                                   pawl::http::server shipping)
    : payment_(std::move(payment)), inventory_(std::move(inventory)), shipping_(std::move(shipping))
{
    payment_.start();
    inventory_.start();
    shipping_.start();
}

std::string running_services::payment_url() const
{
    return payment_.url();
}

std::string running_services::inventory_url() const
{
    return inventory_.url();
}

std::string running_services::shipping_url() const
{
    return shipping_.url();
}

std::string running_services::announcement() const
{
    return "payment service listening on " + payment_url() + "\ninventory service listening on " +
           inventory_url() + "\nshipping service listening on " + shipping_url() + "\n";
}

boost::asio::awaitable<void> running_services::async_stop(pawl::duration deadline)
{
    const auto end = std::chrono::steady_clock::now() + deadline;
    for (auto* each : {&payment_, &inventory_, &shipping_}) {
        const auto left =
            std::chrono::duration_cast<pawl::duration>(end - std::chrono::steady_clock::now());
        co_await each->async_stop(std::max(left, pawl::duration{0}));
    }
}

running_services start_services(boost::asio::any_io_executor executor, services_options options)
{
    const auto books = std::make_shared<ledger>(options.database, options.lock_wait);
    // All ports are bound before any of them serves, so that a failure leaves nothing running.
    auto payment =
        make_server(executor, "payment", books, options.payment_port, options, payment_routes);
    auto inventory = make_server(executor, "inventory", books, options.inventory_port, options,
                                 inventory_routes);
    auto shipping =
        make_server(executor, "shipping", books, options.shipping_port, options, shipping_routes);
    return {std::move(payment), std::move(inventory), std::move(shipping)};
}

} // namespace order_processing::services
