// The description of the interface, held against the routes and the documents of the program.
#include "harness.hpp"
#include "orders.hpp"

#include <boost/describe/enumerators.hpp>
#include <boost/describe/members.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <boost/mp11/algorithm.hpp>
#include <boost/test/unit_test.hpp>

#include <set>
#include <string>
#include <string_view>

BOOST_AUTO_TEST_SUITE(openapi)

using namespace order_processing;
using namespace order_processing::testing;
using boost::asio::awaitable;
namespace json = boost::json;
using names = std::set<std::string>;

namespace {

names keys_of(const json::value& of)
{
    names keys;
    for (const auto& member : of.as_object())
        keys.emplace(member.key());
    return keys;
}

void check_equal(const names& described, const names& real, std::string_view what)
{
    for (const auto& each : real)
        BOOST_TEST(described.contains(each), what << ": " << each << " is not described");
    for (const auto& each : described)
        BOOST_TEST(real.contains(each), what << ": " << each << " does not exist");
}

/// "GET /orders", as described; of one tag, or of all.
names described_operations(const json::value& document, const std::string& tag = {})
{
    names all;
    for (const auto& path : document.at("paths").as_object())
        for (const auto& operation : path.value().as_object()) {
            if (operation.key() == "parameters")
                continue;
            bool tagged = tag.empty();
            for (const auto& each : operation.value().at("tags").as_array())
                tagged = tagged || each.as_string() == tag || each.as_string() == "health";
            std::string method{operation.key()};
            for (char& c : method)
                c = static_cast<char>(c - 'a' + 'A');
            if (tagged)
                all.insert(method + " " + std::string{path.key()});
        }
    return all;
}

names operations_of(const std::vector<pawl::http::route>& routes)
{
    names all;
    for (const auto& each : routes)
        all.insert(each.method + " " + each.pattern);
    return all;
}

template <class T>
void check_members(const json::value& document, const char* schema)
{
    names members;
    using all = boost::describe::describe_members<T, boost::describe::mod_any_access>;
    boost::mp11::mp_for_each<all>([&](auto each) { members.emplace(each.name); });
    const auto& properties = document.at("components").at("schemas").at(schema).at("properties");
    check_equal(keys_of(properties), members, schema);
}

/// Each "$ref" has to lead somewhere.
void check_references(const json::value& document, const json::value& at)
{
    if (const auto* list = at.if_array())
        for (const auto& each : *list)
            check_references(document, each);
    const auto* object = at.if_object();
    if (!object)
        return;
    for (const auto& member : *object) {
        check_references(document, member.value());
        if (member.key() != "$ref")
            continue;
        const std::string target{member.value().as_string()};
        json::error_code error;
        document.find_pointer(target.substr(1), error);
        BOOST_TEST(!error, target);
    }
}

names names_in(const json::value& list)
{
    names all;
    for (const auto& each : list.as_array())
        all.emplace(each.as_string());
    return all;
}

awaitable<void> description(scenario& s)
{
    const auto answer = co_await s.send("GET", "/openapi.json");
    BOOST_TEST(answer.status == 200);
    BOOST_TEST(answer.headers.at("content-type") == "application/json");
    const auto document = json::parse(answer.body);

    metrics counters;
    const api_context context{.orders = s.server().orders(), .counters = counters};
    check_equal(described_operations(document), operations_of(order_routes(context)), "all");
    auto customers = described_operations(document, "customers");
    customers.erase("GET /readyz"); // for operators, where they have a port
    check_equal(customers, operations_of(customer_routes(context)), "customers");
    check_equal(described_operations(document, "operators"),
                operations_of(operator_routes(context)), "operators");
    check_references(document, document);

    check_members<OrderItem>(document, "item");
    check_members<Address>(document, "address");
    check_members<order_request>(document, "order_request");
    check_members<cancel_request>(document, "cancel_request");
    check_members<accepted_order>(document, "accepted_order");
    check_members<cancel_answer>(document, "cancel_answer");
    check_members<order_view>(document, "order_view");
    check_members<order_page>(document, "order_page");
    check_members<transition_view>(document, "transition_view");
    check_members<order_history>(document, "order_history");

    names statuses;
    boost::mp11::mp_for_each<boost::describe::describe_enumerators<OrderStatus>>(
        [&](auto each) { statuses.emplace(each.name); });
    const auto& schemas = document.at("components").at("schemas");
    check_equal(names_in(schemas.at("status").at("enum")), statuses, "status");
    for (const auto& each : names_in(schemas.at("run_state").at("enum")))
        BOOST_TEST(pawl::parse_run_state(each).has_value(), each);
}

} // namespace

BOOST_AUTO_TEST_CASE(description_and_program_agree)
{
    run_scenario(description);
}

BOOST_AUTO_TEST_SUITE_END()
