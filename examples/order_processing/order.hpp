#pragma once

#include "money.hpp"
#include "pawl/codec.hpp"
#include "pawl/time.hpp"

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace order_processing {

/// The status of an order. Stored: never change a number.
enum class OrderStatus {
    Created = 1,
    Validated = 2,
    PaymentProcessing = 3, ///< a live payment id is set
    PaymentProcessed = 4,  ///< the captured amount equals the total
    PaymentFailed = 5,
    InventoryReserved = 6,
    InventoryFailed = 7,
    Fulfilled = 8,
    Cancelled = 9, ///< completed steps are compensated; if nothing was paid, the run ends here
    Refunded = 10,
};
BOOST_DESCRIBE_ENUM(OrderStatus, Created, Validated, PaymentProcessing, PaymentProcessed,
                    PaymentFailed, InventoryReserved, InventoryFailed, Fulfilled, Cancelled,
                    Refunded)

/// "Created", …; "Unknown" for any other number.
std::string_view to_string(OrderStatus status) noexcept;

/// The inverse of to_string(), exact case.
std::optional<OrderStatus> parse_order_status(std::string_view text) noexcept;

struct OrderItem {
    std::string product_id;
    int quantity = 0;
    money price; ///< of one

    friend bool operator==(const OrderItem&, const OrderItem&) = default;
};
BOOST_DESCRIBE_STRUCT(OrderItem, (), (product_id, quantity, price))

struct Address {
    std::string street;
    std::string city;
    std::string state;
    std::string zip_code;
    std::string country;

    friend bool operator==(const Address&, const Address&) = default;
};
BOOST_DESCRIBE_STRUCT(Address, (), (street, city, state, zip_code, country))

/// The outcome of one try to charge. Stored by name: never rename one.
enum class PaymentState {
    in_flight,  ///< about to be sent, or sent with an unknown outcome
    declined,   ///< by the bank; the same method may be tried again
    refused,    ///< for good
    live,       ///< accepted by the provider, not known to be captured
    captured,   ///< the money was received
    failed,     ///< the provider gave up
    voided,     ///< voided before it was captured
    refunded,   ///< captured and completely refunded
    never_made, ///< in older orders: the provider had not received it
};
BOOST_DESCRIBE_ENUM(PaymentState, in_flight, declined, refused, live, captured, failed, voided,
                    refunded, never_made)

/// One try to charge. It is stored, with its key, before the request is sent: whatever
/// happens then, the key identifies the charge.
struct Payment {
    std::string key;
    std::string method;
    money amount;
    PaymentState state = PaymentState::in_flight;
    std::string payment_id; ///< the provider's; empty as long as there is none
    std::string detail;     ///< why it was declined or failed

    friend bool operator==(const Payment&, const Payment&) = default;
};
BOOST_DESCRIBE_STRUCT(Payment, (), (key, method, amount, state, payment_id, detail))

/// A refund, stored before the request is sent; confirmed once it has a refund id.
struct Refund {
    std::string key;
    std::string payment_id;
    money amount;
    std::string refund_id;

    friend bool operator==(const Refund&, const Refund&) = default;
};
BOOST_DESCRIBE_STRUCT(Refund, (), (key, payment_id, amount, refund_id))

/// The body of POST /orders.
struct order_request {
    std::string id;
    std::string customer_id;
    std::vector<OrderItem> items;
    money total;
    std::string payment_method;
    Address shipping_address;
    bool allow_partial = true;
};
BOOST_DESCRIBE_STRUCT(order_request, (),
                      (id, customer_id, items, total, payment_method, shipping_address,
                       allow_partial))

/// The object of the workflow: the customer's order, and the results of the steps.
struct Order {
    // From the customer.
    std::string id;
    std::string customer_id;
    std::vector<OrderItem> items; ///< what is to be shipped; see dropped_items
    money total;                  ///< of the items
    std::string payment_method;   ///< the one that is charged
    Address shipping_address;
    bool allow_partial = true; ///< ship the available part and refund the rest

    /// Of the request that brought the order, if it had an Idempotency-Key; else empty.
    std::string request_digest;

    // Results.
    std::vector<std::string> validation_errors;
    std::string payment_id;     ///< of the live or captured payment; cleared when it is undone
    std::string reservation_id; ///< of the stock that is held; cleared when it is released
    std::string tracking_number;
    int payment_attempts = 0; ///< tries with the current payment method
    std::string cancel_reason;

    // Bookkeeping of the steps, so that every effect happens once.
    std::vector<Payment> payments; ///< every try, the oldest first
    int payment_polls = 0;         ///< of the live payment
    std::string reservation_key; ///< of the reservation for `items`, while its answer is not known
    int reservations_tried = 0;
    std::vector<std::string> released_reservations;
    std::string shipment_key;             ///< while the outcome of the shipment is unknown
    std::vector<OrderItem> dropped_items; ///< ordered, but not in stock
    std::vector<Refund> refunds;

    pawl::time_point created_at;
    std::optional<pawl::time_point> validated_at;
    std::optional<pawl::time_point> paid_at;
    std::optional<pawl::time_point> fulfilled_at;
    std::optional<pawl::time_point> cancelled_at;

    friend bool operator==(const Order&, const Order&) = default;
};
BOOST_DESCRIBE_STRUCT(Order, (),
                      (id, customer_id, items, total, payment_method, shipping_address,
                       allow_partial, request_digest, validation_errors, payment_id, reservation_id,
                       tracking_number, payment_attempts, cancel_reason, payments, payment_polls,
                       reservation_key, reservations_tried, released_reservations, shipment_key,
                       dropped_items, refunds, created_at, validated_at, paid_at, fulfilled_at,
                       cancelled_at))

/// The customer's request to cancel; the payload of the callback `cancel`.
struct cancel_request {
    std::string reason;
};
BOOST_DESCRIBE_STRUCT(cancel_request, (), (reason))

/// The sum of price times quantity. @throws money_error when it is out of range.
money value_of(const std::vector<OrderItem>& items);

Order new_order(order_request sent, pawl::time_point now);

/// Removes personal data: name, address, payment method, reasons in the customer's words. The items
/// and the payments stay, for the books.
void scrub_personal_data(Order& order);

} // namespace order_processing
