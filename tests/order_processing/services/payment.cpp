// The payment service: each answer of its contract, the states of a payment, and what its ledger
// says of them.
#include "order_processing/services/harness.hpp"

#include <boost/json/object.hpp>
#include <boost/test/unit_test.hpp>

using order_processing::testing::called_services;
using order_processing::testing::reply;

namespace {

std::string charge_of(const std::string& amount, const std::string& method = "credit_card")
{
    return R"({"amount":)" + amount + R"(,"payment_method":")" + method +
           R"(","customer_id":"customer-123","order_id":"order-001"})";
}

struct payment_fixture : called_services {
    reply charge(const std::string& key, const std::string& amount = "99.99",
                 const std::string& method = "credit_card")
    {
        return payment.call("POST", "/payments", charge_of(amount, method), key);
    }
    reply look(const std::string& id) { return payment.call("GET", "/payments/" + id); }
    reply look_by_key(const std::string& key)
    {
        return payment.call("GET", "/payments?key=" + key);
    }
    reply refund(const std::string& id, const std::string& amount, const std::string& key)
    {
        return payment.call("POST", "/payments/" + id + "/refund", R"({"amount":)" + amount + "}",
                            key);
    }
    reply make_void(const std::string& id, const std::string& key)
    {
        return payment.call("POST", "/payments/" + id + "/void", "", key);
    }
    void poll(int times)
    {
        payment.call("PUT", "/faults", R"({"pending_polls":)" + std::to_string(times) + "}");
    }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(payment_service, payment_fixture)

BOOST_AUTO_TEST_CASE(a_charge_is_captured_at_once)
{
    const auto made = charge("k1");
    BOOST_TEST(made.status == 201);
    BOOST_TEST(made.content_type == "application/json");
    BOOST_TEST(made.string("status") == "completed");
    BOOST_TEST(made.text.find("\"amount\":99.99") != std::string::npos);

    const auto seen = look(made.string("payment_id"));
    BOOST_TEST(seen.status == 200);
    BOOST_TEST(seen.string("status") == "completed");
    BOOST_TEST(seen.string("order_id") == "order-001");
    BOOST_TEST(seen.string("payment_method") == "credit_card");
    BOOST_TEST(seen.number("amount") == 99.99);
    BOOST_TEST(seen.number("captured") == 99.99);
    BOOST_TEST(seen.number("refunded") == 0);

    const auto entries = payment.entries();
    BOOST_REQUIRE(entries.size() == 1u);
    const auto& entry = entries[0];
    BOOST_TEST(entry.at("sequence").as_int64() == 1);
    BOOST_TEST(entry.at("service").as_string() == "payment");
    BOOST_TEST(entry.at("kind").as_string() == "charge");
    BOOST_TEST(entry.at("key").as_string() == "k1");
    BOOST_TEST(entry.at("order_id").as_string() == "order-001");
    BOOST_TEST(entry.at("id").as_string().c_str() == made.string("payment_id"));
    BOOST_TEST(entry.at("amount").to_number<double>() == 99.99);
    BOOST_TEST(entry.at("payment_method").as_string() == "credit_card");
    BOOST_TEST(entry.at("at").as_string().ends_with("Z"));
    BOOST_TEST(!entry.contains("items"));
}

BOOST_AUTO_TEST_CASE(payment_ids_are_unique)
{
    const auto first = charge("k1").string("payment_id");
    BOOST_TEST(first != charge("k2").string("payment_id"));
    BOOST_TEST(first != called_services{}
                            .payment.call("POST", "/payments", charge_of("99.99"), "k1")
                            .string("payment_id"));
}

BOOST_AUTO_TEST_CASE(an_invalid_card_is_refused)
{
    const auto refused = charge("k1", "10", "invalid_card");
    BOOST_TEST(refused.status == 422);
    BOOST_TEST(refused.detail_has("invalid payment method"));
    BOOST_TEST(payment.kinds() == "");

    const auto seen = look_by_key("k1");
    BOOST_TEST(seen.status == 200);
    BOOST_TEST(seen.string("status") == "refused");
    BOOST_TEST(seen.string("detail") == "invalid payment method");
}

BOOST_AUTO_TEST_CASE(a_credit_card_pays_1000_and_no_cent_more)
{
    BOOST_TEST(charge("k1", "1000.00").status == 201);
    const auto declined = charge("k2", "1000.01");
    BOOST_TEST(declined.status == 402);
    BOOST_TEST(declined.detail_has("payment declined by bank"));
    BOOST_TEST(charge("k3", "1500.00", "debit_card").status == 201);
    BOOST_TEST(payment.kinds() == "charge decline charge");

    const auto seen = look_by_key("k2");
    BOOST_TEST(seen.status == 200);
    BOOST_TEST(seen.string("status") == "declined");
    BOOST_TEST(seen.string("detail") == "payment declined by bank");
}

BOOST_AUTO_TEST_CASE(a_malformed_charge_names_its_field)
{
    const auto refused = [&](const std::string& body, const char* field) {
        const auto answer = payment.call("POST", "/payments", body, "k1");
        BOOST_TEST(answer.status == 400, body);
        BOOST_TEST(answer.detail_has(field), answer.text);
    };
    for (const char* amount : {"-1", "0", "0.001", "1e15", "9223372036854775808", "\"5\"", "null"})
        refused(charge_of(amount), "amount");
    refused(charge_of("5", ""), "payment_method");
    refused(R"({"payment_method":"c","customer_id":"c","order_id":"o"})", "amount");
    refused(R"({"amount":1,"customer_id":"c","order_id":"o"})", "payment_method");
    refused(R"({"amount":1,"payment_method":"c","order_id":"o"})", "customer_id");
    refused(R"({"amount":1,"payment_method":"c","customer_id":"c"})", "order_id");
    refused(R"({"amount":1,"payment_method":"c","customer_id":"c","order_id":7})", "order_id");
    refused("{", "JSON");
    refused("[]", "object");
    BOOST_TEST(payment.kinds() == "");
    BOOST_TEST(charge("k1").status == 201); // a malformed request takes no key
}

BOOST_AUTO_TEST_CASE(an_unknown_payment_is_404)
{
    BOOST_TEST(look("pay_1").status == 404);
    BOOST_TEST(look_by_key("k1").status == 404);
    BOOST_TEST(refund("pay_1", "1", "k1").status == 404);
    BOOST_TEST(make_void("pay_1", "k2").status == 404);
    BOOST_TEST(payment.call("GET", "/payments").status == 400);
    BOOST_TEST(look_by_key("k1").status == 404); // a refund's key is no charge's
}

BOOST_AUTO_TEST_CASE(a_pending_payment_is_captured_at_its_nth_look)
{
    poll(2);
    const auto made = charge("k1");
    const auto id = made.string("payment_id");
    BOOST_TEST(made.status == 201);
    BOOST_TEST(made.string("status") == "processing");
    poll(0); // only new payments are concerned

    BOOST_TEST(look_by_key("k1").string("status") == "processing"); // does not count
    const auto first = look(id);
    BOOST_TEST(first.string("status") == "processing");
    BOOST_TEST(first.number("captured") == 0);
    BOOST_TEST(refund(id, "1", "k2").status == 409);
    BOOST_TEST(payment.kinds() == "authorize");

    const auto second = look(id);
    BOOST_TEST(second.string("status") == "completed");
    BOOST_TEST(second.number("captured") == 99.99);
    look(id);
    BOOST_TEST(payment.kinds() == "authorize capture");
    const auto entries = payment.entries();
    BOOST_TEST(entries[0].at("key") != entries[1].at("key"));
    BOOST_TEST(entries[1].at("amount").to_number<double>() == 99.99);
    BOOST_TEST(look_by_key("k1").string("status") == "completed");
}

BOOST_AUTO_TEST_CASE(a_payment_under_way_can_be_voided_once)
{
    poll(1);
    const auto id = charge("k1").string("payment_id");
    const auto voided = make_void(id, "k2");
    BOOST_TEST(voided.status == 200);
    BOOST_TEST(voided.string("status") == "voided");
    BOOST_TEST(make_void(id, "k3").status == 200);
    BOOST_TEST(look(id).string("status") == "voided");
    BOOST_TEST(look(id).number("captured") == 0);
    BOOST_TEST(refund(id, "1", "k4").status == 409);
    BOOST_TEST(payment.kinds() == "authorize void");
}

BOOST_AUTO_TEST_CASE(a_captured_payment_cannot_be_voided)
{
    const auto id = charge("k1").string("payment_id");
    const auto refused = make_void(id, "k2");
    BOOST_TEST(refused.status == 409);
    BOOST_TEST(refused.detail_has("captured"));
    BOOST_TEST(refused.detail_has("refunded"));
    refund(id, "99.99", "k3");
    BOOST_TEST(make_void(id, "k4").status == 409);
}

BOOST_AUTO_TEST_CASE(a_stuck_card_never_ends)
{
    const auto id = charge("k1", "5", "stuck_card").string("payment_id");
    for (int i = 0; i < 10; ++i)
        BOOST_TEST(look(id).string("status") == "processing");
    BOOST_TEST(make_void(id, "k2").status == 200);
    BOOST_TEST(payment.kinds() == "authorize void");
}

BOOST_AUTO_TEST_CASE(refunds_add_up_to_what_was_captured)
{
    const auto id = charge("k1").string("payment_id");
    const auto made = refund(id, "40", "k2");
    BOOST_TEST(made.status == 201);
    BOOST_TEST(made.string("payment_id") == id);
    BOOST_TEST(made.string("refund_id") != "");
    BOOST_TEST(made.number("amount") == 40);
    BOOST_TEST(look(id).string("status") == "completed");
    BOOST_TEST(look(id).number("refunded") == 40);

    const auto refused = refund(id, "60", "k3");
    BOOST_TEST(refused.status == 409);
    BOOST_TEST(refused.detail_has("59.99"));
    BOOST_TEST(refund(id, "59.99", "k4").status == 201);
    BOOST_TEST(look(id).string("status") == "refunded");
    BOOST_TEST(refund(id, "0.01", "k5").status == 409);
    BOOST_TEST(payment.kinds() == "charge refund refund");

    for (const char* amount : {"0", "-1", "1.001", "\"1\""})
        BOOST_TEST(refund(id, amount, "k6").detail_has("amount"));
    BOOST_TEST(payment.call("POST", "/payments/" + id + "/refund", "{}", "k6").status == 400);
}

BOOST_AUTO_TEST_SUITE_END()
