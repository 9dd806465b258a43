#include "service_clients.hpp"

#include "pawl/error.hpp"
#include "percent.hpp"

#include <memory>
#include <utility>

namespace order_processing {
namespace {

namespace http = pawl::http;
using boost::asio::awaitable;

// The documents on the wire; unknown members are ignored.

struct charge_document {
    money amount;
    std::string payment_method;
    std::string customer_id;
    std::string order_id;
};
BOOST_DESCRIBE_STRUCT(charge_document, (), (amount, payment_method, customer_id, order_id))

struct refund_document {
    money amount;
};
BOOST_DESCRIBE_STRUCT(refund_document, (), (amount))

struct line_document {
    std::string product_id;
    int quantity = 0;
};
BOOST_DESCRIBE_STRUCT(line_document, (), (product_id, quantity))

struct reservation_document {
    std::string order_id;
    std::vector<line_document> items;
};
BOOST_DESCRIBE_STRUCT(reservation_document, (), (order_id, items))

struct availability_document {
    std::vector<line_document> items;
};
BOOST_DESCRIBE_STRUCT(availability_document, (), (items))

struct stock_document {
    std::vector<stock_line> items;
};
BOOST_DESCRIBE_STRUCT(stock_document, (), (items))

struct shipment_document {
    std::string order_id;
    std::vector<line_document> items;
    Address shipping_address;
    std::string reservation_id;
};
BOOST_DESCRIBE_STRUCT(shipment_document, (), (order_id, items, shipping_address, reservation_id))

/// Every member that an answer may have: of a payment, a reservation, a shipment, a problem.
struct answer_document {
    std::string payment_id;
    std::string refund_id;
    std::string reservation_id;
    std::string tracking_number;
    std::string detail;
    std::string type;
};
BOOST_DESCRIBE_STRUCT(answer_document, (),
                      (payment_id, refund_id, reservation_id, tracking_number, detail, type))

/// The problem type of a key that was used for another request.
constexpr std::string_view key_reused = "urn:order-processing:key-reused";

/// Tells a payment from a refusal when a charge is looked up by its key.
struct key_document {
    std::string status;
};
BOOST_DESCRIBE_STRUCT(key_document, (), (status))

template <class T>
std::string encode(const T& document)
{
    std::string text;
    pawl::codec<T>::encode(document, text);
    return text;
}

std::vector<line_document> lines_of(const std::vector<OrderItem>& items)
{
    std::vector<line_document> lines;
    lines.reserve(items.size());
    for (const OrderItem& item : items)
        lines.push_back({item.product_id, item.quantity});
    return lines;
}

struct call {
    std::string method;
    std::string target;
    std::string key; ///< empty for a call without effect
    std::string body;

    std::string name() const { return method + " " + target; }
};

/// An answer, with the request that it belongs to for error texts.
struct answered {
    std::string service_name; ///< "the payment service"
    std::string name;         ///< "POST http://HOST/payments"
    http::client_response response;

    int status() const noexcept { return response.status; }

    /// Throws for an answer that the caller does not expect.
    [[noreturn]] void refuse() const
    {
        const std::string text =
            name + ": status " + std::to_string(status()) + " " + response.body.substr(0, 200);
        // A gateway answers 429 and 503 also for a request that it has forwarded. 409 may mean that
        // an earlier request with the key is still being processed.
        const bool unknown = status() >= 500 || status() == 408 || status() == 409 ||
                             status() == 425 || status() == 429;
        throw service_error{unknown ? service_failure::ambiguous : service_failure::unexpected,
                            service_name + " answered with status " + std::to_string(status()),
                            text};
    }

    [[noreturn]] void throw_unreadable(const std::string& reason) const
    {
        throw service_error{service_failure::ambiguous, service_name + " gave an unreadable answer",
                            name + ": " + reason};
    }

    /// The service has understood the request and will never perform it. Missing credentials
    /// are a defect of the configuration, and a key that was used for another request says nothing
    /// of this one.
    bool is_refusal() const noexcept
    {
        switch (status()) {
        case 401:
        case 403:
        case 407:
        case 408:
        case 425:
        case 429:
            return false;
        default:
            return status() >= 400 && status() < 500 && problem_type() != key_reused;
        }
    }

    std::string problem_type() const noexcept
    {
        try {
            return read<answer_document>().type;
        } catch (const std::exception&) {
            return {};
        }
    }

    template <class T>
    T read() const
    {
        try {
            return pawl::codec<T>::decode(response.body);
        } catch (const pawl::decode_error& problem) {
            throw_unreadable(problem.what());
        }
    }

    /// A required member.
    std::string read(std::string answer_document::* member) const
    {
        std::string text = read<answer_document>().*member;
        if (text.empty())
            throw_unreadable("the answer has no id");
        return text;
    }

