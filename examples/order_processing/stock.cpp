#include "stock.hpp"

#include "pawl/log.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

namespace order_processing {
namespace {

using boost::asio::awaitable;

/// Everything that was ordered, including the dropped part.
std::vector<OrderItem> ordered_items(const Order& order)
{
    std::vector<OrderItem> all = order.items;
    for (const OrderItem& dropped : order.dropped_items) {
        const auto kept = std::find_if(all.begin(), all.end(), [&](const OrderItem& item) {
            return item.product_id == dropped.product_id;
        });
        if (kept == all.end())
            all.push_back(dropped);
        else
            kept->quantity += dropped.quantity;
    }
    return all;
}

} // namespace

void keep_available(Order& order, const std::vector<stock_line>& stock)
{
    std::map<std::string, std::int64_t> left;
    for (const stock_line& line : stock)
        left[line.product_id] = line.available;

    std::vector<OrderItem> kept;
    std::vector<OrderItem> dropped;
    for (const OrderItem& item : ordered_items(order)) {
        const auto most = std::max<std::int64_t>(left[item.product_id], 0);
        const int quantity = static_cast<int>(std::min<std::int64_t>(item.quantity, most));
        left[item.product_id] -= quantity;
        if (quantity > 0)
            kept.push_back({item.product_id, quantity, item.price});
        if (quantity < item.quantity)
            dropped.push_back({item.product_id, item.quantity - quantity, item.price});
    }
    order.items = std::move(kept);
    order.dropped_items = std::move(dropped);
    order.total = value_of(order.items);
}

void restore_items(Order& order)
{
    order.items = ordered_items(order);
    order.dropped_items.clear();
    order.total = value_of(order.items);
}

awaitable<bool> hold_stock(pawl::run<Order>& run, order_services& services)
{
    Order& order = run.object();
    if (order.reservation_key.empty()) {
        ++order.reservations_tried;
        order.reservation_key =
            run.idempotency_key("reserve-" + std::to_string(order.reservations_tried));
        co_await run.checkpoint();
    }
    reservation_result result = co_await services.within(run.trace_parent())
                                    .inventory.reserve(order, order.reservation_key);
    if (!result.detail.empty())
        run.log(pawl::log_level::info, "the inventory refuses a reservation: " + result.detail);
    order.reservation_key.clear();
    order.reservation_id = std::move(result.reservation_id);
    co_return !order.reservation_id.empty();
}

awaitable<bool> hold_available_stock(pawl::run<Order>& run, order_services& services,
                                     const order_options& options)
{
    Order& order = run.object();
    for (int i = 0; i < options.partial_tries; ++i) {
        if (order.reservation_key.empty()) {
            const auto everything = ordered_items(order);
            const auto stock =
                co_await services.within(run.trace_parent()).inventory.availability(everything);
            keep_available(order, stock);
            if (order.items.empty())
                break;
        }
        const bool held = co_await hold_stock(run, services);
        if (held)
            co_return true;
    }
    restore_items(order);
    co_return false;
}

awaitable<void> release_stock(pawl::run<Order>& run, order_services& services)
{
    Order& order = run.object();
    if (!order.reservation_key.empty()) {
        // Whether this reservation was made is unknown. Requested again under its key, it exists
        // and can be released.
        co_await hold_stock(run, services);
        co_await run.checkpoint();
    }
    if (order.reservation_id.empty())
        co_return;
    const auto key = run.idempotency_key_per_run("release-" + order.reservation_id);
    co_await services.within(run.trace_parent()).inventory.release(order.reservation_id, key);
    order.released_reservations.push_back(std::move(order.reservation_id));
    order.reservation_id.clear();
}

} // namespace order_processing
