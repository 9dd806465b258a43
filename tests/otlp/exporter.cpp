// The exporter against a collector that answers well, badly, or not at all.
#include "otlp/collector.hpp"

#include <boost/asio/ip/tcp.hpp>

BOOST_AUTO_TEST_SUITE(exporter)

using namespace otlp_test;

namespace {

json::string_view text_at(const json::object& from, std::string_view name)
{
    return from.at(name).as_string();
}

} // namespace

BOOST_AUTO_TEST_CASE(a_request_has_the_form_of_otlp)
{
    exporter_fixture t;
    t.options.service_name = "orders \"x\"";
    t.options.resource_attributes = {{"a", "b"}, {"service.name", "overruled"}};
    t.options.headers = {{"authorization", "Bearer x"}};
    t.open();
    auto made = span_named(hostile_text);
    made.parent_id = {1, 2, 3, 4, 5, 6, 7, 255};
    made.kind = pawl::span_kind::consumer;
    made.ended_at += 1500us;
    made.attributes = {
        {"text", std::string{hostile_text}}, {"number", std::int64_t{-7}}, {"flag", true}};
    made.events = {{"event", made.began_at, {{"name", std::string{"x"}}}}};
    made.dropped_events = 3;
    made.links = {
        {*pawl::trace_context::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
         {}}};
    made.failed = true;
    made.error = hostile_text;
    const auto context = to_string(made.context);
    t.sink->add(std::move(made));
    BOOST_TEST(t.drain().exported == 1u);

    BOOST_TEST_REQUIRE(t.target.received.size() == 1u);
    const auto& message = t.target.received[0];
    BOOST_TEST(message.header("content-type") == "application/json");
    BOOST_TEST(message.header("authorization") == "Bearer x");
    const auto body = json::parse(message.body);
    const auto& resource = body.at("resourceSpans").at(0).at("resource").at("attributes");
    BOOST_TEST(resource.as_array().size() == 2u);
    BOOST_TEST(resource.at(0).at("value").at("stringValue").as_string() == "orders \"x\"");
    const auto sent = t.target.spans().at(0);
    BOOST_TEST(text_at(sent, "traceId") == context.substr(3, 32));
    BOOST_TEST(text_at(sent, "spanId") == context.substr(36, 16));
    BOOST_TEST(text_at(sent, "parentSpanId") == "01020304050607ff");
    BOOST_TEST(sent.at("kind").as_int64() == 5);
    BOOST_TEST(text_at(sent, "startTimeUnixNano") == "1700000000000000000");
    BOOST_TEST(text_at(sent, "endTimeUnixNano") == "1700000000001500000");
    BOOST_TEST(sent.at("status").at("code").as_int64() == 2);
    const std::string valid = "no \"bulb\"\n\x01 \xef\xbf\xbd\xef\xbf\xbd \\ "
                              "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd";
    BOOST_TEST(std::string_view{sent.at("status").at("message").as_string()} == valid);
    BOOST_TEST(std::string_view{text_at(sent, "name")} == valid);
    const auto& attributes = sent.at("attributes").as_array();
    BOOST_TEST(std::string_view{attributes[0].at("value").at("stringValue").as_string()} == valid);
    BOOST_TEST(attributes[1].at("value").at("intValue").as_string() == "-7");
    BOOST_TEST(attributes[2].at("value").at("boolValue").as_bool());
    BOOST_TEST(sent.at("events").at(0).at("name").as_string() == "event");
    BOOST_TEST(sent.at("droppedEventsCount").as_int64() == 3);
    BOOST_TEST(sent.at("links").at(0).at("spanId").as_string() == "00f067aa0ba902b7");
}

BOOST_AUTO_TEST_CASE(the_spans_of_an_engine_reach_the_collector)
{
    exporter_fixture t;
    t.open();
    pawl::testing::harness_options harness;
    harness.engine.observer = pawl::make_span_observer(t.sink);
    harness.configure = [](pawl::engine& engine) {
        engine.add(part_work());
    };
    {
        job_harness test{jobs(), harness};
        const auto run = test.trigger("ada");
        test.advance(2s);
        test.callback(run, "go", pawl::bytes{});
        test.run_until_idle();
    }
    t.stop(1min);
    const auto sent = t.target.spans();
    BOOST_TEST(sent.size() == 10u);
    std::set<std::string> ids;
    for (const auto& made : sent)
        ids.emplace(text_at(made, "spanId"));
    BOOST_TEST(ids.size() == sent.size());
    for (const auto& made : sent)
        if (const auto* parent = made.if_contains("parentSpanId"))
            BOOST_TEST(ids.contains(std::string{parent->as_string()}));
}

