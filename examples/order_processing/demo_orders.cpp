#include "demo_orders.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace order_processing {
namespace {

order_request request_for(std::string id, std::string customer, std::string product, money price,
                          Address address)
{
    order_request request;
    request.id = std::move(id);
    request.customer_id = std::move(customer);
    request.items = {{std::move(product), 1, price}};
    request.total = price;
    request.payment_method = "credit_card";
    request.shipping_address = std::move(address);
    return request;
}

bool fits(const expected_effect& expected, const ledger_entry& entry)
{
    return entry.kind == expected.kind && entry.payment_method.value_or("") == expected.method &&
           entry.amount.value_or(money{}) == expected.amount;
}

} // namespace

std::vector<demo_order> demo_orders()
{
    const money laptop = money::from_minor(9'999);
    const money desktop = money::from_minor(150'000);
    const money missing = money::from_minor(4'999);

    demo_order plain;
    plain.request = request_for("order-001", "customer-123", "laptop", laptop,
                                {"123 Main St", "San Francisco", "CA", "94105", "USA"});
    plain.tracking_number = "TRACK_order-001";
    plain.effects = {{"charge", "credit_card", laptop}, {"reserve", "", {}}, {"shipment", "", {}}};

    demo_order declined;
    declined.request = request_for("order-002", "premium_customer", "desktop", desktop,
                                   {"456 Tech Ave", "Austin", "TX", "78701", "USA"});
    declined.tracking_number = "TRACK_order-002";
    declined.effects = {{"decline", "credit_card", desktop, 3},
                        {"charge", "debit_card", desktop},
                        {"reserve", "", {}},
                        {"shipment", "", {}}};

    demo_order out_of_stock;
    out_of_stock.request = request_for("order-003", "customer-456", "out_of_stock", missing,
                                       {"789 Commerce Blvd", "Seattle", "WA", "98101", "USA"});
    out_of_stock.status = OrderStatus::Refunded;
    out_of_stock.effects = {{"charge", "credit_card", missing}, {"refund", "credit_card", missing}};

    return {std::move(plain), std::move(declined), std::move(out_of_stock)};
}

std::vector<std::string> differences(const demo_order& expected, const order_view& end,
                                     const std::vector<ledger_entry>& effects)
{
    std::vector<std::string> found;
    if (end.status != expected.status)
        found.push_back(
            fmt::format("ended as {}, not {}", to_string(end.status), to_string(expected.status)));
    if (end.order.tracking_number != expected.tracking_number)
        found.push_back(fmt::format("has the tracking number \"{}\", not \"{}\"",
                                    end.order.tracking_number, expected.tracking_number));
    for (const expected_effect& wanted : expected.effects) {
        const auto times =
            std::count_if(effects.begin(), effects.end(),
                          [&](const ledger_entry& entry) { return fits(wanted, entry); });
        if (times != wanted.times)
            found.push_back(fmt::format("{} {} of {} in the ledgers, not {}", times, wanted.kind,
                                        to_string(wanted.amount), wanted.times));
    }
    for (const ledger_entry& entry : effects) {
        const bool known =
            std::any_of(expected.effects.begin(), expected.effects.end(),
                        [&](const expected_effect& wanted) { return fits(wanted, entry); });
        if (!known)
            found.push_back(fmt::format("an unexpected {} in the ledgers", entry.kind));
    }
    return found;
}

} // namespace order_processing
