#pragma once

#include "order.hpp"
#include "order_options.hpp"
#include "pawl/run.hpp"
#include "service_clients.hpp"

#include <boost/asio/awaitable.hpp>

#include <vector>

/// How the steps reserve stock and release it: as with money, each effect is stored
/// first, with its idempotency key.
namespace order_processing {

/// Keeps in `order.items` what is in stock, moves the rest to `order.dropped_items`, and sets the
/// total to the value of what is kept. Starts from the ordered items, whatever was dropped before.
/// Pure.
void keep_available(Order& order, const std::vector<stock_line>& stock);

/// Undoes keep_available(): the order is again what the customer ordered.
void restore_items(Order& order);

/// Reserves the order's items, or finds the outcome of a reservation that was begun.
/// Completes with false, and no reservation, when stock is missing or the inventory refuses.
///
/// Durability: the reservation's key is on disk before the request is sent.
boost::asio::awaitable<bool> hold_stock(pawl::run<Order>& run, order_services& services);

/// Reserves the part of the order that is in stock. Completes with false, and the order as it was
/// ordered, when nothing is, or when others took the stock first `options.partial_tries` times.
boost::asio::awaitable<bool> hold_available_stock(pawl::run<Order>& run, order_services& services,
                                                  const order_options& options);

/// Releases the order's reservation if it has one, or if one may have been made.
boost::asio::awaitable<void> release_stock(pawl::run<Order>& run, order_services& services);

} // namespace order_processing
