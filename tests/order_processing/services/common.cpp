// What all services share: idempotency keys, faults, the pages of the ledger.
#include "order_processing/services/harness.hpp"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/test/unit_test.hpp>

#include <set>

using order_processing::testing::called_services;
using order_processing::testing::reply;
using pawl::http::drop_connection;

namespace {

const std::string charge_body =
    R"({"amount":99.99,"payment_method":"c","customer_id":"c","order_id":"order-001"})";

struct common_fixture : called_services {
    reply charge(const std::string& key, const std::string& body = charge_body)
    {
        return payment.call("POST", "/payments", body, key);
    }
    reply set_faults(const std::string& body) { return payment.call("PUT", "/faults", body); }

    /// 'o' answered, 'e' 503, 'd' dropped, for each of `count` charges.
    std::string outcomes(int count, const std::string& prefix)
    {
        std::string all;
        for (int i = 0; i < count; ++i) {
            try {
                const auto status = charge(prefix + std::to_string(i)).status;
                all += status == 201 ? 'o' : status == 503 ? 'e' : '?';
            } catch (const drop_connection&) {
                all += 'd';
            }
        }
        return all;
    }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(all_services, common_fixture)

BOOST_AUTO_TEST_CASE(the_same_key_and_body_answer_the_first_answer_again)
{
    const auto first = charge("k1");
    const auto second = charge("k1");
    BOOST_TEST(!first.replayed);
    BOOST_TEST(second.replayed);
    BOOST_TEST(second.status == first.status);
    BOOST_TEST(second.text == first.text);
    BOOST_TEST(second.content_type == first.content_type);
    BOOST_TEST(payment.kinds() == "charge");
}

BOOST_AUTO_TEST_CASE(body_has_to_be_json)
{
    for (const char* type : {"", "text/plain", "application/json-seq"}) {
        payment.content_type = inventory.content_type = type;
        BOOST_TEST(charge("k1").status == 415, type);
        BOOST_TEST(set_faults("{}").status == 415, type);
        BOOST_TEST(inventory.call("PUT", "/stock/laptop", R"({"quantity":1})").status == 415, type);
    }
    BOOST_TEST(payment.kinds() == "");
    payment.content_type = "Application/JSON; charset=utf-8";
    const auto made = charge("k1");
    BOOST_TEST(made.status == 201);
    BOOST_TEST(made.content_type == "application/json");
}

BOOST_AUTO_TEST_CASE(a_refusal_is_kept_too)
{
    set_faults(R"({"pending_polls":1})"); // what is kept does not depend on the settings of now
    const auto body = [](const char* amount, const char* method) {
        return std::string{R"({"amount":)"} + amount + R"(,"payment_method":")" + method +
               R"(","customer_id":"c","order_id":"o"})";
    };
    for (const auto& [key, text, status] : {std::tuple{"k1", body("1500", "credit_card"), 402},
                                            std::tuple{"k2", body("1", "invalid_card"), 422}}) {
        BOOST_TEST(charge(key, text).status == status);
        const auto again = charge(key, text);
        BOOST_TEST(again.replayed);
        BOOST_TEST(again.status == status);
        BOOST_TEST(again.detail_has("payment"));
    }
    BOOST_TEST(payment.kinds() == "decline");

    const std::string order = R"({"order_id":"o","items":[{"product_id":"p","quantity":1}]})";
    inventory.call("PUT", "/stock/p", R"({"quantity":0})");
    const auto refused = inventory.call("POST", "/reservations", order, "k1");
    BOOST_TEST(refused.status == 409);
    inventory.call("PUT", "/stock/p", R"({"quantity":1})");
    const auto again = inventory.call("POST", "/reservations", order, "k1");
    BOOST_TEST(again.replayed);
    BOOST_TEST(again.text == refused.text);
    BOOST_TEST(inventory.call("POST", "/reservations", order, "k2").status == 201);
}

BOOST_AUTO_TEST_CASE(a_key_is_for_one_request)
{
    const auto id = charge("k1").string("payment_id");
    const auto other_body = charge("k1", charge_body + " ");
    BOOST_TEST(other_body.status == 422);
    BOOST_TEST(other_body.detail_has("Idempotency-Key"));
    BOOST_TEST(!other_body.replayed);
    const auto other_path =
        payment.call("POST", "/payments/" + id + "/refund", R"({"amount":1})", "k1");
    BOOST_TEST(other_path.status == 422);
    BOOST_TEST(charge("k1").status == 201);
    BOOST_TEST(payment.kinds() == "charge");
}

