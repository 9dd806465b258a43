#include "simulation/services.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace simulation_test {

using namespace order_processing;
using pawl::http::client_request;
using pawl::http::client_response;
using pawl::testing::simulated_call_error;
using pawl::testing::simulated_process;

namespace {

struct charge_body {
    money amount;
    std::string payment_method, order_id;
};
BOOST_DESCRIBE_STRUCT(charge_body, (), (amount, payment_method, order_id))

struct refund_body {
    money amount;
};
BOOST_DESCRIBE_STRUCT(refund_body, (), (amount))

struct line {
    std::string product_id;
    int quantity = 0;
};
BOOST_DESCRIBE_STRUCT(line, (), (product_id, quantity))

struct items_body {
    std::string order_id, reservation_id;
    std::vector<line> items;
    Address shipping_address;
};
BOOST_DESCRIBE_STRUCT(items_body, (), (order_id, reservation_id, items, shipping_address))

client_response answer_of(int status, std::string body)
{
    return {status, {}, std::move(body)};
}

client_response problem_of(int status, const char* detail)
{
    return answer_of(status, fmt::format(R"({{"detail":"{}"}})", detail));
}

std::vector<OrderItem> items_of(const std::vector<line>& lines)
{
    std::vector<OrderItem> items;
    for (const auto& each : lines)
        items.push_back({each.product_id, each.quantity, {}});
    return items;
}

boost::asio::awaitable<client_response> send(order_world* to, simulated_process* from,
                                             std::string service, client_request asked)
{
    const auto name = service + " " + asked.method + " " + asked.target;
    try {
        auto answer = co_await from->call(
            name, [to, service, asked = std::move(asked)] { return to->answer(service, asked); });
        co_return answer;
    } catch (const simulated_call_error& e) {
        throw pawl::http::client_error{e.may_have_happened() ? pawl::http::failure::ambiguous
                                                             : pawl::http::failure::not_sent,
                                       e.what()};
    }
}

transport transport_to(order_world* world, simulated_process* process, std::string service)
{
    return [world, process, service = std::move(service)](client_request asked) {
        return send(world, process, service, std::move(asked));
    };
}

} // namespace

order_services order_world::services_of(simulated_process& process)
{
    return {payment_client{"payment", transport_to(this, &process, "payment")},
            inventory_client{"inventory", transport_to(this, &process, "inventory")},
            shipping_client{"shipping", transport_to(this, &process, "shipping")}};
}

client_response order_world::answer(const std::string& service, const client_request& asked)
{
    std::string key;
    for (const auto& [name, value] : asked.headers)
        if (name == "Idempotency-Key")
            key = value;
    if (key.empty())
        return act(service, key, asked);
    if (faults_left_ > 0 && random_->below(6) == 0) {
        --faults_left_;
        return fail(service, key, asked);
    }
    return answer_once(service, key, asked);
}

client_response order_world::fail(const std::string& service, const std::string& key,
                                  const client_request& asked)
{
    const auto& target = asked.target;
    switch (random_->below(4)) {
    case 0:
        late_.push_back({service, key, asked});
        throw pawl::http::client_error{pawl::http::failure::ambiguous, "the request takes long"};
    case 1:
        if (target == "/reservations" && !answers_.contains({service, key}))
            return answers_[{service, key}] = problem_of(422, "unknown product");
        break;
    case 2:
        if (target.ends_with("/refund") || target == "/shipments") {
            deliver_late_requests(); // a key is forgotten long after its last request
            answer_once(service, key, asked);
            answers_.erase({service, key});
            return problem_of(500, "the answer and its key are lost");
        }
        break;
    default:
        if (target == "/shipments")
            for (auto& [id, held] : reservations_)
                if (held.status == "reserved" &&
                    asked.body.find('"' + id + '"') != std::string::npos) {
                    release(key + "-expire", id);
                    held.status = "expired";
                    return answer_once(service, key, asked);
                }
    }
    answer_once(service, key, asked);
    return problem_of(503, "the upstream connection was reset");
}

void order_world::deliver_late_requests()
{
    for (const auto& late : std::exchange(late_, {}))
        answer_once(late.service, late.key, late.request);
}