BOOST_AUTO_TEST_CASE(what_may_pass_is_sent_again)
{
    for (const int code : {429, 502, 503, 504}) {
        exporter_fixture t;
        t.target.script = {[=] { return status(code); }, [=] { return status(code, "0"); },
                           die_in_the_middle};
        t.open();
        t.add(2);
        const auto now = t.drain();
        BOOST_TEST(now.exported == 2u, code);
        BOOST_TEST(now.failed == 0u);
        BOOST_TEST(t.target.received.size() == 4u);
        BOOST_TEST(t.target.received[0].body == t.target.received[3].body);
        BOOST_TEST(t.log.empty());
    }
}

BOOST_AUTO_TEST_CASE(what_is_refused_is_not_sent_again)
{
    for (const int code : {400, 401, 404, 413, 500}) {
        exporter_fixture t;
        t.target.script = {[=] {
            return status(code);
        }};
        t.open();
        t.add(2);
        const auto now = t.drain();
        BOOST_TEST(now.failed == 2u, code);
        BOOST_TEST(now.exported == 0u);
        BOOST_TEST(t.target.received.size() == 1u);
        BOOST_TEST_REQUIRE(t.log.size() == 1u);
        BOOST_TEST(t.log[0].find(std::to_string(code)) != std::string::npos, t.log[0]);
    }
}

BOOST_AUTO_TEST_CASE(attempts_are_used_up)
{
    exporter_fixture t;
    t.target.script.assign(4, [] { return status(503); });
    t.open();
    t.add(1);
    BOOST_TEST(t.drain().failed == 1u);
    BOOST_TEST(t.target.received.size() == 4u);
    t.add(1);
    BOOST_TEST(t.drain().exported == 1u);
}

BOOST_AUTO_TEST_CASE(a_collector_that_is_not_there_costs_spans_only)
{
    exporter_fixture t;
    asio::ip::tcp::acceptor free_port{t.io, {asio::ip::address_v4::loopback(), 0}};
    t.options.endpoint =
        "http://127.0.0.1:" + std::to_string(free_port.local_endpoint().port()) + "/v1/traces";
    free_port.close();
    t.open();
    t.add(3);
    BOOST_TEST(t.drain().failed == 3u);
    BOOST_TEST_REQUIRE(t.log.size() == 1u);
    BOOST_TEST(t.log[0].find("cannot connect") != std::string::npos, t.log[0]);
}

BOOST_AUTO_TEST_CASE(a_hanging_collector_costs_spans_only)
{
    exporter_fixture t;
    t.target.script = {hang};
    t.options.max_queue_spans = 10;
    t.options.max_batch_spans = 5;
    t.open();
    t.add(1);
    t.run_until([&] { return !t.target.received.empty(); });
    t.add(100); // returns at once, and without the collector
    auto now = t.sink->statistics();
    BOOST_TEST(now.dropped == 90u);
    BOOST_TEST(now.queued == 11u);
    BOOST_TEST(!t.sink->has_room());
    BOOST_TEST(t.sink->statistics().dropped == 91u);
    t.stop(0s); // cancels the request
    now = t.sink->statistics();
    BOOST_TEST(now.exported == 0u);
    BOOST_TEST(now.queued == 0u);
    BOOST_TEST(now.dropped + now.failed == 102u);
}

BOOST_AUTO_TEST_CASE(a_request_that_takes_too_long_is_repeated)
{
    exporter_fixture t;
    t.target.script = {hang};
    t.options.timeout = 20ms;
    t.open();
    t.add(1);
    BOOST_TEST(t.drain().exported == 1u);
    BOOST_TEST(t.target.received.size() == 2u);
}

BOOST_AUTO_TEST_CASE(a_retry_after_is_waited_for_up_to_a_limit)
{
    exporter_fixture t;
    t.target.script = {[] { return status(429, "86400"); },
                       [] {
                           return status(429, "Wed, 21 Oct 2015 07:28:00 GMT");
                       }};
    t.open();
    t.add(1);
    BOOST_TEST(t.drain().exported == 1u); // max_interval is 2 ms
}

BOOST_AUTO_TEST_SUITE_END()
