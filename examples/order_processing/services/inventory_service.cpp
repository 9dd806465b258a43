#include "services/json.hpp"
#include "services/routes.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <optional>
#include <utility>

namespace order_processing::services {

using pawl::http::problem;
using pawl::http::request;
using pawl::http::response;

namespace {

constexpr std::int64_t max_stock = 1'000'000'000'000;

struct wanted_items {
    std::string order_id; ///< of a reservation
    std::vector<item> items;
};
BOOST_DESCRIBE_STRUCT(wanted_items, (), (order_id, items))

struct stock {
    std::optional<std::int64_t> quantity;
};
BOOST_DESCRIBE_STRUCT(stock, (), (quantity))

entry entry_of(const reservation& which, std::string kind, std::string key)
{
    return {.service = "inventory",
            .kind = std::move(kind),
            .key = std::move(key),
            .order_id = which.order_id,
            .id = which.id,
            .items = which.items};
}

response missing(const std::string& lines)
{
    auto answer = problem(409, "not all items are in stock");
    auto body = boost::json::parse(answer.body);
    body.as_object()["missing"] = boost::json::parse("[" + lines + "]");
    answer.body = boost::json::serialize(body);
    return answer;
}

response make_reservation(books& in, const std::string& key, const std::string& order_id,
                          const std::vector<item>& items)
{
    const auto demand = demand_of(items);
    std::string lacking;
    for (const auto& [product, quantity] : demand) {
        const auto available = in.stock(product);
        if (!available || *available >= quantity)
            continue;
        lacking += lacking.empty() ? "" : ",";
        lacking += json_writer{}
                       .add("product_id", product)
                       .add("requested", quantity)
                       .add("available", *available)
                       .done();
    }
    if (!lacking.empty())
        return missing(lacking);

    for (const auto& [product, quantity] : demand)
        if (const auto available = in.stock(product))
            in.set_stock(product, *available - quantity);
    const reservation created{.id = in.new_id("res"),
                              .order_id = order_id,
                              .items = to_json(items),
                              .status = "reserved"};
    in.add_reservation(created);
    in.add_entry(entry_of(created, "reserve", key));
    return {.status = 201, .body = json_writer{}.add("reservation_id", created.id).done()};
}

effect read_reservation(const request& req)
{
    auto wanted = read_document<wanted_items>(req.body);
    require_text(wanted.order_id, "order_id");
    require_items(wanted.items);
    return [wanted = std::move(wanted)](books& in, const std::string& key) {
        return make_reservation(in, key, wanted.order_id, wanted.items);
    };
}

/// Lines of the same product share its stock, in their order.
response tell_availability(books& in, std::vector<item> items)
{
    std::map<std::string, std::optional<std::int64_t>> left;
    std::string lines;
    for (const auto& line : items) {
        auto found = left.find(line.product_id);
        if (found == left.end())
            found = left.emplace(line.product_id, in.stock(line.product_id)).first;
        auto& rest = found->second;
        const auto available = rest ? std::min(*rest, line.quantity) : line.quantity;
        if (rest)
            *rest -= available;
        lines += lines.empty() ? "" : ",";
        lines +=
            json_writer{}.add("product_id", line.product_id).add("available", available).done();
    }
    return {.body = json_writer{}.add_json("items", "[" + lines + "]").done()};
}

ledger::work read_availability(const request& req)
{
    auto wanted = read_document<wanted_items>(req.body);
    require_items(wanted.items);
    return [wanted = std::move(wanted)](books& in) {
        return tell_availability(in, wanted.items);
    };
}

response make_release(books& in, const std::string& key, const std::string& id)
{
    const auto found = in.find_reservation(id);
    if (!found)
        return problem(404, "no such reservation");
    if (found->status == "shipped")
        return problem(409, "the reservation has been shipped");
    if (found->status == "reserved") {
        for (const auto& [product, quantity] :
             demand_of(pawl::codec<std::vector<item>>::decode(found->items)))
            if (const auto available = in.stock(product))
                in.set_stock(product, std::min(*available + quantity, max_stock));
        in.set_reservation_status(id, "released");
        in.add_entry(entry_of(*found, "release", key));
    }
    return {.body = json_writer{}.add("reservation_id", id).add("status", "released").done()};
}

effect read_release(const request& req)
{
    return [id = req.captures.at("id")](books& in, const std::string& key) {
        return make_release(in, key, id);
    };
}

ledger::work read_stock(const request& req)
{
    const auto quantity = read_document<stock>(req.body).quantity.value_or(-1);
    require(quantity >= 0 && quantity <= max_stock, "quantity",
            "be a whole number from 0 to 1000000000000");
    return [product = req.captures.at("product_id"), quantity](books& in) {
        in.set_stock(product, quantity);
        return response{.body = json_writer{}.add("quantity", quantity).done()};
    };
}

} // namespace

std::vector<pawl::http::route> inventory_routes(const std::shared_ptr<service>& owner)
{
    auto routes = common_routes(owner);
    routes.push_back(effect_route(owner, "POST", "/reservations", read_reservation));
    routes.push_back(effect_route(owner, "DELETE", "/reservations/{id}", read_release));
    routes.push_back(query_route(owner, "POST", "/availability", read_availability));
    routes.push_back(plain_route(owner, "PUT", "/stock/{product_id}", read_stock));
    return routes;
}

} // namespace order_processing::services
