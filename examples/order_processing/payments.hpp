#pragma once

#include "order.hpp"
#include "order_options.hpp"
#include "pawl/run.hpp"
#include "service_clients.hpp"

#include <boost/asio/awaitable.hpp>

#include <optional>
#include <string>
#include <string_view>

/// How the steps handle money, so that none is lost and none is taken twice.
///
/// The rule: what is about to be done is stored first, with the key that it is done under. After a
/// crash, or when an answer got lost, the key tells what became of it.
namespace order_processing {

/// True while the outcome of the last try to charge is not known.
bool charge_in_flight(const Order& order) noexcept;

int tries_with(const Order& order, std::string_view method) noexcept;

/// True when a method will not be charged again: it was tried `limit` times, or a try ended other
/// than declined. A try whose outcome is not known leaves it open.
bool is_spent(const Order& order, std::string_view method, int limit) noexcept;

/// Another method that the customer has agreed to, if there is one.
std::optional<std::string> alternative_method(std::string_view customer_id);

/// The live or captured payment; nullptr when there is none.
Payment* current_payment(Order& order) noexcept;

/// Files the current payment with its end, which is neither live nor captured, and clears the
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
/// Durability: the try is on disk, and counted, before the provider hears of it.
/// @throws service_error when the outcome stays unknown: the same try, under the same key, goes on
/// at the next call. A try that was not sent is dropped and does not count.
boost::asio::awaitable<charge_outcome> charge(pawl::run<Order>& run, order_services& services,
                                              const order_options& options);

/// Refunds what of the captured payment exceeds `keep`, once, and completes when that is
/// confirmed. With nothing to keep, the payment is filed as refunded.
///
/// Durability: each refund is on disk before the provider hears of it.
/// Precondition: the current payment is captured.
boost::asio::awaitable<void> refund_down_to(pawl::run<Order>& run, order_services& services,
                                            money keep);

/// Takes the current payment back, if there is one: by a void while that is possible, else by a
/// refund.
boost::asio::awaitable<void> give_money_back(pawl::run<Order>& run, order_services& services);

} // namespace order_processing
