#pragma once

#include "services/service.hpp"

namespace order_processing::services {

// Every POST and DELETE but POST /availability is an effect_route(). Malformed requests are
// answered 400 with the field's name. Amounts are decimal numbers.

/// Charges, looks up, voids and refunds.
///
/// `invalid_card` is always refused, `credit_card` above 1000.00 is declined, and a charge by
/// `stuck_card` stays "processing" until it is voided, as if the bank never answered.
///
/// Ledger: "charge" (captures its amount), "authorize" (captures nothing), "capture" (under the
/// key of the charge with "/capture" behind it), "decline", "void", "refund".
std::vector<pawl::http::route> payment_routes(const std::shared_ptr<service>& owner);

/// Reserves all or nothing, reports the available stock, releases. `PUT /stock/{product_id}` sets
/// the stock of a product; a product that was never set is unlimited, except `out_of_stock`.
///
/// Ledger: "reserve", "release".
std::vector<pawl::http::route> inventory_routes(const std::shared_ptr<service>& owner);

/// Ships a reservation, once per order. The country `Nowhere` is always refused.
///
/// Ledger: "shipment".
std::vector<pawl::http::route> shipping_routes(const std::shared_ptr<service>& owner);

} // namespace order_processing::services
