// The trace of an order, from the request of its customer to the requests to the services.
#include "harness.hpp"
#include "orders.hpp"
#include "pawl/http/server.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/test/unit_test.hpp>

#include <mutex>
#include <set>

BOOST_AUTO_TEST_SUITE(order_traces)

using namespace order_processing;
using namespace order_processing::testing;
using boost::asio::awaitable;

namespace {

/// Keeps the spans that it is sent.
struct collector {
    std::mutex mutex;
    std::vector<boost::json::object> spans;

    awaitable<pawl::http::response> take(const pawl::http::request& sent)
    {
        const auto body = boost::json::parse(sent.body);
        const auto& scope = body.at("resourceSpans").at(0).at("scopeSpans").at(0);
        const std::lock_guard lock{mutex};
        for (const auto& made : scope.at("spans").as_array())
            spans.push_back(made.as_object());
        co_return pawl::http::response{.body = "{}"};
    }
};

std::string text_at(const boost::json::object& made, std::string_view name)
{
    const auto* const found = made.if_contains(name);
    return found ? std::string{found->as_string()} : std::string{};
}

void check_spans(const collector& received, const std::string& parent)
{
    std::set<std::string> ids{parent.substr(36, 16)};
    std::set<std::string> names;
    for (const auto& made : received.spans) {
        ids.insert(text_at(made, "spanId"));
        names.insert(text_at(made, "name"));
    }
    for (const auto& made : received.spans) {
        if (text_at(made, "traceId") != parent.substr(3, 32))
            continue; // of the requests that ask for the order
        BOOST_TEST(ids.contains(text_at(made, "parentSpanId")), boost::json::serialize(made));
    }
    for (const char* name : {"POST /orders", "order-processing start", "POST", "POST /payments",
                             "order-processing end"})
        BOOST_TEST(names.contains(name), name);
}

awaitable<void> traced_order(scenario& s)
{
    collector received;
    pawl::http::server sink{s.executor(),
                            {{"POST", "/v1/traces",
                              [&](const pawl::http::request& sent) {
                                  return received.take(sent);
                              }}},
                            {}};
    sink.start();
    auto settings = quick_settings();
    settings.traces.emplace();
    settings.traces->exporter.endpoint = sink.url() + "/v1/traces";
    order_server server{s.executor(), std::move(settings)};
    co_await server.async_start();
    scenario traced{s.executor(), server};
    const std::string parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const auto accepted = co_await traced.send(
        "POST", "/orders", document_of(sample_order("traced")), {{"traceparent", parent}});
    BOOST_TEST(accepted.status == 202);
    co_await traced.wait("traced");
    co_await server.async_stop(); // sends what waits
    co_await sink.async_stop(std::chrono::seconds{1});
    check_spans(received, parent);
}

} // namespace

BOOST_AUTO_TEST_CASE(a_trace_goes_from_the_customer_to_the_services)
{
    run_scenario(traced_order);
}

BOOST_AUTO_TEST_SUITE_END()
