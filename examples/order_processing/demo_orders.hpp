#pragma once

#include "invariants.hpp"
#include "order.hpp"
#include "order_view.hpp"

#include <string>
#include <vector>

/// The three orders of the demonstration, and their expected ends.
namespace order_processing {

/// An effect that a ledger must show, and how often.
struct expected_effect {
    std::string kind;   ///< see ledger_entry
    std::string method; ///< the payment method; empty: there is none
    money amount;       ///< zero: there is none
    int times = 1;
};

struct demo_order {
    order_request request;
    OrderStatus status = OrderStatus::Fulfilled; ///< at its end
    std::string tracking_number;                 ///< empty: it is not shipped
    std::vector<expected_effect> effects;        ///< these, and no others
};

std::vector<demo_order> demo_orders();

/// Sentences that describe each difference; empty when there is none. `effects` are those of the
/// order's run.
std::vector<std::string> differences(const demo_order& expected, const order_view& end,
                                     const std::vector<ledger_entry>& effects);

} // namespace order_processing