BOOST_AUTO_TEST_CASE(a_key_is_per_service)
{
    charge("k1");
    const auto made =
        inventory.call("POST", "/reservations",
                       R"({"order_id":"o","items":[{"product_id":"p","quantity":1}]})", "k1");
    BOOST_TEST(made.status == 201);
    BOOST_TEST(!made.replayed);
    BOOST_TEST(payment.kinds() == "charge");
    BOOST_TEST(inventory.kinds() == "reserve");
    BOOST_TEST(shipping.kinds() == "");
}

BOOST_AUTO_TEST_CASE(every_effect_needs_a_key)
{
    for (const auto& answer :
         {payment.call("POST", "/payments", charge_body), payment.call("POST", "/payments/p/void"),
          payment.call("POST", "/payments/p/refund", R"({"amount":1})"),
          inventory.call("POST", "/reservations", "{}"),
          inventory.call("DELETE", "/reservations/r"), shipping.call("POST", "/shipments", "{}")}) {
        BOOST_TEST(answer.status == 400);
        BOOST_TEST(answer.detail_has("Idempotency-Key"), answer.text);
    }
    for (const auto& key : {std::string(256, 'k'), std::string{"a b"}, std::string{"k\xc3\xa9"}})
        BOOST_TEST(charge(key).detail_has("Idempotency-Key"));
    BOOST_TEST(charge(std::string(255, 'k')).status == 201);
}

BOOST_AUTO_TEST_CASE(equal_requests_at_the_same_time_make_one_effect)
{
    const auto replies = payment.call_at_once(64, "POST", "/payments", charge_body, "k1");
    int first = 0;
    for (const auto& each : replies) {
        BOOST_TEST(each.status == 201);
        BOOST_TEST(each.text == replies.front().text);
        first += each.replayed ? 0 : 1;
    }
    BOOST_TEST(first == 1);
    BOOST_TEST(payment.kinds() == "charge");
}

BOOST_AUTO_TEST_CASE(the_ledger_is_read_by_order_and_in_pages)
{
    for (int i = 1; i <= 6; ++i)
        charge("k" + std::to_string(i),
               R"({"amount":1,"payment_method":"c","customer_id":"c","order_id":"o)" +
                   std::to_string(i % 2) + "\"}");
    BOOST_TEST(payment.entries().size() == 6u);
    const auto of_order = payment.entries("?order_id=o1");
    BOOST_REQUIRE(of_order.size() == 3u);
    BOOST_TEST(of_order[1].at("key").as_string() == "k3");

    std::string keys;
    std::int64_t after = 0;
    for (;;) {
        const auto page = payment.entries("?limit=4&after=" + std::to_string(after));
        if (page.empty())
            break;
        BOOST_TEST(page.size() <= 4u);
        for (const auto& each : page) {
            BOOST_TEST(each.at("sequence").as_int64() > after);
            after = each.at("sequence").as_int64();
            keys += each.at("key").as_string().c_str();
        }
    }
    BOOST_TEST(keys == "k1k2k3k4k5k6");
    BOOST_TEST(payment.entries("?order_id=o1&after=3&limit=1").at(0).at("key").as_string() == "k5");
    for (const char* query : {"?limit=0", "?limit=100001", "?limit=x"})
        BOOST_TEST(payment.call("GET", std::string{"/ledger"} + query).detail_has("limit"));
    for (const char* query : {"?after=-1", "?after=1.5", "?after="})
        BOOST_TEST(payment.call("GET", std::string{"/ledger"} + query).detail_has("after"));
}

BOOST_AUTO_TEST_CASE(errors_come_before_the_effect)
{
    set_faults(R"({"error_rate":1})");
    const auto failed = charge("k1");
    BOOST_TEST(failed.status == 503);
    BOOST_TEST(failed.content_type == "application/problem+json");
    BOOST_TEST(payment.call("GET", "/payments?key=k1").status == 503);
    BOOST_TEST(payment.kinds() == ""); // the ledger is read whatever the faults
    BOOST_TEST(payment.call("GET", "/healthz").status == 200);
    BOOST_TEST(inventory.call("POST", "/availability", "{}").status == 400); // has its own faults

    set_faults("{}");
    BOOST_TEST(charge("k1").status == 201);
}

