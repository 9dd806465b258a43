// An order, out and in: what each step of the order example costs beside its commit.
#include "micro/operation.hpp"

#include "order.hpp"

#include <benchmark/benchmark.h>

#include <memory>
#include <string>

namespace pawl_bench {

namespace {

using order_processing::money;
using order_processing::Order;

/// As it stands when it has been fulfilled.
Order sample_order()
{
    const pawl::time_point at{std::chrono::seconds{1'700'000'000}};
    Order order;
    order.id = "order-1234567";
    order.customer_id = "customer-123";
    order.items = {{"laptop", 1, money::from_minor(9'999)}, {"mouse", 2, money::from_minor(1'999)}};
    order.total = money::from_minor(13'997);
    order.payment_method = "credit_card";
    order.shipping_address = {"123 Main St", "San Francisco", "CA", "94105", "USA"};
    order.payment_id = "pay_000000000001";
    order.reservation_id = "res_000000000001";
    order.tracking_number = "TRACK_order-1234567";
    order.payments = {{.key = "01890a5d-ac96-774b-bcce-b302099a8057/charge-1",
                       .method = "credit_card",
                       .amount = order.total,
                       .state = order_processing::PaymentState::captured,
                       .payment_id = order.payment_id}};
    order.created_at = at;
    order.validated_at = order.paid_at = order.fulfilled_at = at;
    return order;
}

} // namespace

std::function<void()> order_is_encoded()
{
    return [order = std::make_shared<const Order>(sample_order())] {
        std::string text;
        text.reserve(2048);
        pawl::codec<Order>::encode(*order, text);
        benchmark::DoNotOptimize(text.data());
    };
}

std::function<void()> order_is_decoded()
{
    auto text = std::make_shared<std::string>();
    pawl::codec<Order>::encode(sample_order(), *text);
    return [text] {
        benchmark::DoNotOptimize(pawl::codec<Order>::decode(*text));
    };
}

} // namespace pawl_bench
