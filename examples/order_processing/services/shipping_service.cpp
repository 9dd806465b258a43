#include "services/json.hpp"
#include "services/routes.hpp"

#include <optional>
#include <utility>

namespace order_processing::services {

using pawl::http::problem;
using pawl::http::request;
using pawl::http::response;

namespace {

struct address {
    std::string street;
    std::string city;
    std::optional<std::string> state; ///< may be empty
    std::optional<std::string> zip_code;
    std::string country;
};
BOOST_DESCRIBE_STRUCT(address, (), (street, city, state, zip_code, country))

struct shipment {
    std::string order_id;
    std::vector<item> items;
    address shipping_address;
    std::string reservation_id;
};
BOOST_DESCRIBE_STRUCT(shipment, (), (order_id, items, shipping_address, reservation_id))

response make_shipment(books& in, const std::string& key, const shipment& wanted)
{
    if (wanted.shipping_address.country == "Nowhere")
        return problem(422, "destination is not served");
    if (in.find_shipment(wanted.order_id))
        return problem(409, "the order has been shipped");
    const auto reserved = in.find_reservation(wanted.reservation_id);
    if (!reserved || reserved->order_id != wanted.order_id)
        return problem(409, "the order has no such reservation");
    if (reserved->status != "reserved")
        return problem(409, "the reservation has been " + reserved->status);

    const auto tracking_number = "TRACK_" + wanted.order_id;
    in.set_reservation_status(wanted.reservation_id, "shipped");
    in.add_shipment(wanted.order_id, tracking_number, wanted.reservation_id);
    in.add_entry({.service = "shipping",
                  .kind = "shipment",
                  .key = key,
                  .order_id = wanted.order_id,
                  .id = tracking_number,
                  .items = to_json(wanted.items)});
    return {.status = 201, .body = json_writer{}.add("tracking_number", tracking_number).done()};
}

effect read_shipment(const request& req)
{
    auto wanted = read_document<shipment>(req.body);
    const auto& destination = wanted.shipping_address;
    require_text(destination.street, "shipping_address.street");
    require_text(destination.city, "shipping_address.city");
    require(destination.state.has_value(), "shipping_address.state", "be there");
    require(destination.zip_code.has_value(), "shipping_address.zip_code", "be there");
    require_text(destination.country, "shipping_address.country");
    require_text(wanted.order_id, "order_id");
    require_items(wanted.items);
    require_text(wanted.reservation_id, "reservation_id");
    return [wanted = std::move(wanted)](books& in, const std::string& key) {
        return make_shipment(in, key, wanted);
    };
}

/// The order's shipment, whatever its key.
ledger::work read_look_up(const request& req)
{
    const auto order = req.query.find("order_id");
    if (order == req.query.end() || order->second.empty())
        throw field_error("The query parameter order_id is missing.");
    return [order_id = order->second](books& in) -> response {
        const auto found = in.find_shipment(order_id);
        if (!found)
            return problem(404, "the order has not been shipped");
        return {.body = json_writer{}
                            .add("tracking_number", found->tracking_number)
                            .add("reservation_id", found->reservation_id)
                            .done()};
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
