// The REST interface, row by row: what it answers to good requests and to bad ones.
#include "harness.hpp"
#include "orders.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <boost/test/unit_test.hpp>

#include "pawl/http/server.hpp"
#include "temporary_folder.hpp"

#include <deque>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <mutex>
#include <set>
#include <string>
#include <vector>

BOOST_AUTO_TEST_SUITE(rest_interface)

using namespace order_processing;
using namespace order_processing::testing;
using boost::asio::awaitable;
using pawl::http::client_response;

namespace {

using service = scenario::service;

bool contains(const std::string& text, const std::string& part)
{
    return text.find(part) != std::string::npos;
}

/// A problem document of this status whose detail has this word.
void check_problem(const client_response& answer, int status, const std::string& word)
{
    BOOST_TEST(answer.status == status,
               answer.status << " instead of " << status << " for " << word);
    const auto type = answer.headers.find("content-type");
    BOOST_TEST((type != answer.headers.end() && type->second == "application/problem+json"));
    BOOST_TEST(contains(answer.body, word), answer.body);
}

boost::asio::ip::tcp::endpoint endpoint_of(const order_server& server)
{
    const std::string url = server.url();
    const auto port = std::stoi(url.substr(url.rfind(':') + 1));
    return {boost::asio::ip::address_v4::loopback(), static_cast<unsigned short>(port)};
}

awaitable<void> good_order(scenario& s)
{
    const auto answer = co_await s.send("POST", "/orders", document_of(sample_order("a/b c")));
    BOOST_TEST(answer.status == 202);
    BOOST_TEST(answer.headers.at("location") == "/orders/a%2Fb%20c");
    const auto accepted = pawl::codec<accepted_order>::decode(answer.body);
    BOOST_TEST(accepted.order_id == "a/b c");

    const auto waited = co_await s.wait("a%2Fb%20c");
    const auto order = co_await s.find("a%2Fb%20c");
    BOOST_TEST(order.run_id == accepted.run_id);
    BOOST_TEST(order.order_id == "a/b c");
    BOOST_TEST((order.status == OrderStatus::Fulfilled));
    BOOST_TEST(order.run_state == "Completed");
    BOOST_TEST(order.version == waited.version);
    BOOST_TEST(order.order.tracking_number == "TRACK_a/b c");
    BOOST_TEST((order.updated_at >= order.created_at));
    const auto ended = co_await s.send("GET", "/orders/a%2Fb%20c/wait?timeout_ms=0");
    BOOST_TEST(ended.status == 200);

    const auto text = co_await s.send("GET", "/orders/a%2Fb%20c");
    const auto json = boost::json::parse(text.body).as_object();
    for (const char* member : {"order_id", "run_id", "status", "run_state", "version", "attempt",
                               "last_error", "created_at", "updated_at", "order"})
        BOOST_TEST(json.contains(member), member);
    BOOST_TEST(json.at("status").as_string() == "Fulfilled");
}

awaitable<void> bad_orders(scenario& s)
{
    struct bad_order {
        const char* document;
        int status;
        const char* word;
    };
    const std::vector<bad_order> table{
        {"{", 400, "JSON"},
        {"[]", 400, "object"},
        {R"({"id": 1})", 400, "id"},
        {R"({"id": "a", "total": "1"})", 400, "total"},
        {R"({"id": "a", "total": 1.001})", 400, "total"},
        {R"({"id": "a", "total": -1})", 400, "total"},
        {R"({"id": "a", "items": [{}, {"price": 1e300}]})", 400, "items[1].price"},
        {R"({"id": "a", "items": [{"quantity": 99999999999}]})", 400, "items[0].quantity"},
        {R"({"id": "a", "shipping_address": []})", 400, "shipping_address"},
        {"{}", 422, "id"},
        {R"({"id": "  "})", 422, "id"},
        {R"({"id": "a\u0007"})", 422, "id"},
        {R"({"id": "."})", 422, "id"},
        {R"({"id": ".."})", 422, "id"},
        {R"({"id": "a", "allow_partal": false})", 400, "allow_partal"},
        {R"({"id": "a", "items": [{}, {"amount": 1}]})", 400, "items[1].amount"},
        {R"({"id": "a", "total": 1, "total": 2})", 400, "total: is given twice"},
        {R"({"id": "a", "items": [{}, {"price": 1, "pri\u0063e": 2}]})", 400,
         "items[1].price: is given twice"},
    };
    for (const bad_order& bad : table) {
        const auto answer = co_await s.send("POST", "/orders", bad.document);
        check_problem(answer, bad.status, bad.word);
    }
    const auto long_id = document_of(sample_order(std::string(201, 'x')));
    const auto refused = co_await s.send("POST", "/orders", long_id);
    check_problem(refused, 422, "id");
    const auto long_key = co_await s.send("POST", "/orders", document_of(sample_order()),
                                          {{"Idempotency-Key", std::string(1'025, 'k')}});
    check_problem(long_key, 400, "Idempotency-Key");
    Order many = sample_order();
    many.items.assign(10'001, {"a", 1, money::from_minor(1)});
    const auto too_many = co_await s.send("POST", "/orders", document_of(many));
    check_problem(too_many, 422, "items");
    const std::string large = R"({"id": ")" + std::string(1'100'000, 'x') + "\"}";
    const auto too_large = co_await s.send("POST", "/orders", large);
    BOOST_TEST(too_large.status == 413);

    const auto page = co_await s.send("GET", "/orders");
    BOOST_TEST(boost::json::parse(page.body).at("orders").as_array().empty());
}

/// What a page of another site can send without asking first.
awaitable<void> foreign_requests(scenario& s)
{
    const auto document = document_of(sample_order());
    pawl::http::client client{s.executor(), s.server().url()};
    for (const char* type : {"text/plain", "application/x-www-form-urlencoded", "application/jsonp",
                             "text/plain; application/json"}) {
        pawl::http::client_request request;
        request.method = "POST";
        request.target = "/orders";
        request.body = document;
        request.content_type = type;
        const auto answer = co_await client.request(request);
        check_problem(answer, 415, "application/json");
    }
    for (const char* target : {"/orders", "/orders/a/cancel", "/orders/a/pause",
                               "/admin/api/v1/runs/order-processing:a/pause"}) {
        const auto answer =
            co_await s.send("POST", target, document, {{"Origin", "https://evil.example"}});
        check_problem(answer, 403, "origin");
    }
    const auto page = co_await s.send("GET", "/orders");
    BOOST_TEST(boost::json::parse(page.body).at("orders").as_array().empty());

    boost::asio::ip::tcp::socket rebound{s.executor()};
    co_await rebound.async_connect(endpoint_of(s.server()), boost::asio::use_awaitable);
    const std::string request = "GET /orders HTTP/1.1\r\nHost: evil.example\r\n\r\n";
    co_await boost::asio::async_write(rebound, boost::asio::buffer(request),
                                      boost::asio::use_awaitable);
    std::string head;
    co_await boost::asio::async_read_until(rebound, boost::asio::dynamic_buffer(head), "\r\n\r\n",
                                           boost::asio::use_awaitable);
    BOOST_TEST(head.starts_with("HTTP/1.1 421 "), head);

    pawl::http::client_request good;
    good.method = "POST";
    good.target = "/orders";
    good.body = document;
    good.content_type = "Application/JSON ; charset=utf-8";
    const auto answer = co_await client.request(good);
    BOOST_TEST(answer.status == 202);
    co_await s.wait("order-001");
}

awaitable<void> unknown_things(scenario& s)
{
    for (const char* target : {"/orders/x", "/orders/x/history", "/orders/x/wait"}) {
        const auto answer = co_await s.send("GET", target);
        check_problem(answer, 404, "x");
    }
    for (const char* target : {"/orders/x/cancel", "/orders/x/pause", "/orders/x/resume",
                               "/admin/api/v1/runs/order-processing:x/pause"}) {
        const auto answer = co_await s.send("POST", target, "{}");
        check_problem(answer, 404, "x");
    }
    const auto data = co_await s.send("DELETE", "/orders/x/data");
    check_problem(data, 404, "x");
    const auto path = co_await s.send("GET", "/nothing");
    BOOST_TEST(path.status == 404);
    const auto method = co_await s.send("PUT", "/orders");
    BOOST_TEST(method.status == 405);
}

awaitable<void> begin_wait(boost::asio::ip::tcp::socket& from)
{
    const std::string request = "GET /orders/order-001/wait?timeout_ms=600000 HTTP/1.1\r\nHost: "
                                "127.0.0.1\r\n\r\n";
    co_await boost::asio::async_write(from, boost::asio::buffer(request),
                                      boost::asio::use_awaitable);
}

/// Whoever waits and goes away makes room for the others.
awaitable<void> abandoned_waits(scenario& s)
{
    Order order = sample_order();
    order.payment_method = "stuck_card";
    co_await s.submit(order);
    for (int round = 0; round < 20; ++round) {
        {
            std::deque<boost::asio::ip::tcp::socket> peers;
            for (int i = 0; i < 20; ++i) {
                auto& peer = peers.emplace_back(s.executor());
                co_await peer.async_connect(endpoint_of(s.server()), boost::asio::use_awaitable);
                co_await begin_wait(peer);
            }
            const auto alive = co_await s.send("GET", "/healthz");
            BOOST_TEST(alive.status == 200);
        }
        while (s.server().connections() > 1)
            co_await s.send("GET", "/healthz");
    }
    const auto metrics = co_await s.send("GET", "/metrics");
    BOOST_TEST(contains(metrics.body, R"(route="/orders/{id}/wait",status="499"})"));
    co_await s.send("POST", "/orders/order-001/cancel");
    co_await s.wait("order-001");
}

awaitable<void> one_wait_too_many(scenario& s)
{
    Order order = sample_order();
    order.payment_method = "stuck_card";
    co_await s.submit(order);
    boost::asio::ip::tcp::socket first{s.executor()};
    co_await first.async_connect(endpoint_of(s.server()), boost::asio::use_awaitable);
    co_await begin_wait(first);
    client_response answer;
    while (answer.status != 503) {
        answer = co_await s.send("GET", "/orders/order-001/wait?timeout_ms=0");
        if (const auto refused = first.available(); refused > 0) {
            std::string unread(refused, ' ');
            first.read_some(boost::asio::buffer(unread));
            co_await begin_wait(first);
        }
    }
    check_problem(answer, 503, "Too many");
    BOOST_TEST(answer.headers.at("retry-after") == "1");
    first.close();
    co_await s.send("POST", "/orders/order-001/cancel");
    while (answer.status == 503)
        answer = co_await s.send("GET", "/orders/order-001/wait");
    BOOST_TEST(answer.status == 200);
}

awaitable<void> queries(scenario& s)
{
    const std::vector<std::pair<const char*, const char*>> bad{
        {"/orders?limit=0", "limit"},
        {"/orders?limit=1001", "limit"},
        {"/orders?limit=ten", "limit"},
        {"/orders?status=shipped", "status"},
        {"/orders?run_state=running", "run_state"},
        {"/orders?after=1", "after"},
        {"/orders?size=1", "size"},
        {"/orders/x?full=1", "full"},
    };
    for (const auto& [target, word] : bad) {
        const auto answer = co_await s.send("GET", target);
        check_problem(answer, 400, word);
    }
    const auto new_run =
        co_await s.send("POST", "/orders?new_run=maybe", document_of(sample_order()));
    check_problem(new_run, 400, "new_run");
}

awaitable<void> pages(scenario& s)
{
    for (int i = 0; i < 7; ++i) {
        Order order = sample_order("order-" + std::to_string(i));
        order.customer_id = i < 3 ? "ada" : "grace";
        if (i % 2 == 1)
            order.items.clear();
        co_await s.submit_and_wait(order);
    }
    std::vector<std::string> seen;
    std::string after;
    do {
        const auto answer = co_await s.send("GET", "/orders?limit=3" + after);
        const auto page = pawl::codec<order_page>::decode(answer.body);
        BOOST_TEST(page.orders.size() <= 3u);
        for (const order_view& order : page.orders)
            seen.push_back(order.order_id);
        after = page.next ? "&after=" + *page.next : "";
    } while (!after.empty());
    const std::vector<std::string> all{"order-0", "order-1", "order-2", "order-3",
                                       "order-4", "order-5", "order-6"};
    BOOST_TEST(seen == all, boost::test_tools::per_element());

    const auto cancelled = co_await s.send("GET", "/orders?status=Cancelled&run_state=Cancelled");
    BOOST_TEST(pawl::codec<order_page>::decode(cancelled.body).orders.size() == 3u);
    const auto none = co_await s.send("GET", "/orders?status=Cancelled&run_state=Completed");
    BOOST_TEST(pawl::codec<order_page>::decode(none.body).orders.empty());

    const auto hers = co_await s.send("GET", "/orders?customer=ada&limit=2");
    const auto first = pawl::codec<order_page>::decode(hers.body);
    BOOST_REQUIRE(first.orders.size() == 2u);
    BOOST_TEST(first.orders[1].order_id == "order-1");
    const auto more = co_await s.send("GET", "/orders?customer=ada&limit=2&after=" + *first.next);
    const auto second = pawl::codec<order_page>::decode(more.body);
    BOOST_REQUIRE(second.orders.size() == 1u);
    BOOST_TEST(second.orders[0].order_id == "order-2");
    BOOST_TEST(!second.next);
    const auto both = co_await s.send("GET", "/orders?customer=grace&status=Cancelled");
    BOOST_TEST(pawl::codec<order_page>::decode(both.body).orders.size() == 2u);
    const auto unknown = co_await s.send("GET", "/orders?customer=ad");
    BOOST_TEST(pawl::codec<order_page>::decode(unknown.body).orders.empty());
}

/// Pages end at a size as well as at a number; an order that is larger than a page has one alone.
awaitable<void> small_pages(scenario& s)
{
    for (int i = 0; i < 5; ++i) {
        Order order = sample_order("order-" + std::to_string(i));
        order.items.clear();
        order.shipping_address.street.assign(i == 2 ? 9'000 : 1'500, 'x');
        co_await s.submit_and_wait(order);
    }
    std::vector<std::string> seen;
    int count = 0;
    std::string after;
    do {
        const auto answer = co_await s.send("GET", "/orders?limit=1000" + after);
        const auto page = pawl::codec<order_page>::decode(answer.body);
        BOOST_TEST((answer.body.size() < 8'200u || page.orders.size() == 1u), answer.body.size());
        for (const order_view& order : page.orders)
            seen.push_back(order.order_id);
        after = page.next ? "&after=" + *page.next : "";
        ++count;
    } while (!after.empty());
    BOOST_TEST(
        seen == (std::vector<std::string>{"order-0", "order-1", "order-2", "order-3", "order-4"}),
        boost::test_tools::per_element());
    BOOST_TEST(count == 3);
}

awaitable<void> history_pages(scenario& s)
{
    co_await s.submit_and_wait(sample_order());
    const auto whole = co_await s.send("GET", "/orders/order-001/history");
    const auto all = pawl::codec<order_history>::decode(whole.body);
    BOOST_TEST(!all.next.has_value());
    std::vector<std::uint64_t> versions;
    std::string after;
    do {
        const auto answer = co_await s.send("GET", "/orders/order-001/history?limit=2" + after);
        const auto page = pawl::codec<order_history>::decode(answer.body);
        BOOST_TEST(page.run_id == all.run_id);
        BOOST_TEST(page.transitions.size() <= 2u);
        for (const transition_view& each : page.transitions)
            versions.push_back(each.version);
        after = page.next ? "&after=" + std::to_string(*page.next) : "";
    } while (!after.empty());
    BOOST_TEST(versions.size() == all.transitions.size());
    for (std::size_t i = 0; i < versions.size(); ++i)
        BOOST_TEST(versions[i] == i + 1);
}

awaitable<void> history(scenario& s)
{
    co_await s.submit_and_wait(sample_order());
    const auto answer = co_await s.send("GET", "/orders/order-001/history");
    const auto story = pawl::codec<order_history>::decode(answer.body);
    std::string path;
    std::uint64_t version = 0;
    for (const transition_view& each : story.transitions) {
        BOOST_TEST(each.version == ++version);
        if (each.from != each.to)
            path += std::string{to_string(each.from)} + ">" + std::string{to_string(each.to)} + " ";
    }
    BOOST_TEST(path == "Created>Validated Validated>PaymentProcessing "
                       "PaymentProcessing>PaymentProcessed PaymentProcessed>InventoryReserved "
                       "InventoryReserved>Fulfilled ");
    BOOST_TEST(story.transitions.front().kind == "started");
    BOOST_TEST(story.transitions.back().run_state == "Completed");
}

awaitable<int> submit_again(scenario& s)
{
    const auto answer = co_await s.send("POST", "/orders", document_of(sample_order()));
    co_return answer.status;
}

/// The same order a hundred times at once: one is accepted.
awaitable<void> duplicates(scenario& s)
{
    using boost::asio::experimental::make_parallel_group;
    std::vector<decltype(boost::asio::co_spawn(s.executor(), submit_again(s),
                                               boost::asio::deferred))>
        requests;
    for (int i = 0; i < 100; ++i)
        requests.push_back(
            boost::asio::co_spawn(s.executor(), submit_again(s), boost::asio::deferred));
    auto group = make_parallel_group(std::move(requests));
    const auto results = co_await std::move(group).async_wait(
        boost::asio::experimental::wait_for_all(), boost::asio::use_awaitable);
    const auto& statuses = std::get<2>(results);
    BOOST_TEST(std::count(statuses.begin(), statuses.end(), 202) == 1);
    BOOST_TEST(std::count(statuses.begin(), statuses.end(), 409) == 99);

    co_await s.wait("order-001");
    const auto late = co_await s.send("POST", "/orders", document_of(sample_order()));
    check_problem(late, 409, "new_run");
    const auto effects = co_await s.effects("order-001");
    BOOST_TEST(effects == "charge 99.99 credit_card, reserve, shipment");
}

awaitable<void> new_run(scenario& s)
{
    Order order = sample_order();
    order.items[0].product_id = "rare";
    co_await s.set_stock("rare", 0);
    const auto first = co_await s.submit_and_wait(order);
    BOOST_TEST((first.status == OrderStatus::Refunded));

    co_await s.set_stock("rare", 1);
    const auto answer = co_await s.send("POST", "/orders?new_run=true", document_of(order));
    BOOST_TEST(answer.status == 202);
    const auto second = co_await s.wait("order-001");
    BOOST_TEST((second.status == OrderStatus::Fulfilled));
    BOOST_TEST(second.run_id != first.run_id);
}

awaitable<void> repeated_request(scenario& s)
{
    const std::string document = document_of(sample_order());
    const auto first = co_await s.send("POST", "/orders", document, {{"Idempotency-Key", "k"}});
    const auto again = co_await s.send("POST", "/orders", document, {{"Idempotency-Key", "k"}});
    BOOST_TEST(first.status == 202);
    BOOST_TEST(again.status == 202);
    BOOST_TEST(first.body == again.body);
    Order changed = sample_order();
    changed.items[0].quantity = 2;
    const auto other =
        co_await s.send("POST", "/orders", document_of(changed), {{"Idempotency-Key", "k"}});
    check_problem(other, 422, "Idempotency-Key");
    const auto metrics = co_await s.send("GET", "/metrics");
    BOOST_TEST(contains(metrics.body, "\norder_server_orders_accepted_total 1\n"));
    co_await s.wait("order-001");
}

awaitable<void> pause_and_resume(scenario& s)
{
    co_await s.set_faults(service::shipping, R"({"error_rate": 1})");
    co_await s.submit(sample_order());
    co_await s.wait_for_failure("order-001", OrderStatus::InventoryReserved);

    const auto early = co_await s.send("POST", "/orders/order-001/resume");
    BOOST_TEST(early.status == 409);
    const auto paused =
        co_await s.send("POST", "/orders/order-001/pause", R"({"reason": "let me see"})");
    BOOST_TEST(paused.status == 202, paused.body);
    const auto order = co_await s.find("order-001");
    BOOST_TEST(order.run_state == "Paused");
    BOOST_TEST(order.reason == "let me see");
    const auto twice = co_await s.send("POST", "/orders/order-001/pause");
    BOOST_TEST(twice.status == 409);
    const auto not_yet = co_await s.send("GET", "/orders/order-001/wait?timeout_ms=10");
    check_problem(not_yet, 504, "not ended");

    co_await s.set_faults(service::shipping, "{}");
    const auto resumed = co_await s.send("POST", "/orders/order-001/resume");
    BOOST_TEST(resumed.status == 202, resumed.body);
    const auto end = co_await s.wait("order-001");
    BOOST_TEST((end.status == OrderStatus::Fulfilled));
}

awaitable<void> deleted_data(scenario& s)
{
    Order order = sample_order();
    order.payment_method = "stuck_card";
    co_await s.submit(order);
    const auto early = co_await s.send("DELETE", "/orders/order-001/data");
    check_problem(early, 409, "not ended");
    co_await s.send("POST", "/orders/order-001/cancel");
    co_await s.wait("order-001");

    const auto deleted = co_await s.send("DELETE", "/orders/order-001/data");
    BOOST_TEST(deleted.status == 202);
    std::string text;
    do {
        const auto answer = co_await s.send("GET", "/orders/order-001");
        text = answer.body;
    } while (!contains(text, R"("run_state":"DataDeleted")"));
    for (const char* personal : {"customer-123", "Main St", "_card"})
        BOOST_TEST(!contains(text, personal), personal);
    const auto again = co_await s.send("DELETE", "/orders/order-001/data");
    BOOST_TEST(again.status == 202);
}

/// Neither what the customer typed into a wrong member, nor what was said of the order.
awaitable<void> deleted_words(scenario& s)
{
    Order order = sample_order();
    order.payment_method = "4111 1111";
    order.items[0].product_id.clear();
    co_await s.submit_and_wait(order);
    Order other = sample_order("order-002");
    other.payment_method = "stuck_card";
    co_await s.submit(other);
    co_await s.send("POST", "/admin/api/v1/runs/order-processing:order-002/pause",
                    R"({"reason": "the customer has called"})");
    co_await s.send("POST", "/admin/api/v1/runs/order-processing:order-002/resume", "{}");
    co_await s.send("POST", "/orders/order-002/cancel", R"({"reason": "Ada 4111 is ill"})");
    const auto end = co_await s.wait("order-002");
    BOOST_TEST(end.reason == "Ada 4111 is ill");
    const auto before = co_await s.send("GET", "/orders/order-002/history");
    BOOST_TEST(contains(before.body, "the customer has called"));
    for (const char* id : {"/orders/order-001", "/orders/order-002"}) {
        const auto deleted = co_await s.send("DELETE", std::string{id} + "/data");
        BOOST_TEST(deleted.status == 202);
        std::string text;
        do {
            const auto answer = co_await s.send("GET", id);
            text = answer.body;
        } while (!contains(text, R"("run_state":"DataDeleted")"));
        const auto history = co_await s.send("GET", std::string{id} + "/history");
        text += history.body;
        for (const char* personal : {"4111", "Ada", "Product id"})
            BOOST_TEST(!contains(text, personal), text);
    }
}

/// A customer learns that a service fails, and the log learns how.
awaitable<void> errors_for_customers(scenario& s)
{
    co_await s.set_faults(service::inventory, R"({"error_rate": 1})");
    co_await s.submit(sample_order());
    co_await s.wait_for_failure("order-001", OrderStatus::PaymentProcessed);
    const auto order = co_await s.send("GET", "/orders/order-001");
    const auto history = co_await s.send("GET", "/orders/order-001/history");
    for (const auto& text : {order.body, history.body}) {
        BOOST_TEST(contains(text, "the inventory service answered with status 503"), text);
        BOOST_TEST(!contains(text, "http://"), text);
        BOOST_TEST(!contains(text, "out of order for now"), text);
    }
    co_await s.set_faults(service::inventory, "{}");
    co_await s.wait("order-001");
}

awaitable<int> status_of(scenario& s, std::string url, std::string method, std::string target)
{
    pawl::http::client client{s.executor(), std::move(url)};
    pawl::http::client_request request;
    request.method = std::move(method);
    request.target = std::move(target);
    const auto answer = co_await client.request(std::move(request));
    co_return answer.status;
}

/// What operators do is not on the customers' port, and the other way round.
awaitable<void> two_ports(scenario& s)
{
    const std::string customers = s.server().url();
    const std::string operators = s.server().operator_url();
    BOOST_TEST(customers != operators);
    BOOST_TEST(contains(s.server().announcement(), "operators listening on " + operators));
    const std::vector<std::pair<std::string, std::string>> for_operators{
        {"GET", "/metrics"},         {"GET", "/readyz"},          {"GET", "/admin/api/v1/engines"},
        {"GET", "/admin/"},          {"POST", "/orders/x/pause"}, {"POST", "/orders/x/resume"},
        {"DELETE", "/orders/x/data"}};
    for (const auto& [method, target] : for_operators) {
        const int here = co_await status_of(s, operators, method, target);
        const int there = co_await status_of(s, customers, method, target);
        BOOST_TEST(here == (contains(target, "/x/") ? 404 : 200), target);
        BOOST_TEST(there == 404, target);
    }
    for (const char* target : {"/orders", "/workflow", "/orders/x/wait"}) {
        const int here = co_await status_of(s, operators, "GET", target);
        BOOST_TEST(here == 404, target);
    }
    for (const auto& url : {customers, operators}) {
        const int alive = co_await status_of(s, url, "GET", "/healthz");
        BOOST_TEST(alive == 200);
    }
    pawl::http::client client{s.executor(), operators};
    pawl::http::client_request request;
    request.target = "/metrics";
    const auto metrics = co_await client.request(request);
    BOOST_TEST(contains(metrics.body, "order_server_refused_total{status=\"404\"} "));
}

awaitable<void> logged_requests(scenario& s)
{
    const auto answer =
        co_await s.send("GET", "/orders/x?full=1", {}, {{"X-Request-Id", "my-request"}});
    BOOST_TEST(answer.headers.at("x-request-id") == "my-request");
}

awaitable<void> service_pages(scenario& s)
{
    co_await s.submit_and_wait(sample_order());
    const auto diagram = co_await s.send("GET", "/workflow");
    BOOST_TEST(contains(diagram.body, "stateDiagram-v2"));
    BOOST_TEST(contains(diagram.body, "PaymentProcessing"));
    for (const char* target : {"/healthz", "/readyz"}) {
        const auto answer = co_await s.send("GET", target);
        BOOST_TEST(answer.status == 200);
    }
    std::string text;
    do {
        const auto metrics = co_await s.send("GET", "/metrics");
        text = metrics.body;
        BOOST_TEST(contains(metrics.headers.at("content-type"), "version=0.0.4"));
    } while (!contains(text, R"(order_server_orders_ended_total{status="Fulfilled"} 1)"));
    BOOST_TEST(contains(text, "\norder_server_orders_accepted_total 1\n"));
    BOOST_TEST(contains(
        text, R"(order_server_requests_total{method="POST",route="/orders",status="202"} 1)"));
    const std::string posted = R"({method="POST",route="/orders",status="2xx")";
    BOOST_TEST(contains(text, "order_server_request_duration_seconds_count" + posted + "} 1"));
    BOOST_TEST(contains(text, "order_server_request_duration_seconds_bucket" + posted +
                                  R"(,le="+Inf"} 1)"));
}

awaitable<void> engine_metrics(scenario& s)
{
    co_await s.submit_and_wait(sample_order("order-4711"));
    const auto answer = co_await s.send("GET", "/metrics");
    const auto has = [&](const std::string& line) {
        return answer.body.find(line) != std::string::npos;
    };
    BOOST_TEST(has("workflow_run_state_changes{current_run_state=\"Completed\""));
    BOOST_TEST(has("process_name=\"Created-step\""));
    BOOST_TEST(has("pawl_due_lag_seconds 0"));
    BOOST_TEST(has("pawl_finished_runs{workflow_name=\"order-processing\"} 1"));
    BOOST_TEST(!has("order-4711"));
}

/// A payment service that only remembers which trace it was called in.
struct recorder {
    std::mutex mutex;
    std::vector<std::string> traces;

    pawl::http::route route(std::string method, std::string pattern)
    {
        return {std::move(method), std::move(pattern), [this](const pawl::http::request& asked) {
                    return answer(asked);
                }};
    }

    awaitable<pawl::http::response> answer(const pawl::http::request& asked)
    {
        const std::lock_guard lock{mutex};
        traces.emplace_back(asked.header("traceparent"));
        co_return pawl::http::response{.status = 422, .body = R"({"detail":"no such card"})"};
    }
};

awaitable<void> traced_order(scenario& s)
{
    recorder payments;
    pawl::http::server service{s.executor(), {payments.route("POST", "/payments")}, {}};
    service.start();
    auto settings = quick_settings();
    settings.services.payment = service.url();
    settings.mocks.payment = false;
    order_server server{s.executor(), std::move(settings)};
    co_await server.async_start();
    scenario traced{s.executor(), server};
    const std::string parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const auto accepted = co_await traced.send(
        "POST", "/orders", document_of(sample_order("traced")), {{"traceparent", parent}});
    BOOST_TEST(accepted.status == 202);
    co_await traced.wait("traced");
    co_await server.async_stop();
    co_await service.async_stop(std::chrono::seconds{1});
    BOOST_REQUIRE(!payments.traces.empty());
    BOOST_TEST(payments.traces.front().substr(0, 36) == parent.substr(0, 36));
    BOOST_TEST(payments.traces.front() != parent);
}

} // namespace

BOOST_AUTO_TEST_CASE(an_order_is_accepted_and_shown)
{
    run_scenario(good_order);
}

BOOST_AUTO_TEST_CASE(a_bad_order_is_refused_by_the_path_of_what_is_wrong)
{
    run_scenario(bad_orders);
}

BOOST_AUTO_TEST_CASE(pages_of_other_sites_are_refused)
{
    run_scenario(foreign_requests);
}

BOOST_AUTO_TEST_CASE(what_is_not_there_is_404)
{
    run_scenario(unknown_things);
}

BOOST_AUTO_TEST_CASE(abandoned_waits_make_room)
{
    run_scenario(abandoned_waits);
}

BOOST_AUTO_TEST_CASE(waits_past_the_limit_are_refused)
{
    auto settings = quick_settings();
    settings.max_waiting = 1;
    run_scenario(one_wait_too_many, std::move(settings));
}

BOOST_AUTO_TEST_CASE(a_bad_query_names_its_parameter)
{
    run_scenario(queries);
}

BOOST_AUTO_TEST_CASE(orders_are_listed_page_by_page)
{
    run_scenario(pages);
}

BOOST_AUTO_TEST_CASE(pages_end_at_a_size)
{
    auto settings = quick_settings();
    settings.max_page_bytes = 8'000;
    run_scenario(small_pages, std::move(settings));
}

BOOST_AUTO_TEST_CASE(history_is_shown_page_by_page)
{
    run_scenario(history_pages);
}

BOOST_AUTO_TEST_CASE(history_shows_every_transition)
{
    run_scenario(history);
}

BOOST_AUTO_TEST_CASE(the_same_order_is_accepted_once)
{
    run_scenario(duplicates);
}

BOOST_AUTO_TEST_CASE(a_new_run_has_to_be_asked_for)
{
    run_scenario(new_run);
}

BOOST_AUTO_TEST_CASE(a_request_repeated_with_its_key_is_answered_as_the_first)
{
    run_scenario(repeated_request);
}

BOOST_AUTO_TEST_CASE(an_order_can_be_paused_and_resumed)
{
    run_scenario(pause_and_resume);
}

BOOST_AUTO_TEST_CASE(personal_data_can_be_deleted)
{
    run_scenario(deleted_data);
}

BOOST_AUTO_TEST_CASE(deleted_data_is_not_in_texts_either)
{
    run_scenario(deleted_words);
}

/// The deletion also reaches what the database keeps of the run's past.
BOOST_AUTO_TEST_CASE(deleted_data_is_not_in_the_database_either)
{
    const temporary_folder folder;
    auto settings = quick_settings();
    settings.store = nullptr;
    settings.db = folder.file("orders.db");
    settings.services_db = ":memory:";
    run_scenario(deleted_words, std::move(settings));
    std::string stored;
    for (const auto& each : std::filesystem::directory_iterator(folder.file(""))) {
        std::ifstream file{each.path(), std::ios::binary};
        stored.append(std::istreambuf_iterator<char>{file}, {});
    }
    BOOST_TEST(contains(stored, "laptop"));
    for (const char* personal : {"4111", "Ada", "customer-123", "Main St"})
        BOOST_TEST(!contains(stored, personal), personal);
}

BOOST_AUTO_TEST_CASE(errors_show_nothing_of_the_inside)
{
    std::mutex mutex;
    std::string lines;
    auto settings = quick_settings();
    settings.log = [&](const pawl::log_entry& entry) {
        const std::lock_guard lock{mutex};
        lines += to_string(entry) + "\n";
    };
    run_scenario(errors_for_customers, std::move(settings));
    BOOST_TEST(contains(lines, "/reservations: status 503"), lines);
    BOOST_TEST(contains(lines, "out of order for now"));
}

BOOST_AUTO_TEST_CASE(operators_have_a_port_of_their_own)
{
    auto settings = quick_settings();
    settings.operator_port = 0;
    run_scenario(two_ports, std::move(settings));
}

BOOST_AUTO_TEST_CASE(answers_are_logged_with_their_request_id)
{
    std::mutex mutex;
    std::string lines;
    auto settings = quick_settings();
    settings.access_log = true;
    settings.log = [&](const pawl::log_entry& entry) {
        const std::lock_guard lock{mutex};
        lines += to_string(entry) + "\n";
    };
    run_scenario(logged_requests, std::move(settings));
    BOOST_TEST(contains(lines, "access: my-request 127.0.0.1 - GET /orders/x 400 "), lines);
}

BOOST_AUTO_TEST_CASE(the_server_tells_of_itself)
{
    run_scenario(service_pages);
}

BOOST_AUTO_TEST_CASE(the_engine_tells_of_itself)
{
    run_scenario(engine_metrics);
}

BOOST_AUTO_TEST_CASE(a_trace_goes_from_the_request_through_the_steps_to_the_services)
{
    run_scenario(traced_order);
}

BOOST_AUTO_TEST_SUITE_END()
