// An order server for tests: everything in this process, on loopback and free ports, in memory,
// with waits short enough to be waited for.
#pragma once

#include "invariants.hpp"
#include "order_view.hpp"
#include "pawl/http/client.hpp"
#include "server.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace order_processing::testing {

/// Settings with everything in memory, and short waits.
server_settings quick_settings();

/// A started server, as a scenario sees it.
class scenario {
public:
    scenario(boost::asio::any_io_executor executor, order_server& server);

    order_server& server() noexcept { return server_; }
    boost::asio::any_io_executor executor() const { return executor_; }

    boost::asio::awaitable<pawl::http::client_response>
    send(std::string method, std::string target, std::string body = {},
         std::vector<std::pair<std::string, std::string>> headers = {});

    /// Submits an order, which has to be accepted.
    boost::asio::awaitable<void> submit(Order order);

    /// Waits for an order's end, which has to come.
    boost::asio::awaitable<order_view> wait(std::string order_id);

    boost::asio::awaitable<order_view> submit_and_wait(Order order);

    boost::asio::awaitable<order_view> find(std::string order_id);

    /// Waits until an order has had a failed attempt in this status.
    boost::asio::awaitable<void> wait_for_failure(std::string order_id, OrderStatus in);

    boost::asio::awaitable<void> wait_for_status(std::string order_id, OrderStatus status);

    enum class service { payment, inventory, shipping };

    /// Makes a service misbehave: a document for PUT /faults. "{}" ends it.
    boost::asio::awaitable<void> set_faults(service of, std::string document);

    boost::asio::awaitable<void> set_stock(std::string product, int quantity);

    /// What the ledgers say of an order, e.g. "charge 99.99 credit_card, reserve, shipment".
    boost::asio::awaitable<std::string> effects(std::string order_id);

    /// Checks that no invariant is broken.
    boost::asio::awaitable<void> check();

private:
    boost::asio::awaitable<void> put(std::string url, std::string target, std::string body);

    boost::asio::any_io_executor executor_;
    order_server& server_;
    pawl::http::client client_;
};

/// Starts a server, runs the body, checks the invariants, stops the server.
void run_scenario(boost::asio::awaitable<void> (*body)(scenario&),
                  server_settings settings = quick_settings());

/// Runs a coroutine to its end on a context of its own; rethrows what it throws.
void run_coroutine(boost::asio::io_context& context, boost::asio::awaitable<void> body);

/// A document as a customer sends it.
std::string document_of(const Order& order);

} // namespace order_processing::testing