BOOST_AUTO_TEST_CASE(a_connection_is_dropped_before_or_after_the_effect)
{
    set_faults(R"({"drop_before_rate":1})");
    BOOST_CHECK_THROW(charge("k1"), drop_connection);
    BOOST_TEST(payment.kinds() == "");

    set_faults(R"({"hang_rate":1})");
    BOOST_CHECK_EXCEPTION(charge("k1"), drop_connection, [](const auto& dropped) {
        return dropped.moment() == drop_connection::when::peer_has_closed;
    });
    BOOST_TEST(payment.kinds() == "");

    set_faults(R"({"drop_after_rate":1})");
    BOOST_CHECK_EXCEPTION(charge("k1"), drop_connection, [](const auto& dropped) {
        return dropped.moment() == drop_connection::when::now;
    });
    BOOST_TEST(payment.kinds() == "charge");

    set_faults("{}");
    const auto again = charge("k1");
    BOOST_TEST(again.replayed);
    BOOST_TEST(again.status == 201);
}

BOOST_AUTO_TEST_CASE(faults_are_the_same_for_the_same_seed)
{
    const std::string faults =
        R"({"error_rate":0.3,"drop_before_rate":0.2,"drop_after_rate":0.2,"seed":)";
    set_faults(faults + "7}");
    const auto first = outcomes(100, "a");
    set_faults(faults + "7}");
    BOOST_TEST(outcomes(100, "b") == first);
    set_faults(faults + "18446744073709551615}");
    BOOST_TEST(outcomes(100, "c") != first);
    BOOST_TEST((std::set<char>{first.begin(), first.end()} == std::set<char>{'o', 'e', 'd'}));
}

BOOST_AUTO_TEST_CASE(latency_and_jitter_delay_the_answer)
{
    set_faults(R"({"latency_ms":20,"jitter_ms":10})");
    const auto begin = std::chrono::steady_clock::now();
    BOOST_TEST(charge("k1").status == 201);
    const auto least = std::chrono::milliseconds{20};
    BOOST_TEST((std::chrono::steady_clock::now() - begin >= least));
}

BOOST_AUTO_TEST_CASE(faults_are_shown_and_replaced_as_a_whole)
{
    const std::string all =
        R"({"latency_ms":1,"jitter_ms":2,"error_rate":0.25,"drop_before_rate":0.5,)"
        R"("drop_after_rate":0.75,"hang_rate":0,"pending_polls":3,"seed":18446744073709551615})";
    const auto set = set_faults(all);
    BOOST_TEST(set.status == 200);
    BOOST_TEST(set.text == payment.call("GET", "/faults").text);
    BOOST_TEST(set.number("drop_after_rate") == 0.75);
    BOOST_TEST(set.number("pending_polls") == 3);
    BOOST_TEST(set.body.at("seed").to_number<std::uint64_t>() == ~0ull);

    set_faults(R"({"latency_ms":0})");
    const auto shown = payment.call("GET", "/faults");
    for (const char* name : {"latency_ms", "jitter_ms", "error_rate", "drop_before_rate",
                             "drop_after_rate", "hang_rate", "pending_polls", "seed"})
        BOOST_TEST(shown.number(name) == 0, name);
}

BOOST_AUTO_TEST_CASE(unfit_faults_are_refused_by_name)
{
    set_faults(R"({"pending_polls":2})");
    for (const auto& [name, value] :
         {std::pair{"latency_ms", "-1"}, std::pair{"latency_ms", "3600001"},
          std::pair{"jitter_ms", "1.5"}, std::pair{"error_rate", "1.1"},
          std::pair{"drop_before_rate", "-0.1"}, std::pair{"drop_after_rate", "\"1\""},
          std::pair{"hang_rate", "null"}, std::pair{"pending_polls", "1000001"},
          std::pair{"seed", "-1"}, std::pair{"error", "1"}}) {
        const auto refused = set_faults(std::string{"{\""} + name + "\":" + value + "}");
        BOOST_TEST(refused.status == 400);
        BOOST_TEST(refused.detail_has(name), refused.text);
    }
    BOOST_TEST(payment.call("GET", "/faults").number("pending_polls") == 2);
}

BOOST_AUTO_TEST_CASE(health_names_the_service)
{
    BOOST_TEST(shipping.call("GET", "/healthz").string("service") == "shipping");
}

BOOST_AUTO_TEST_SUITE_END()