client_response order_world::answer_once(const std::string& service, const std::string& key,
                                         const client_request& asked)
{
    const auto kept = answers_.find({service, key});
    if (kept != answers_.end())
        return kept->second;
    auto made = act(service, key, asked);
    answers_.emplace(std::pair{service, key}, made);
    return made;
}

client_response order_world::act(const std::string& service, const std::string& key,
                                 const client_request& asked)
{
    const auto& target = asked.target;
    const auto after = [&](std::string_view prefix) {
        auto rest = target.substr(prefix.size());
        return rest.substr(0, rest.find('/'));
    };
    if (service == "shipping") {
        if (asked.method == "POST")
            return ship(key, asked.body);
        const auto found =
            shipments_.find(target.substr(std::string_view{"/shipments?order_id="}.size()));
        if (found == shipments_.end())
            return problem_of(404, "the order has not been shipped");
        return answer_of(200,
                         fmt::format(R"({{"tracking_number":"TRACK_{}","reservation_id":"{}"}})",
                                     found->first, found->second));
    }
    if (service == "inventory") {
        if (asked.method == "DELETE")
            return release(key, after("/reservations/"));
        return target == "/availability" ? availability(asked.body) : reserve(key, asked.body);
    }
    if (target == "/payments")
        return charge(key, asked.body);
    if (target.starts_with("/payments?key=")) {
        auto wanted = target.substr(std::string_view{"/payments?key="}.size());
        for (auto at = wanted.find("%2F"); at != std::string::npos; at = wanted.find("%2F"))
            wanted.replace(at, 3, "/");
        return look_up_by_key(wanted);
    }
    const auto id = after("/payments/");
    if (target.ends_with("/void"))
        return void_payment(key, id);
    if (target.ends_with("/refund"))
        return refund(key, id, asked.body);
    return look_up(id);
}

ledger_entry& order_world::enter(std::string service, std::string kind, std::string key,
                                 std::string order_id, std::string id)
{
    ledger_entry made;
    made.sequence = ledger_.size() + 1;
    made.service = std::move(service);
    made.kind = std::move(kind);
    made.key = std::move(key);
    made.order_id = std::move(order_id);
    made.id = std::move(id);
    return ledger_.emplace_back(std::move(made));
}

