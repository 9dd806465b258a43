// The inventory service: reservations of all or nothing, stock that goes down and up, availability.
#include "order_processing/services/harness.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/test/unit_test.hpp>

using order_processing::testing::called_services;
using order_processing::testing::reply;

namespace {

std::string line(const std::string& product, const std::string& quantity)
{
    return R"({"product_id":")" + product + R"(","quantity":)" + quantity + "}";
}

struct inventory_fixture : called_services {
    reply reserve(const std::string& lines, const std::string& key)
    {
        return inventory.call("POST", "/reservations",
                              R"({"order_id":"order-001","items":[)" + lines + "]}", key);
    }
    reply release(const std::string& id, const std::string& key)
    {
        return inventory.call("DELETE", "/reservations/" + id, "", key);
    }
    void set_stock(const std::string& product, int quantity)
    {
        const auto answer = inventory.call("PUT", "/stock/" + product,
                                           R"({"quantity":)" + std::to_string(quantity) + "}");
        BOOST_TEST(answer.status == 200);
    }
    std::string available(const std::string& lines)
    {
        const auto answer = inventory.call("POST", "/availability", R"({"items":[)" + lines + "]}");
        BOOST_TEST(answer.status == 200);
        std::string all;
        for (const auto& each : answer.body.at("items").as_array())
            all += std::string{each.at("product_id").as_string().c_str()} + "=" +
                   std::to_string(each.at("available").as_int64()) + " ";
        return all;
    }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(inventory_service, inventory_fixture)

BOOST_AUTO_TEST_CASE(a_reservation_takes_from_the_stock_and_gives_back)
{
    set_stock("laptop", 5);
    const auto made = reserve(line("laptop", "2") + "," + line("mouse", "1"), "k1");
    const auto id = made.string("reservation_id");
    BOOST_TEST(made.status == 201);
    BOOST_TEST(id != "");
    BOOST_TEST(available(line("laptop", "9")) == "laptop=3 ");

    const auto entries = inventory.entries();
    BOOST_REQUIRE(entries.size() == 1u);
    BOOST_TEST(entries[0].at("kind").as_string() == "reserve");
    BOOST_TEST(entries[0].at("id").as_string().c_str() == id);
    BOOST_TEST(entries[0].at("order_id").as_string() == "order-001");
    BOOST_TEST(boost::json::serialize(entries[0].at("items")) ==
               "[" + line("laptop", "2") + "," + line("mouse", "1") + "]");
    BOOST_TEST(!entries[0].contains("amount"));

    const auto released = release(id, "k2");
    BOOST_TEST(released.status == 200);
    BOOST_TEST(released.string("reservation_id") == id);
    BOOST_TEST(released.string("status") == "released");
    BOOST_TEST(release(id, "k3").status == 200);
    BOOST_TEST(available(line("laptop", "9")) == "laptop=5 ");
    BOOST_TEST(inventory.kinds() == "reserve release");
}

BOOST_AUTO_TEST_CASE(all_or_nothing)
{
    set_stock("laptop", 5);
    const auto refused = reserve(line("laptop", "2") + "," + line("out_of_stock", "3"), "k1");
    BOOST_TEST(refused.status == 409);
    BOOST_TEST(refused.content_type == "application/problem+json");
    BOOST_TEST(refused.string("detail") != "");
    BOOST_TEST(boost::json::serialize(refused.body.at("missing")) ==
               R"([{"product_id":"out_of_stock","requested":3,"available":0}])");
    BOOST_TEST(available(line("laptop", "9")) == "laptop=5 ");
    BOOST_TEST(inventory.kinds() == "");
}

BOOST_AUTO_TEST_CASE(lines_of_one_product_count_together)
{
    set_stock("laptop", 5);
    const auto lines = line("laptop", "3") + "," + line("laptop", "3");
    const auto refused = reserve(lines, "k1");
    BOOST_TEST(refused.status == 409);
    BOOST_TEST(refused.body.at("missing").at(0).at("requested").as_int64() == 6);
    BOOST_TEST(available(lines) == "laptop=3 laptop=2 ");
    BOOST_TEST(reserve(line("laptop", "3") + "," + line("laptop", "2"), "k2").status == 201);
    BOOST_TEST(available(line("laptop", "1")) == "laptop=0 ");
}

BOOST_AUTO_TEST_CASE(what_was_never_set_is_without_limit)
{
    BOOST_TEST(available(line("pen", "1000000000")) == "pen=1000000000 ");
    BOOST_TEST(available(line("out_of_stock", "1") + "," + line("pen", "2")) ==
               "out_of_stock=0 pen=2 ");
    BOOST_TEST(reserve(line("pen", "1000000000"), "k1").status == 201);
    BOOST_TEST(reserve(line("pen", "1000000000"), "k2").status == 201);
    set_stock("out_of_stock", 1);
    BOOST_TEST(reserve(line("out_of_stock", "1"), "k3").status == 201);
    BOOST_TEST(reserve(line("out_of_stock", "1"), "k4").status == 409);
}

BOOST_AUTO_TEST_CASE(a_malformed_request_names_its_field)
{
    const auto refused = [&](const std::string& body, const char* field) {
        const auto answer = inventory.call("POST", "/reservations", body, "k1");
        BOOST_TEST(answer.status == 400, body);
        BOOST_TEST(answer.detail_has(field), answer.text);
    };
    const auto refused_line = [&](const std::string& text, const char* field) {
        refused(R"({"order_id":"o","items":[)" + line("pen", "1") + "," + text + "]}", field);
    };
    refused(R"({"items":[{"product_id":"pen","quantity":1}]})", "order_id");
    refused(R"({"order_id":"o"})", "items");
    refused(R"({"order_id":"o","items":[]})", "items");
    refused(R"({"order_id":"o","items":{}})", "items");
    refused_line("7", "items[1]");
    refused_line(line("", "1"), "items[1].product_id");
    refused_line(R"({"quantity":1})", "items[1].product_id");
    for (const char* quantity : {"0", "-1", "1.5", "\"1\"", "1000000001"})
        refused_line(line("pen", quantity), "items[1].quantity");
    for (const char* quantity : {"-1", "0.5", "null"})
        BOOST_TEST(
            inventory.call("PUT", "/stock/pen", std::string{R"({"quantity":)"} + quantity + "}")
                .detail_has("quantity"));
    BOOST_TEST(inventory.call("POST", "/availability", "{}").detail_has("items"));
}

BOOST_AUTO_TEST_CASE(an_unknown_reservation_is_404)
{
    BOOST_TEST(release("res_1", "k1").status == 404);
}

BOOST_AUTO_TEST_CASE(stock_and_availability_make_no_entry)
{
    set_stock("laptop", 5);
    available(line("laptop", "1"));
    BOOST_TEST(inventory.kinds() == "");
}

BOOST_AUTO_TEST_SUITE_END()
