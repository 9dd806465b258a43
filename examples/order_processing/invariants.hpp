#pragma once

#include "order_view.hpp"
#include "service_clients.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

/// Invariants of every order, whatever failed in between, checked against the services' ledgers.
namespace order_processing {

/// One effect of a service.
struct ledger_entry {
    std::uint64_t sequence = 0;
    std::string service; ///< "payment", "inventory", "shipping"

    /// "charge", "authorize", "capture", "decline", "void", "refund"; "reserve", "release";
    /// "shipment"
    std::string kind;
    std::string key; ///< begins with the run's id
    std::string order_id;
    std::string id; ///< of the payment, refund, reservation or shipment
    std::optional<money> amount;
    std::optional<std::string> payment_method;
    std::vector<OrderItem> items; ///< without prices
};
BOOST_DESCRIBE_STRUCT(ledger_entry, (),
                      (sequence, service, kind, key, order_id, id, amount, payment_method, items))

/// Reads the three ledgers, page by page. @throws service_error
boost::asio::awaitable<std::vector<ledger_entry>>
read_ledgers(boost::asio::any_io_executor executor, service_urls urls);

/// Reads every order of an order server, page by page. @throws service_error
boost::asio::awaitable<std::vector<order_view>> read_orders(boost::asio::any_io_executor executor,
                                                            std::string url);

/// The entries of one run, in order.
std::vector<ledger_entry> entries_of(const std::vector<ledger_entry>& ledgers,
                                     const std::string& run_id);

/// Sentences that name the order and what is wrong with it; empty when all of this holds:
///
/// 1. captured - refunded = value shipped, for each order that has ended;
/// 2. no shipment without a captured payment and a reservation, and each reservation of an order
///    that has ended is shipped or released;
/// 3. no two effects in a ledger have the same key;
/// 4. each order ends as Fulfilled, Refunded or Cancelled, or is paused with a reason, and each
///    effect belongs to one of the orders.
std::vector<std::string> broken_invariants(const std::vector<order_view>& orders,
                                           const std::vector<ledger_entry>& ledgers);

} // namespace order_processing
