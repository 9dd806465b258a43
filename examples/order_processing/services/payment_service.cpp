#include "services/json.hpp"
#include "services/routes.hpp"

#include <boost/json/parse.hpp>

#include <utility>

namespace order_processing::services {

using pawl::http::problem;
using pawl::http::request;
using pawl::http::response;

namespace {

struct charge {
    money amount;
    std::string payment_method;
    std::string customer_id;
    std::string order_id;
};
BOOST_DESCRIBE_STRUCT(charge, (), (amount, payment_method, customer_id, order_id))

struct refund {
    money amount;
};
BOOST_DESCRIBE_STRUCT(refund, (), (amount))

void require_amount(money amount)
{
    require(amount > money{}, "amount", "be more than 0");
}

constexpr char charge_target[] = "POST /payments";

entry entry_of(const payment& which, std::string kind, std::string key, money amount)
{
    return {.service = "payment",
            .kind = std::move(kind),
            .key = std::move(key),
            .order_id = which.order_id,
            .id = which.id,
            .amount = amount,
            .payment_method = which.method};
}

response show(const payment& shown)
{
    return {.body = json_writer{}
                        .add("payment_id", shown.id)
                        .add("order_id", shown.order_id)
                        .add("status", shown.status)
                        .add("payment_method", shown.method)
                        .add("amount", shown.amount)
                        .add("captured", shown.captured)
                        .add("refunded", shown.refunded)
                        .done()};
}

response no_such_payment()
{
    return problem(404, "no such payment");
}

response make_charge(books& in, const std::string& key, const charge& wanted,
                     std::int64_t pending_polls)
{
    const auto declined_above = money::from_major(1'000);
    payment created{.key = key,
                    .order_id = wanted.order_id,
                    .method = wanted.payment_method,
                    .amount = wanted.amount};
    if (wanted.payment_method == "invalid_card")
        return problem(422, "invalid payment method");
    if (wanted.payment_method == "credit_card" && wanted.amount > declined_above) {
        in.add_entry(entry_of(created, "decline", key, wanted.amount));
        return problem(402, "payment declined by bank");
    }

    const bool stuck = wanted.payment_method == "stuck_card";
    const bool pending = stuck || pending_polls > 0;
    created.id = in.new_id("pay");
    created.status = pending ? "processing" : "completed";
    created.polls_left = stuck ? -1 : pending_polls;
    if (!pending)
        created.captured = wanted.amount;
    in.add_payment(created);
    in.add_entry(entry_of(created, pending ? "authorize" : "charge", key, wanted.amount));
    return {.status = 201,
            .body = json_writer{}
                        .add("payment_id", created.id)
                        .add("status", created.status)
                        .add("amount", created.amount)
                        .done()};
}

effect read_charge(const std::shared_ptr<service>& owner, const request& req)
{
    auto wanted = read_document<charge>(req.body);
    require_amount(wanted.amount);
    require_text(wanted.payment_method, "payment_method");
    require_text(wanted.customer_id, "customer_id");
    require_text(wanted.order_id, "order_id");
    const auto polls = owner->misbehaviour.settings().pending_polls;
    return [wanted = std::move(wanted), polls](books& in, const std::string& key) {
        return make_charge(in, key, wanted, polls);
    };
}

/// Each look-up of a processing payment brings it closer to completion.
response look_up(books& in, const std::string& id)
{
    auto found = in.find_payment(id);
    if (!found)
        return no_such_payment();
    if (found->status == "processing" && found->polls_left > 0) {
        if (--found->polls_left == 0) {
            found->status = "completed";
            found->captured = found->amount;
            // The key of the charge belongs to the entry "authorize" already.
            in.add_entry(entry_of(*found, "capture", found->key + "/capture", found->amount));
        }
        in.update_payment(*found);
    }
    return show(*found);
}

ledger::work read_look_up(const request& req)
{
    return [id = req.captures.at("id")](books& in) {
        return look_up(in, id);
    };
}

/// The outcome of the charge with that key. Changes nothing.
response look_up_by_key(books& in, const std::string& key)
{
    const auto kept = in.find_answer("payment", key);
    if (!kept || kept->target != charge_target)
        return problem(404, "no charge was made with this key");
    const auto answer = boost::json::parse(kept->body);
    if (kept->status != 201)
        return {.body = json_writer{}
                            .add("status", kept->status == 402 ? "declined" : "refused")
                            .add("detail", answer.at("detail").as_string().c_str())
                            .done()};
    const auto found = in.find_payment(answer.at("payment_id").as_string().c_str());
    return found ? show(*found) : no_such_payment();
}

ledger::work read_look_up_by_key(const request& req)
{
    const auto key = req.query.find("key");
    if (key == req.query.end() || key->second.empty())
        throw field_error("The query parameter key is missing.");
    return [key = key->second](books& in) {
        return look_up_by_key(in, key);
    };
}

response make_void(books& in, const std::string& key, const std::string& id)
{
    auto found = in.find_payment(id);
    if (!found)
        return no_such_payment();
    if (found->status != "processing" && found->status != "voided")
        return problem(409, "the payment is captured and must be refunded");
    if (found->status == "processing") {
        found->status = "voided";
        in.update_payment(*found);
        in.add_entry(entry_of(*found, "void", key, found->amount));
    }
    return {.body = json_writer{}.add("payment_id", id).add("status", "voided").done()};
}

effect read_void(const request& req)
{
    return [id = req.captures.at("id")](books& in, const std::string& key) {
        return make_void(in, key, id);
    };
}

response make_refund(books& in, const std::string& key, const std::string& id, money amount)
{
    auto found = in.find_payment(id);
    if (!found)
        return no_such_payment();
    const auto left = found->captured - found->refunded;
    if (amount > left)
        return problem(409, "the refund is more than the " + to_string(left) +
                                " that are captured and not refunded");
    found->refunded += amount;
    if (found->refunded == found->captured)
        found->status = "refunded";
    in.update_payment(*found);

    auto refund_entry = entry_of(*found, "refund", key, amount);
    refund_entry.id = in.new_id("ref");
    in.add_entry(refund_entry);
    return {.status = 201,
            .body = json_writer{}
                        .add("refund_id", refund_entry.id)
                        .add("payment_id", id)
                        .add("amount", amount)
                        .done()};
}

effect read_refund(const request& req)
{
    const auto amount = read_document<refund>(req.body).amount;
    require_amount(amount);
    return [id = req.captures.at("id"), amount](books& in, const std::string& key) {
        return make_refund(in, key, id, amount);
    };
}

} // namespace

std::vector<pawl::http::route> payment_routes(const std::shared_ptr<service>& owner)
{
    auto routes = common_routes(owner);
    routes.push_back(effect_route(owner, "POST", "/payments",
                                  [owner](const request& req) { return read_charge(owner, req); }));
    routes.push_back(query_route(owner, "GET", "/payments", read_look_up_by_key));
    routes.push_back(query_route(owner, "GET", "/payments/{id}", read_look_up));
    routes.push_back(effect_route(owner, "POST", "/payments/{id}/void", read_void));
    routes.push_back(effect_route(owner, "POST", "/payments/{id}/refund", read_refund));
    return routes;
}

} // namespace order_processing::services
