// Orders for tests.
#pragma once

#include "order.hpp"

#include <string>

namespace order_processing {

/// The seed's first order under another id: one laptop for 99.99 by credit card.
inline Order sample_order(std::string id = "order-001")
{
    Order order;
    order.id = std::move(id);
    order.customer_id = "customer-123";
    order.items = {{"laptop", 1, money::from_minor(9'999)}};
    order.total = money::from_minor(9'999);
    order.payment_method = "credit_card";
    order.shipping_address = {"123 Main St", "San Francisco", "CA", "94105", "USA"};
    return order;
}

} // namespace order_processing
