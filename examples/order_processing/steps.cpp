#include "steps.hpp"

#include "payments.hpp"
#include "stock.hpp"
#include "validation.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

namespace order_processing {
namespace {

using enum OrderStatus;
using pawl::log_level;

pawl::duration poll_delay(int polls, const order_options& options)
{
    pawl::duration delay = options.poll_interval;
    for (int i = 0; i < polls && delay < options.max_poll_interval; ++i)
        delay *= 2;
    return std::min(delay, options.max_poll_interval);
}

/// A payment was captured and refunded.
bool was_paid_back(const Order& order)
{
    return std::any_of(order.payments.begin(), order.payments.end(), [](const Payment& payment) {
        return payment.state == PaymentState::refunded;
    });
}

/// Archives the order's payment if it failed; false while it is processing or captured.
bool archive_if_lost(Order& order, payment_status status)
{
    switch (status) {
    case payment_status::failed:
        archive_payment(order, PaymentState::failed);
        return true;
    case payment_status::voided:
        archive_payment(order, PaymentState::voided);
        return true;
    case payment_status::refunded:
        archive_payment(order, PaymentState::refunded);
        return true;
    case payment_status::processing:
    case payment_status::completed:
        break;
    }
    return false;
}

std::string last_detail(const Order& order)
{
    return order.payments.empty() ? std::string{} : order.payments.back().detail;
}

} // namespace

pawl::step<Validated, Cancelled> validate_order(pawl::run<Order>& run)
{
    Order& order = run.object();
    order.validation_errors = find_problems(order);
    if (!order.validation_errors.empty()) {
        order.cancel_reason = "validation failed: " + order.validation_errors.front();
        co_return pawl::to<Cancelled>;
    }
    order.validated_at = run.now();
    co_return pawl::to<Validated>;
}

pawl::step<PaymentProcessing, PaymentFailed, Cancelled>
process_payment(pawl::run<Order>& run, order_services& services, const order_options& options)
{
    Order& order = run.object();
    const charge_outcome outcome = co_await charge(run, services, options);
    switch (outcome) {
    case charge_outcome::accepted:
        co_return pawl::to<PaymentProcessing>;
    case charge_outcome::declined:
        co_return pawl::repeat_after(options.payment_backoff);
    case charge_outcome::spent:
        co_return pawl::to<PaymentFailed>;
    case charge_outcome::rejected:
        order.cancel_reason = "payment failed: " + last_detail(order);
        co_return pawl::to<Cancelled>;
    }
}

pawl::step<PaymentProcessed, PaymentFailed>
complete_payment(pawl::run<Order>& run, order_services& services, const order_options& options)
{
    Order& order = run.object();
    const payment_view view =
        co_await services.within(run.trace_parent()).payments.find(order.payment_id);
    if (view.status == payment_status::processing)
        co_return pawl::repeat_after(poll_delay(order.payment_polls++, options));
    if (archive_if_lost(order, view.status))
        co_return pawl::to<PaymentFailed>;
    if (view.captured != order.total)
        co_return pawl::pause("the payment captured " + to_string(view.captured) + " of " +
                              to_string(order.total));
    if (Payment* payment = current_payment(order))
        payment->state = PaymentState::captured;
    order.paid_at = run.now();
    co_return pawl::to<PaymentProcessed>;
}

pawl::step<PaymentFailed> payment_timed_out(pawl::run<Order>& run, order_services& services)
{
    Order& order = run.object();
    const auto key = run.idempotency_key_per_run("void-" + order.payment_id);
    const bool voided =
        co_await services.within(run.trace_parent()).payments.void_payment(order.payment_id, key);
    if (voided) {
        archive_payment(order, PaymentState::voided);
        co_return pawl::to<PaymentFailed>;
    }
    const payment_view view =
        co_await services.within(run.trace_parent()).payments.find(order.payment_id);
    // Captured at the last moment: the order is paid, and complete_payment continues.
    if (view.status == payment_status::completed)
        co_return pawl::skip();
    if (archive_if_lost(order, view.status))
        co_return pawl::to<PaymentFailed>;
    throw service_error{service_failure::unexpected, "the payment cannot be voided",
                        "payment " + order.payment_id + " is still processing"};
}

pawl::step<PaymentProcessing, Cancelled> handle_payment_failure(pawl::run<Order>& run,
                                                                order_services& services,
                                                                const order_options& options)
{
    Order& order = run.object();
    if (is_spent(order, order.payment_method, options.tries_per_method)) {
        const auto other = alternative_method(order.customer_id);
        if (!other || is_spent(order, *other, options.tries_per_method)) {
            order.cancel_reason = "payment failed: " + last_detail(order);
            co_return pawl::to<Cancelled>;
        }
        run.log(log_level::info, "charges " + *other + " instead of " + order.payment_method);
        order.payment_method = *other;
    }
    const charge_outcome outcome = co_await charge(run, services, options);
    switch (outcome) {
    case charge_outcome::accepted:
        co_return pawl::to<PaymentProcessing>;
    case charge_outcome::declined:
        co_return pawl::repeat_after(options.payment_backoff);
    case charge_outcome::spent:
    case charge_outcome::rejected:
        order.cancel_reason = "payment failed: " + last_detail(order);
        co_return pawl::to<Cancelled>;
    }
}

pawl::step<InventoryReserved, InventoryFailed> reserve_inventory(pawl::run<Order>& run,
                                                                 order_services& services)
{
    const bool held = co_await hold_stock(run, services);
    if (held)
        co_return pawl::to<InventoryReserved>;
    co_return pawl::to<InventoryFailed>;
}

pawl::step<InventoryReserved, Refunded> handle_inventory_failure(pawl::run<Order>& run,
                                                                 order_services& services,
                                                                 const order_options& options)
{
    Order& order = run.object();
    // A refund without a reservation is a full refund: the decision stands
    // even if stock has arrived since.
    const bool decided = !order.reservation_id.empty() || !order.refunds.empty();
    if (!decided && order.allow_partial)
        co_await hold_available_stock(run, services, options);

    if (order.reservation_id.empty()) {
        co_await refund_down_to(run, services, money{});
        co_return pawl::to<Refunded>;
    }
    co_await refund_down_to(run, services, order.total);
    co_return pawl::to<InventoryReserved>;
}

pawl::step<Fulfilled, Cancelled> fulfill_order(pawl::run<Order>& run, order_services& services)
{
    Order& order = run.object();
    const bool first = order.shipment_key.empty();
    if (first) {
        order.shipment_key = run.idempotency_key("ship");
        co_await run.checkpoint();
    }

    shipment_result shipment;
    std::optional<service_error> unsent;
    try {
        shipment =
            co_await services.within(run.trace_parent()).shipping.ship(order, order.shipment_key);
    } catch (const service_error& error) {
        if (error.kind() != service_failure::not_sent || !first)
            throw;
        unsent = error;
    }
    if (unsent) {
        // The request was not sent, so until the next attempt the customer may still cancel.
        order.shipment_key.clear();
        co_await run.checkpoint();
        throw service_error{*unsent};
    }

    if (shipment.tracking_number.empty()) {
        // An earlier request of this step or of the HTTP client may have succeeded, and this
        // refusal may be its consequence.
        auto earlier = co_await services.within(run.trace_parent()).shipping.find_shipment(order);
        shipment.tracking_number = std::move(earlier.tracking_number);
    }
    order.shipment_key.clear();
    if (shipment.tracking_number.empty()) {
        run.log(log_level::warn, "the shipping service refuses the order: " + shipment.detail);
        order.cancel_reason = "the shipping service refuses the order";
        co_return pawl::to<Cancelled>;
    }
    order.tracking_number = shipment.tracking_number;
    order.fulfilled_at = run.now();
    co_return pawl::to<Fulfilled>;
}

pawl::step<Cancelled> cancel_order(pawl::run<Order>& run, cancel_request request)
{
    Order& order = run.object();
    if (!order.shipment_key.empty())
        co_return pawl::skip(); // too late: a shipment may be on its way
    order.cancel_reason =
        request.reason.empty() ? "cancelled by the customer" : std::move(request.reason);
    co_return pawl::to<Cancelled>;
}

pawl::step<Refunded> process_cancellation(pawl::run<Order>& run, order_services& services,
                                          const order_options& options)
{
    Order& order = run.object();
    // Send a charge with an unknown outcome again under its key: its outcome is then known.
    if (charge_in_flight(order)) {
        co_await charge(run, services, options);
        co_await run.checkpoint();
    }
    co_await give_money_back(run, services);
    co_await run.checkpoint(); // a refund does not wait for the inventory
    co_await release_stock(run, services);
    order.cancelled_at = run.now();
    if (was_paid_back(order))
        co_return pawl::to<Refunded>;
    // Do not store the reason, which may be the customer's words, in the history: data deletion
    // removes it from the order only.
    co_return pawl::cancel("the order was cancelled");
}

} // namespace order_processing