client_response order_world::charge(const std::string& key, const std::string& body)
{
    const auto asked = pawl::codec<charge_body>::decode(body);
    if (asked.payment_method == "invalid_card")
        return problem_of(422, "invalid payment method");
    if (asked.payment_method == "credit_card" && asked.amount > money::from_major(1'000)) {
        enter("payment", "decline", key, asked.order_id, "").amount = asked.amount;
        return problem_of(402, "payment declined by bank");
    }
    const bool stuck = asked.payment_method == "stuck_card";
    const bool pending = stuck || pending_polls_ > 0;
    const auto id = new_id("pay_");
    auto& made = payments_[id];
    made = {key,
            asked.order_id,
            asked.payment_method,
            pending ? "processing" : "completed",
            asked.amount,
            pending ? money{} : asked.amount,
            {},
            stuck ? -1 : pending_polls_};
    enter("payment", pending ? "authorize" : "charge", key, asked.order_id, id).amount =
        asked.amount;
    return answer_of(201, fmt::format(R"({{"payment_id":"{}"}})", id));
}

client_response order_world::look_up(const std::string& id)
{
    const auto found = payments_.find(id);
    if (found == payments_.end())
        return problem_of(404, "no such payment");
    auto& shown = found->second;
    if (shown.status == "processing" && shown.polls_left > 0 && --shown.polls_left == 0) {
        shown.status = "completed";
        shown.captured = shown.amount;
        enter("payment", "capture", shown.key + "/capture", shown.order_id, id).amount =
            shown.amount;
    }
    return answer_of(
        200, fmt::format(
                 R"({{"payment_id":"{}","status":"{}","amount":{},"captured":{},"refunded":{}}})",
                 id, shown.status, to_string(shown.amount), to_string(shown.captured),
                 to_string(shown.refunded)));
}

client_response order_world::look_up_by_key(const std::string& key)
{
    const auto kept = answers_.find({"payment", key});
    if (kept == answers_.end())
        return problem_of(404, "no charge was made with this key");
    for (const auto& [id, made] : payments_)
        if (made.key == key)
            return look_up(id);
    return answer_of(200, R"({"status":"declined","detail":"as before"})");
}

client_response order_world::void_payment(const std::string& key, const std::string& id)
{
    auto& found = payments_.at(id);
    if (found.status != "processing" && found.status != "voided")
        return problem_of(409, "the payment is captured and must be refunded");
    if (found.status == "processing") {
        found.status = "voided";
        enter("payment", "void", key, found.order_id, id).amount = found.amount;
    }
    return answer_of(200, fmt::format(R"({{"payment_id":"{}","status":"voided"}})", id));
}

client_response order_world::refund(const std::string& key, const std::string& id,
                                    const std::string& body)
{
    auto& found = payments_.at(id);
    const auto amount = pawl::codec<refund_body>::decode(body).amount;
    if (amount > found.captured - found.refunded)
        return problem_of(409, "the refund is more than what is captured");
    found.refunded += amount;
    if (found.refunded == found.captured)
        found.status = "refunded";
    const auto made = new_id("ref_");
    enter("payment", "refund", key, found.order_id, made).amount = amount;
    return answer_of(201, fmt::format(R"({{"refund_id":"{}"}})", made));
}

client_response order_world::reserve(const std::string& key, const std::string& body)
{
    const auto asked = pawl::codec<items_body>::decode(body);
    for (const auto& each : asked.items)
        if (const auto left = stock_.find(each.product_id);
            left != stock_.end() && left->second < each.quantity)
            return problem_of(409, "not all items are in stock");
    for (const auto& each : asked.items)
        if (const auto left = stock_.find(each.product_id); left != stock_.end())
            left->second -= each.quantity;
    const auto id = new_id("res_");
    reservations_[id] = {asked.order_id, "reserved", items_of(asked.items)};
    enter("inventory", "reserve", key, asked.order_id, id).items = items_of(asked.items);
    return answer_of(201, fmt::format(R"({{"reservation_id":"{}"}})", id));
}

client_response order_world::availability(const std::string& body)
{
    std::string lines;
    for (const auto& each : pawl::codec<items_body>::decode(body).items) {
        const auto left = stock_.find(each.product_id);
        const auto available = left == stock_.end()
                                   ? each.quantity
                                   : std::min<std::int64_t>(left->second, each.quantity);
        lines += fmt::format(R"({}{{"product_id":"{}","available":{}}})", lines.empty() ? "" : ",",
                             each.product_id, available);
    }
    return answer_of(200, R"({"items":[)" + lines + "]}");
}

client_response order_world::release(const std::string& key, const std::string& id)
{
    auto& found = reservations_.at(id);
    if (found.status == "shipped")
        return problem_of(409, "the reservation has been shipped");
    if (found.status == "expired")
        return problem_of(410, "the reservation has expired");
    if (found.status == "reserved") {
        found.status = "released";
        for (const auto& each : found.items)
            if (const auto left = stock_.find(each.product_id); left != stock_.end())
                left->second += each.quantity;
        enter("inventory", "release", key, found.order_id, id).items = found.items;
    }
    return answer_of(204, "");
}

client_response order_world::ship(const std::string& key, const std::string& body)
{
    const auto asked = pawl::codec<items_body>::decode(body);
    if (asked.shipping_address.country == "Nowhere")
        return problem_of(422, "no such country");
    auto& held = reservations_.at(asked.reservation_id);
    if (shipments_.contains(asked.order_id) || held.status != "reserved")
        return problem_of(409, "the order was shipped, or its reservation is gone");
    held.status = "shipped";
    const auto number = "TRACK_" + asked.order_id;
    shipments_[asked.order_id] = asked.reservation_id;
    enter("shipping", "shipment", key, asked.order_id, number).items = items_of(asked.items);
    return answer_of(201, fmt::format(R"({{"tracking_number":"{}"}})", number));
}

} // namespace simulation_test
