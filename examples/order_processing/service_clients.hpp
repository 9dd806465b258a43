#pragma once

#include "order.hpp"
#include "pawl/http/client.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// The payment, inventory and shipping services, as the steps use them.
///
/// A refusal by the rules of a service (a declined card, missing stock) is a result. A failure to
/// answer is a service_error. Every call that has an effect takes the key that it sends as
/// `Idempotency-Key`: the same key again gets the first answer again, and has no second effect.
namespace order_processing {

/// Kinds of failures, by the effect of the request.
enum class service_failure {
    not_sent,  ///< no effect: the service has not received the request
    ambiguous, ///< the effect may have happened: no complete answer, or an inconclusive one
    unexpected ///< the answer breaks the protocol: an operator has to look at it
};

/// what() may be shown to a customer: it names the service and the outcome of the request. detail()
/// is for the log: it also has addresses, keys, and the beginning of the service's answer.
class service_error : public std::runtime_error {
public:
    service_error(service_failure kind, const std::string& sentence, std::string detail = {})
        : std::runtime_error(sentence), kind_(kind), detail_(std::move(detail))
    {
    }
    service_failure kind() const noexcept { return kind_; }
    const std::string& detail() const noexcept { return detail_; }

private:
    service_failure kind_;
    std::string detail_;
};

enum class charge_answer {
    accepted, ///< payment_id is set
    declined, ///< by the bank
    refused,  ///< this method, for good
    rejected, ///< this order, whatever the method
};

struct charge_result {
    charge_answer answer = charge_answer::accepted;
    std::string payment_id;
    std::string detail; ///< why not, in the provider's words: for the log
};

enum class payment_status { processing, completed, failed, voided, refunded };
BOOST_DESCRIBE_ENUM(payment_status, processing, completed, failed, voided, refunded)

struct payment_view {
    std::string payment_id;
    payment_status status = payment_status::processing;
    money amount;
    money captured;
    money refunded; ///< a part of captured
};
BOOST_DESCRIBE_STRUCT(payment_view, (), (payment_id, status, amount, captured, refunded))

/// Sends a request and gives its answer; throws pawl::http::client_error when there is none.
using transport =
    std::function<boost::asio::awaitable<pawl::http::client_response>(pawl::http::client_request)>;

/// Every function throws service_error. `trace_parent` goes with each request, as its
/// `traceparent`.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class payment_client {
public:
    /// @param name Of the service, in the details of errors: its URL.
    payment_client(std::string name, transport sender)
        : name_(std::move(name)), transport_(std::move(sender))
    {
    }

    std::string trace_parent{};

    /// Charges `amount` of the order by its payment method.
    boost::asio::awaitable<charge_result> charge(const Order& order, money amount, std::string key);

    /// The outcome of a charge by its key; empty when the provider does not know the key.
    boost::asio::awaitable<std::optional<charge_result>> find_charge(std::string key);

    boost::asio::awaitable<payment_view> find(std::string payment_id);

    /// False when it is too late: the money has been captured or returned.
    boost::asio::awaitable<bool> void_payment(std::string payment_id, std::string key);

    /// Completes with the refund's id once the provider has confirmed it; empty when the provider
    /// refuses it.
    boost::asio::awaitable<std::optional<std::string>> refund(std::string payment_id, money amount,
                                                              std::string key);

private:
    std::string name_;
    transport transport_;
};

/// The answer to a request for stock.
struct reservation_result {
    std::string reservation_id; ///< empty when nothing is reserved
    std::string detail;         ///< why not, in the inventory's words: for the log
};

struct stock_line {
    std::string product_id;
    std::int64_t available = 0;
};
BOOST_DESCRIBE_STRUCT(stock_line, (), (product_id, available))

/// Thread safety and errors as payment_client.
class inventory_client {
public:
    /// @param name Of the service, in the details of errors: its URL.
    inventory_client(std::string name, transport sender)
        : name_(std::move(name)), transport_(std::move(sender))
    {
    }

    std::string trace_parent{};

    /// Holds all items, or none.
    boost::asio::awaitable<reservation_result> reserve(const Order& order, std::string key);

    /// What is in stock of each item's product; empty when the inventory refuses the request.
    boost::asio::awaitable<std::vector<stock_line>> availability(std::vector<OrderItem> items);

    /// Completes when the reservation no longer exists: this call released it, or it had expired.
    boost::asio::awaitable<void> release(std::string reservation_id, std::string key);

private:
    std::string name_;
    transport transport_;
};

struct shipment_result {
    std::string tracking_number; ///< empty when nothing was shipped
    std::string detail;          ///< why, in the carrier's words: for the log
};

/// Thread safety and errors as payment_client.
class shipping_client {
public:
    /// @param name Of the service, in the details of errors: its URL.
    shipping_client(std::string name, transport sender)
        : name_(std::move(name)), transport_(std::move(sender))
    {
    }

    std::string trace_parent{};

    /// Ships the items of the order's reservation to its address.
    boost::asio::awaitable<shipment_result> ship(const Order& order, std::string key);

    /// The shipment of the order's reservation, whatever its key; without a tracking number when
    /// there is none.
    boost::asio::awaitable<shipment_result> find_shipment(const Order& order);

private:
    std::string name_;
    transport transport_;
};

struct service_urls {
    std::string payment; ///< as pawl::http::client takes it: "https://pay.example/v2"
    std::string inventory;
    std::string shipping;
};

/// Credentials between this server and the services.
struct service_access {
    /// Sent with each request as "Authorization: Bearer TOKEN". Empty: none.
    std::string payment_token;
    std::string inventory_token;
    std::string shipping_token;

    /// For https: the certificates of the CAs that are trusted, as a PEM file. Empty: the system's.
    std::string ca_file;

    pawl::span_recording tracing; ///< of requests
};

/// The options of a client for the service at `url`.
pawl::http::client_options client_options_of(std::string_view url, pawl::duration limit,
                                             std::size_t max_connections, const std::string& token,
                                             const service_access& access);

/// The services that the steps use. It outlives the engine that runs them.
struct order_services {
    /// @param limit For one request: pawl::http::client_options::timeout.
    /// @param max_connections To each service.
    /// @throws pawl::definition_error when a URL is not valid, or the file of the CAs cannot be
    /// used.
    order_services(boost::asio::any_io_executor executor, service_urls urls, pawl::duration limit,
                   std::size_t max_connections = 64, service_access access = {});

    /// Services with another transport, for tests.
    order_services(payment_client payment, inventory_client stock, shipping_client parcels)
        : payments(std::move(payment)), inventory(std::move(stock)), shipping(std::move(parcels))
    {
    }

    /// The same services, called as a part of this trace: `services.within(run.trace_parent())`.
    order_services within(const std::string& trace_parent) const;

    payment_client payments;
    inventory_client inventory;
    shipping_client shipping;
};

} // namespace order_processing
