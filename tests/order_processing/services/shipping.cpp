// The shipping service: one shipment per order, of a reservation that it takes for good.
#include "order_processing/services/harness.hpp"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/test/unit_test.hpp>

using order_processing::testing::called_services;
using order_processing::testing::reply;

namespace {

const std::string items = R"([{"product_id":"laptop","quantity":1}])";
const std::string home =
    R"({"street":"1 A St","city":"B","state":"C","zip_code":"1","country":"USA"})";

struct shipping_fixture : called_services {
    std::string reserve(const std::string& order, const std::string& key)
    {
        return inventory
            .call("POST", "/reservations",
                  R"({"order_id":")" + order + R"(","items":)" + items + "}", key)
            .string("reservation_id");
    }
    reply ship(const std::string& order, const std::string& reservation, const std::string& key,
               const std::string& address = home)
    {
        return shipping.call("POST", "/shipments",
                             R"({"order_id":")" + order + R"(","items":)" + items +
                                 R"(,"shipping_address":)" + address + R"(,"reservation_id":")" +
                                 reservation + R"("})",
                             key);
    }
    reply release(const std::string& id, const std::string& key)
    {
        return inventory.call("DELETE", "/reservations/" + id, "", key);
    }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(shipping_service, shipping_fixture)

BOOST_AUTO_TEST_CASE(a_shipment_takes_the_reservation)
{
    const auto id = reserve("order-001", "k1");
    const auto made = ship("order-001", id, "k1");
    BOOST_TEST(made.status == 201);
    BOOST_TEST(made.string("tracking_number") == "TRACK_order-001");

    const auto seen = shipping.call("GET", "/shipments?order_id=order-001");
    BOOST_TEST(seen.string("tracking_number") == "TRACK_order-001");
    BOOST_TEST(seen.string("reservation_id") == id);

    const auto refused = release(id, "k2");
    BOOST_TEST(refused.status == 409);
    BOOST_TEST(refused.detail_has("shipped"));
    BOOST_TEST(inventory.kinds() == "reserve");

    const auto entries = shipping.entries();
    BOOST_REQUIRE(entries.size() == 1u);
    BOOST_TEST(entries[0].at("service").as_string() == "shipping");
    BOOST_TEST(entries[0].at("kind").as_string() == "shipment");
    BOOST_TEST(entries[0].at("id").as_string() == "TRACK_order-001");
    BOOST_TEST(boost::json::serialize(entries[0].at("items")) == items);
}

BOOST_AUTO_TEST_CASE(an_order_is_shipped_once)
{
    BOOST_TEST(ship("order-001", reserve("order-001", "k1"), "k1").status == 201);
    const auto refused = ship("order-001", reserve("order-001", "k2"), "k2");
    BOOST_TEST(refused.status == 409);
    BOOST_TEST(refused.detail_has("shipped"));
    BOOST_TEST(shipping.kinds() == "shipment");
}

BOOST_AUTO_TEST_CASE(only_a_live_reservation_of_the_order_is_shipped)
{
    BOOST_TEST(ship("order-001", "res_1", "k1").status == 409);
    BOOST_TEST(ship("order-001", reserve("order-002", "k2"), "k2").detail_has("reservation"));
    const auto id = reserve("order-001", "k3");
    release(id, "k4");
    const auto refused = ship("order-001", id, "k5");
    BOOST_TEST(refused.status == 409);
    BOOST_TEST(refused.detail_has("released"));
    BOOST_TEST(shipping.kinds() == "");
}

BOOST_AUTO_TEST_CASE(nowhere_is_refused_for_good)
{
    const auto id = reserve("order-001", "k1");
    const auto refused =
        ship("order-001", id, "k1",
             R"({"street":"1","city":"B","state":"","zip_code":"","country":"Nowhere"})");
    BOOST_TEST(refused.status == 422);
    BOOST_TEST(refused.detail_has("destination is not served"));
    BOOST_TEST(shipping.kinds() == "");
    BOOST_TEST(release(id, "k2").status == 200);
}

BOOST_AUTO_TEST_CASE(a_malformed_shipment_names_its_field)
{
    const auto address_without = [&](const std::string& name) {
        auto address = home;
        return address.replace(address.find("\"" + name), 1, "\"x");
    };
    for (const char* name : {"street", "city", "state", "zip_code", "country"}) {
        const auto refused = ship("order-001", "res_1", "k1", address_without(name));
        BOOST_TEST(refused.status == 400);
        BOOST_TEST(refused.detail_has(std::string{"shipping_address."} + name), refused.text);
    }
    BOOST_TEST(ship("order-001", "res_1", "k1", "\"home\"").detail_has("shipping_address"));
    BOOST_TEST(ship("", "res_1", "k1").detail_has("order_id"));
    BOOST_TEST(ship("order-001", "", "k1").detail_has("reservation_id"));
}

BOOST_AUTO_TEST_SUITE_END()
