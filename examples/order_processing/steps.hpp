#pragma once

#include "order.hpp"
#include "order_options.hpp"
#include "pawl/run.hpp"
#include "pawl/step.hpp"
#include "service_clients.hpp"

/// The steps of an order, the timeout of its payment, and the customer's cancel.
///
/// Each may be run again from its beginning at any moment, after an error as after a crash: what it
/// finds in the order tells it what has been done. Services and options outlive the run.
namespace order_processing {

pawl::step<OrderStatus::Validated, OrderStatus::Cancelled> validate_order(pawl::run<Order>& run);

/// Tries to charge: once an attempt, a wait between declines.
pawl::step<OrderStatus::PaymentProcessing, OrderStatus::PaymentFailed, OrderStatus::Cancelled>
process_payment(pawl::run<Order>& run, order_services& services, const order_options& options);

/// Polls the provider until the money is captured.
pawl::step<OrderStatus::PaymentProcessed, OrderStatus::PaymentFailed>
complete_payment(pawl::run<Order>& run, order_services& services, const order_options& options);

/// Timeout of PaymentProcessing: voids the payment.
pawl::step<OrderStatus::PaymentFailed> payment_timed_out(pawl::run<Order>& run,
                                                         order_services& services);

/// Charges by the customer's alternative method.
pawl::step<OrderStatus::PaymentProcessing, OrderStatus::Cancelled>
handle_payment_failure(pawl::run<Order>& run, order_services& services,
                       const order_options& options);

pawl::step<OrderStatus::InventoryReserved, OrderStatus::InventoryFailed>
reserve_inventory(pawl::run<Order>& run, order_services& services);

/// Goes on with the part of the order that is in stock and refunds the rest, or refunds all.
pawl::step<OrderStatus::InventoryReserved, OrderStatus::Refunded>
handle_inventory_failure(pawl::run<Order>& run, order_services& services,
                         const order_options& options);

pawl::step<OrderStatus::Fulfilled, OrderStatus::Cancelled> fulfill_order(pawl::run<Order>& run,
                                                                         order_services& services);

/// Callback `cancel`. Does nothing once a shipment may have been made: that is too late.
pawl::step<OrderStatus::Cancelled> cancel_order(pawl::run<Order>& run, cancel_request request);

/// Releases the stock and gives the money back; with nothing paid the run ends as cancelled.
pawl::step<OrderStatus::Refunded>
process_cancellation(pawl::run<Order>& run, order_services& services, const order_options& options);

} // namespace order_processing
