#include "services/json.hpp"
#include "services/routes.hpp"

#include <utility>

namespace order_processing::services {

using pawl::http::problem;
using pawl::http::request;
using pawl::http::response;

namespace {

struct shipment {
    std::string order_id;
    std::vector<item> items;
    std::string country;
    std::string reservation_id;
};

response make_shipment(books& in, const std::string& key, const shipment& asked)
{
    if (asked.country == "Nowhere")
        return problem(422, "destination is not served");
    if (in.find_shipment(asked.order_id))
        return problem(409, "the order has been shipped");
    const auto reserved = in.find_reservation(asked.reservation_id);
    if (!reserved || reserved->order_id != asked.order_id)
        return problem(409, "the order has no such reservation");
    if (reserved->status != "reserved")
        return problem(409, "the reservation has been " + reserved->status);

    const auto tracking_number = "TRACK_" + asked.order_id;
    in.set_reservation_status(asked.reservation_id, "shipped");
    in.add_shipment(asked.order_id, tracking_number, asked.reservation_id);
    in.enter({.service = "shipping",
              .kind = "shipment",
              .key = key,
              .order_id = asked.order_id,
              .id = tracking_number,
              .items = to_json(asked.items)});
    return {.status = 201, .body = json_writer{}.add("tracking_number", tracking_number).done()};
}

effect read_shipment(const request& asked)
{
    const json_reader body{asked.body};
    const auto address = body.object("shipping_address");
    address.text("street");
    address.text("city");
    address.text_or_empty("state");
    address.text_or_empty("zip_code");
    shipment wanted{.order_id = body.text("order_id"),
                    .items = body.items("items"),
                    .country = address.text("country"),
                    .reservation_id = body.text("reservation_id")};
    return [wanted = std::move(wanted)](books& in, const std::string& key) {
        return make_shipment(in, key, wanted);
    };
}

/// The order's shipment, whatever key it was made under.
ledger::work read_look_up(const request& asked)
{
    const auto order = asked.query.find("order_id");
    if (order == asked.query.end() || order->second.empty())
        throw field_error("The query parameter order_id is missing.");
    return [order_id = order->second](books& in) -> response {
        const auto tracking_number = in.find_shipment(order_id);
        if (!tracking_number)
            return problem(404, "the order has not been shipped");
        return {.body = json_writer{}.add("tracking_number", *tracking_number).done()};
    };
}

} // namespace

std::vector<pawl::http::route> shipping_routes(const std::shared_ptr<service>& owner)
{
    auto routes = common_routes(owner);
    routes.push_back(effect_route(owner, "POST", "/shipments", read_shipment));
    routes.push_back(query_route(owner, "GET", "/shipments", read_look_up));
    return routes;
}

} // namespace order_processing::services