    std::string detail() const noexcept
    {
        try {
            return read<answer_document>().detail;
        } catch (const std::exception&) {
            return "status " + std::to_string(status());
        }
    }
};

awaitable<answered> send(std::string service_name, std::string service, transport sender,
                         std::string trace_parent, call request)
{
    answered result;
    result.service_name = "the " + service_name + " service";
    result.name = request.method + " " + service + request.target;

    http::client_request message;
    message.method = std::move(request.method);
    message.target = std::move(request.target);
    message.body = std::move(request.body);
    if (!request.key.empty())
        message.headers.emplace_back("Idempotency-Key", std::move(request.key));
    if (!trace_parent.empty())
        message.headers.emplace_back("traceparent", std::move(trace_parent));
    try {
        result.response = co_await sender(std::move(message));
    } catch (const http::client_error& error) {
        if (error.kind() == http::failure::not_sent)
            throw service_error{service_failure::not_sent,
                                result.service_name + " cannot be reached", error.what()};
        throw service_error{service_failure::ambiguous,
                            result.service_name + " gave no complete answer", error.what()};
    } catch (const pawl::error& error) {
        if (error.code() != pawl::errc::invalid_argument)
            throw;
        throw service_error{service_failure::unexpected,
                            result.service_name + " cannot be asked: the request is malformed",
                            error.what()};
    }
    co_return result;
}

} // namespace

awaitable<charge_result> payment_client::charge(const Order& order, money amount, std::string key)
{
    const charge_document document{amount, order.payment_method, order.customer_id, order.id};
    call request{"POST", "/payments", std::move(key), encode(document)};
    const answered answer =
        co_await send("payment", name_, transport_, trace_parent, std::move(request));
    switch (answer.status()) {
    case 200:
    case 201:
        co_return charge_result{
            charge_answer::accepted, answer.read(&answer_document::payment_id), {}};
    case 402:
        co_return charge_result{charge_answer::declined, {}, answer.detail()};
    default:
        break;
    }
    if (!answer.is_refusal() || answer.status() == 409)
        answer.refuse();
    const auto kind = answer.status() == 422 ? charge_answer::refused : charge_answer::rejected;
    co_return charge_result{kind, {}, answer.detail()};
}

awaitable<std::optional<charge_result>> payment_client::find_charge(std::string key)
{
    call request{"GET", "/payments?key=" + percent_encoded(key), {}, {}};
    const answered answer =
        co_await send("payment", name_, transport_, trace_parent, std::move(request));
    if (answer.status() == 404)
        co_return std::nullopt;
    if (answer.status() != 200)
        answer.refuse();
    const auto status = answer.read<key_document>().status;
    if (status == "declined")
        co_return charge_result{charge_answer::declined, {}, answer.detail()};
    if (status == "refused")
        co_return charge_result{charge_answer::refused, {}, answer.detail()};
    co_return charge_result{charge_answer::accepted, answer.read(&answer_document::payment_id), {}};
}

awaitable<payment_view> payment_client::find(std::string payment_id)
{
    call request{"GET", "/payments/" + percent_encoded(payment_id), {}, {}};
    const answered answer =
        co_await send("payment", name_, transport_, trace_parent, std::move(request));
    if (answer.status() != 200)
        answer.refuse();
    auto view = answer.read<payment_view>();
    const bool was_captured =
        view.status == payment_status::completed || view.status == payment_status::refunded;
    if (view.payment_id != payment_id || (was_captured && view.captured == money{}))
        answer.throw_unreadable("it does not describe the payment");
    co_return view;
}

awaitable<bool> payment_client::void_payment(std::string payment_id, std::string key)
{
    call request{"POST", "/payments/" + percent_encoded(payment_id) + "/void", std::move(key),
                 "{}"};
    const answered answer =
        co_await send("payment", name_, transport_, trace_parent, std::move(request));
    if (answer.status() == 409)
        co_return false;
    if (answer.status() != 200)
        answer.refuse();
    const auto view = answer.read<payment_view>();
    if (view.payment_id != payment_id || view.status != payment_status::voided)
        answer.throw_unreadable("it does not say that the payment is voided");
    co_return true;
}

awaitable<std::optional<std::string>> payment_client::refund(std::string payment_id, money amount,
                                                             std::string key)
{
    call request{"POST", "/payments/" + percent_encoded(payment_id) + "/refund", std::move(key),
                 encode(refund_document{amount})};
    const answered answer =
        co_await send("payment", name_, transport_, trace_parent, std::move(request));
    if (answer.is_refusal())
        co_return std::nullopt;
    if (answer.status() != 201 && answer.status() != 200)
        answer.refuse();
    co_return answer.read(&answer_document::refund_id);
}

awaitable<reservation_result> inventory_client::reserve(const Order& order, std::string key)
{
    const reservation_document document{order.id, lines_of(order.items)};
    call request{"POST", "/reservations", std::move(key), encode(document)};
    const answered answer =
        co_await send("inventory", name_, transport_, trace_parent, std::move(request));
    if (answer.is_refusal())
        co_return reservation_result{{}, answer.detail()};
    if (answer.status() != 201 && answer.status() != 200)
        answer.refuse();
    co_return reservation_result{answer.read(&answer_document::reservation_id), {}};
}

awaitable<std::vector<stock_line>> inventory_client::availability(std::vector<OrderItem> items)
{
    const availability_document document{lines_of(items)};
    call request{"POST", "/availability", {}, encode(document)};
    const answered answer =
        co_await send("inventory", name_, transport_, trace_parent, std::move(request));
    if (answer.is_refusal())
        co_return std::vector<stock_line>{};
    if (answer.status() != 200)
        answer.refuse();
    co_return answer.read<stock_document>().items;
}

awaitable<void> inventory_client::release(std::string reservation_id, std::string key)
{
    call request{"DELETE", "/reservations/" + percent_encoded(reservation_id), std::move(key), {}};
    const answered answer =
        co_await send("inventory", name_, transport_, trace_parent, std::move(request));
    const bool gone = answer.status() == 404 || answer.status() == 410;
    if (answer.status() != 200 && answer.status() != 204 && !gone)
        answer.refuse();
}

awaitable<shipment_result> shipping_client::ship(const Order& order, std::string key)
{
    const shipment_document document{order.id, lines_of(order.items), order.shipping_address,
                                     order.reservation_id};
    call request{"POST", "/shipments", std::move(key), encode(document)};
    const answered answer =
        co_await send("shipping", name_, transport_, trace_parent, std::move(request));
    if (answer.is_refusal())
        co_return shipment_result{{}, answer.detail()};
    if (answer.status() != 201 && answer.status() != 200)
        answer.refuse();
    co_return shipment_result{answer.read(&answer_document::tracking_number), {}};
}

awaitable<shipment_result> shipping_client::find_shipment(const Order& order)
{
    call request{"GET", "/shipments?order_id=" + percent_encoded(order.id), {}, {}};
    const answered answer =
        co_await send("shipping", name_, transport_, trace_parent, std::move(request));
    if (answer.status() == 404)
        co_return shipment_result{};
    if (answer.status() != 200)
        answer.refuse();
    if (answer.read(&answer_document::reservation_id) != order.reservation_id)
        co_return shipment_result{}; // of an earlier run of the order
    co_return shipment_result{answer.read(&answer_document::tracking_number), {}};
}

http::client_options client_options_of(std::string_view url, pawl::duration limit,
                                       std::size_t max_connections, const std::string& token,
                                       const service_access& access)
{
    http::client_options options;
    options.timeout = limit;
    options.max_connections = max_connections;
    options.tracing = access.tracing;
    if (!token.empty())
        options.headers.emplace_back("Authorization", "Bearer " + token);
    if (url.starts_with("https://"))
        options.ca_file = access.ca_file;
    return options;
}

namespace {

awaitable<http::client_response> send_message(std::shared_ptr<http::client> client,
                                              http::client_request message)
{
    auto answer = co_await client->request(std::move(message));
    co_return answer;
}

template <class Client>
Client connect(const boost::asio::any_io_executor& executor, std::string url,
               const http::client_options& options)
{
    auto client = std::make_shared<http::client>(executor, std::move(url), options);
    auto name = client->url();
    return {std::move(name), [client](http::client_request message) {
                return send_message(client, std::move(message));
            }};
}

} // namespace

order_services::order_services(boost::asio::any_io_executor executor, service_urls urls,
                               pawl::duration limit, std::size_t max_connections,
                               service_access access)
    : payments(connect<payment_client>(
          executor, urls.payment,
          client_options_of(urls.payment, limit, max_connections, access.payment_token, access))),
      inventory(connect<inventory_client>(executor, urls.inventory,
                                          client_options_of(urls.inventory, limit, max_connections,
                                                            access.inventory_token, access))),
      shipping(connect<shipping_client>(
          executor, urls.shipping,
          client_options_of(urls.shipping, limit, max_connections, access.shipping_token, access)))
{
}

order_services order_services::within(const std::string& trace_parent) const
{
    auto traced = *this;
    traced.payments.trace_parent = trace_parent;
    traced.inventory.trace_parent = trace_parent;
    traced.shipping.trace_parent = trace_parent;
    return traced;
}

} // namespace order_processing
