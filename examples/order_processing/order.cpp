#include "order.hpp"

#include <boost/describe/enum_to_string.hpp>
#include <boost/describe/enumerators.hpp>
#include <boost/mp11/algorithm.hpp>

#include <utility>

namespace order_processing {

std::string_view to_string(OrderStatus status) noexcept
{
    return boost::describe::enum_to_string(status, "Unknown");
}

std::optional<OrderStatus> parse_order_status(std::string_view text) noexcept
{
    std::optional<OrderStatus> found;
    boost::mp11::mp_for_each<boost::describe::describe_enumerators<OrderStatus>>(
        [&](auto enumerator) {
            if (text == enumerator.name)
                found = enumerator.value;
        });
    return found;
}

money value_of(const std::vector<OrderItem>& items)
{
    money sum;
    for (const OrderItem& item : items)
        sum += item.price * item.quantity;
    return sum;
}

Order new_order(order_request sent, pawl::time_point now)
{
    Order order;
    order.id = std::move(sent.id);
    order.customer_id = std::move(sent.customer_id);
    order.items = std::move(sent.items);
    order.total = sent.total;
    order.payment_method = std::move(sent.payment_method);
    order.shipping_address = std::move(sent.shipping_address);
    order.allow_partial = sent.allow_partial;
    order.created_at = now;
    return order;
}

void scrub_personal_data(Order& order)
{
    order.customer_id.clear();
    order.shipping_address = {};
    order.payment_method.clear();
    order.cancel_reason.clear();
    order.request_digest.clear();
    order.validation_errors.clear();
    for (Payment& payment : order.payments) {
        payment.key.clear(); // names the method
        payment.method.clear();
        payment.detail.clear();
    }
}

} // namespace order_processing
