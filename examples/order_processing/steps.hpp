#pragma once

#include "order.hpp"
#include "order_options.hpp"
#include "pawl/run.hpp"
#include "pawl/step.hpp"
#include "service_clients.hpp"

/// The steps of an order, the timeout of its payment, and the customer's cancel.
///
/// Each may run again from its beginning at any moment, after an error or a crash: the
/// order tells it which effects have happened. Services and options outlive the run.
namespace order_processing {

pawl::step<OrderStatus::Validated, OrderStatus::Cancelled> validate_order(pawl::run<Order>& run);

/// Tries to charge once per attempt, with a wait after each decline.
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

/// Continues with the part of the order that is in stock and refunds the rest, or refunds
/// everything.
pawl::step<OrderStatus::InventoryReserved, OrderStatus::Refunded>
handle_inventory_failure(pawl::run<Order>& run, order_services& services,
                         const order_options& options);

pawl::step<OrderStatus::Fulfilled, OrderStatus::Cancelled> fulfill_order(pawl::run<Order>& run,
                                                                         order_services& services);

/// Callback `cancel`. Does nothing if a shipment may have been made: it is too late.
pawl::step<OrderStatus::Cancelled> cancel_order(pawl::run<Order>& run, cancel_request request);

/// Refunds the payment and releases the stock; if nothing was paid the run ends as cancelled.
pawl::step<OrderStatus::Refunded>
process_cancellation(pawl::run<Order>& run, order_services& services, const order_options& options);

} // namespace order_processing
