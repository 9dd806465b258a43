#include "services/start.hpp"

#include "services/ledger.hpp"
#include "services/routes.hpp"

#include <algorithm>
#include <memory>
#include <utility>

namespace order_processing::services {

namespace {

using make_routes = std::vector<pawl::http::route>(const std::shared_ptr<service>&);

std::optional<pawl::http::server> make_server(const boost::asio::any_io_executor& executor,
                                              bool wanted, std::string name,
                                              const std::shared_ptr<ledger>& books,
                                              std::uint16_t port, const services_options& common,
                                              make_routes& routes)
{
    if (!wanted)
        return std::nullopt;
    auto owner = std::make_shared<service>();
    owner->name = std::move(name);
    owner->books_of_all = books;
    pawl::http::server_options options;
    options.port = port;
    options.hosts = {"localhost"};
    options.max_connections = common.max_connections;
    options.log = common.log;
    options.tracing = common.tracing;
    return pawl::http::server{executor, routes(owner), std::move(options)};
}

} // namespace

running_services::running_services(std::optional<pawl::http::server> payment,
                                   std::optional<pawl::http::server> inventory,
                                   std::optional<pawl::http::server> shipping)
    : payment_(std::move(payment)), inventory_(std::move(inventory)), shipping_(std::move(shipping))
{
    for (auto* server : {&payment_, &inventory_, &shipping_})
        if (*server)
            (*server)->start();
}

std::string running_services::payment_url() const
{
    return payment_ ? payment_->url() : "";
}

std::string running_services::inventory_url() const
{
    return inventory_ ? inventory_->url() : "";
}

std::string running_services::shipping_url() const
{
    return shipping_ ? shipping_->url() : "";
}

std::string running_services::announcement() const
{
    std::string lines;
    if (payment_)
        lines += "payment service listening on " + payment_url() + "\n";
    if (inventory_)
        lines += "inventory service listening on " + inventory_url() + "\n";
    if (shipping_)
        lines += "shipping service listening on " + shipping_url() + "\n";
    return lines;
}

boost::asio::awaitable<void> running_services::async_stop(pawl::duration deadline)
{
    const auto end = std::chrono::steady_clock::now() + deadline;
    for (auto* server : {&payment_, &inventory_, &shipping_}) {
        if (!*server)
            continue;
        const auto left =
            std::chrono::duration_cast<pawl::duration>(end - std::chrono::steady_clock::now());
        co_await (*server)->async_stop(std::max(left, pawl::duration{0}));
    }
}

running_services start_services(boost::asio::any_io_executor executor, services_options options)
{
    const auto books = std::make_shared<ledger>(options.database, options.lock_wait);
    // All ports are bound before any of them serves, so that a failure leaves nothing running.
    auto payment = make_server(executor, options.which.payment, "payment", books,
                               options.payment_port, options, payment_routes);
    auto inventory = make_server(executor, options.which.inventory, "inventory", books,
                                 options.inventory_port, options, inventory_routes);
    auto shipping = make_server(executor, options.which.shipping, "shipping", books,
                                options.shipping_port, options, shipping_routes);
    return {std::move(payment), std::move(inventory), std::move(shipping)};
}

} // namespace order_processing::services
