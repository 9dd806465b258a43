#pragma once

#include "order.hpp"
#include "order_options.hpp"
#include "pawl/run.hpp"
#include "service_clients.hpp"

#include <boost/asio/awaitable.hpp>

#include <optional>
#include <string>
#include <string_view>

/// How the steps handle money, so that no money is lost and none is charged twice.
///
/// The rule: each effect is stored first, with its idempotency key. After a
/// crash or a lost answer, the key finds the outcome.
namespace order_processing {

/// True while the outcome of the last try to charge is not known.
bool charge_in_flight(const Order& order) noexcept;

int tries_with(const Order& order, std::string_view method) noexcept;

/// True when a method will not be charged again: it was tried `limit` times, or a try ended other
/// than declined. A try with an unknown outcome does not count.
bool is_spent(const Order& order, std::string_view method, int limit) noexcept;

/// Another method that the customer has agreed to, if there is one.
std::optional<std::string> alternative_method(std::string_view customer_id);

/// The live or captured payment; nullptr when there is none.
Payment* current_payment(Order& order) noexcept;

/// Sets the final state of the current payment, which is neither live nor captured, and clears the
/// order's payment id.
void archive_payment(Order& order, PaymentState end);

enum class charge_outcome {
    accepted, ///< the order has a live payment id
    declined, ///< by the bank; another try is left
    spent,    ///< this method is spent
    rejected, ///< no method would do; the last try's detail says why
};

/// One try to charge the order's total by its payment method, or the outcome of the try that is in
/// flight.
///
/// Durability: the try is on disk, and counted, before the request is sent.
/// @throws service_error when the outcome stays unknown: the same try, under the same key,
/// continues at the next call. A try that was not sent is dropped and does not count.
boost::asio::awaitable<charge_outcome> charge(pawl::run<Order>& run, order_services& services,
                                              const order_options& options);

/// Refunds the part of the captured payment that exceeds `keep`, once, and completes when that is
/// confirmed. If `keep` is zero, the payment's state becomes refunded.
///
/// Durability: each refund is on disk before the request is sent.
/// Precondition: the current payment is captured.
boost::asio::awaitable<void> refund_down_to(pawl::run<Order>& run, order_services& services,
                                            money keep);

/// Returns the current payment, if there is one: by a void while that is possible, else by a
/// refund.
boost::asio::awaitable<void> give_money_back(pawl::run<Order>& run, order_services& services);

} // namespace order_processing
