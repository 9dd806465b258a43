// The exporter against a collector that answers well, badly, or not at all.
#include "otlp/support.hpp"
#include "pawl/error.hpp"
#include "pawl/http/server.hpp"
#include "pawl/otlp.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include <deque>
#include <functional>

BOOST_AUTO_TEST_SUITE(exporter)

using namespace otlp_test;
namespace http = pawl::http;
namespace json = boost::json;

namespace {

asio::awaitable<void> write_part(http::body_writer& body)
{
    co_await body.write("{\"partial");
    throw std::runtime_error("the collector dies");
}

/// Answers requests as scripted, and then with 200. Keeps what it received.
class collector {
public:
    std::deque<std::function<http::response()>> script;
    std::vector<http::request> received;

    explicit collector(asio::io_context& io)
        : server_(io.get_executor(),
                  {{.method = "POST",
                    .pattern = "/v1/traces",
                    .answer =
                        [this](const http::request& message) {
                            return answer(message);
                        }}},
                  {.body_limit = 16 * 1024 * 1024, .log = [](const pawl::log_entry&) {
                   }})
    {
        server_.start();
    }

    std::string endpoint() const { return server_.url() + "/v1/traces"; }
    http::server& server() noexcept { return server_; }

    /// All spans, in the order in which they came.
    std::vector<json::object> spans() const
    {
        std::vector<json::object> all;
        for (const auto& message : received) {
            const auto body = json::parse(message.body);
            const auto& scope = body.at("resourceSpans").at(0).at("scopeSpans").at(0);
            for (const auto& made : scope.at("spans").as_array())
                all.push_back(made.as_object());
        }
        return all;
    }

private:
    asio::awaitable<http::response> answer(const http::request& message)
    {
        received.push_back(message);
        if (script.empty())
            co_return http::response{.body = "{}"};
        const auto next = std::move(script.front());
        script.pop_front();
        co_return next();
    }

    http::server server_;
};

http::response status(int code, std::string retry_after = {})
{
    http::response reply{.status = code};
    if (!retry_after.empty())
        reply.headers.emplace_back("Retry-After", std::move(retry_after));
    return reply;
}

http::response hang()
{
    throw http::drop_connection(http::drop_connection::when::peer_has_closed);
}

http::response die_in_the_middle()
{
    return {.stream = write_part};
}

pawl::span span_named(std::string name)
{
    pawl::span made;
    made.context = pawl::make_span(std::nullopt, {});
    made.name = std::move(name);
    made.began_at = made.ended_at = pawl::time_point{1'700'000'000s};
    return made;
}

struct stage_set {
    asio::io_context io;
    collector target{io};
    std::vector<std::string> log;
    pawl::otlp_options options;
    std::shared_ptr<pawl::otlp_exporter> sink;

    stage_set()
    {
        options.endpoint = target.endpoint();
        options.schedule_delay = 0s;
        options.retry = {.initial = 1ms, .max_interval = 2ms, .max_attempts = 4};
        options.log = [this](const pawl::log_entry& line) {
            log.push_back(to_string(line));
        };
    }

    ~stage_set()
    {
        if (sink)
            stop(0s);
        sink.reset();
        run(target.server().async_stop(0s));
        io.run();
    }

    void open() { sink = std::make_shared<pawl::otlp_exporter>(io.get_executor(), options); }

    void add(int count)
    {
        for (int i = 0; i < count; ++i)
            sink->add(span_named("span " + std::to_string(i)));
    }

    void run(asio::awaitable<void> work)
    {
        bool done = false;
        asio::co_spawn(io, std::move(work), [&](std::exception_ptr failure) {
            done = true;
            if (failure)
                std::rethrow_exception(failure);
        });
        run_until([&] { return done; });
    }

    void run_until(const std::function<bool()>& done)
    {
        while (!done()) {
            io.restart();
            BOOST_REQUIRE(io.run_one() > 0);
        }
    }

    void stop(pawl::duration timeout) { run(sink->async_stop(timeout)); }

    /// Until nothing waits to be sent.
    pawl::otlp_statistics drain()
    {
        run_until([&] { return sink->statistics().queued == 0; });
        return sink->statistics();
    }
};

json::string_view text_at(const json::object& from, std::string_view name)
{
    return from.at(name).as_string();
}

} // namespace

BOOST_AUTO_TEST_CASE(a_request_has_the_form_of_otlp)
{
    stage_set t;
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
    stage_set t;
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
        stage_set t;
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
        stage_set t;
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
    stage_set t;
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
    stage_set t;
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
    stage_set t;
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
    stage_set t;
    t.target.script = {hang};
    t.options.timeout = 20ms;
    t.open();
    t.add(1);
    BOOST_TEST(t.drain().exported == 1u);
    BOOST_TEST(t.target.received.size() == 2u);
}

BOOST_AUTO_TEST_CASE(a_retry_after_is_waited_for_up_to_a_limit)
{
    stage_set t;
    t.target.script = {[] { return status(429, "86400"); },
                       [] {
                           return status(429, "Wed, 21 Oct 2015 07:28:00 GMT");
                       }};
    t.open();
    t.add(1);
    BOOST_TEST(t.drain().exported == 1u); // max_interval is 2 ms
}

BOOST_AUTO_TEST_CASE(a_queue_is_limited_by_number_and_by_bytes)
{
    stage_set t;
    t.options.max_queue_bytes = 20'000;
    t.options.schedule_delay = 1h;
    t.open();
    for (int i = 0; i < 3; ++i)
        t.sink->add(span_named(std::string(9'000, 'x')));
    BOOST_TEST(t.sink->statistics().queued == 2u);
    BOOST_TEST(t.sink->statistics().dropped == 1u);
    t.stop(1min);
    BOOST_TEST(t.sink->statistics().exported == 2u);
}

BOOST_AUTO_TEST_CASE(a_batch_is_limited_by_number_and_by_bytes)
{
    stage_set t;
    t.options.max_batch_spans = 4;
    t.options.schedule_delay = 1h; // a full batch does not wait
    t.open();
    t.add(8);
    t.run_until([&] { return t.sink->statistics().exported == 8; });
    BOOST_TEST(t.target.received.size() == 2u);

    stage_set small;
    small.options.max_batch_bytes = 1;
    small.open();
    small.add(3);
    small.drain();
    BOOST_TEST(small.target.received.size() == 3u);
}

BOOST_AUTO_TEST_CASE(a_partial_success_is_counted)
{
    stage_set t;
    t.target.script = {[] {
        return http::response{
            .body = R"({"partialSuccess":{"rejectedSpans":"2","errorMessage":"too old"}})"};
    }};
    t.open();
    t.add(5);
    const auto now = t.drain();
    BOOST_TEST(now.exported == 3u);
    BOOST_TEST(now.failed == 2u);
    BOOST_TEST_REQUIRE(t.log.size() == 1u);
    BOOST_TEST(t.log[0].find("too old") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(answers_that_make_no_sense_are_ignored)
{
    for (const char* body : {"", "partialSuccess", R"({"partialSuccess":7})",
                             R"({"partialSuccess":{"rejectedSpans":"-x"}})",
                             R"({"partialSuccess":{"rejectedSpans":99999999}})"}) {
        stage_set t;
        t.target.script = {[=] {
            return http::response{.body = body};
        }};
        t.open();
        t.add(1);
        const auto now = t.drain();
        BOOST_TEST(now.exported + now.failed == 1u, body);
    }
}

BOOST_AUTO_TEST_CASE(failures_are_logged_once_in_an_interval)
{
    stage_set t;
    t.target.script.assign(5, [] { return status(400); });
    t.open();
    for (int i = 0; i < 5; ++i) {
        t.add(1);
        t.drain();
    }
    BOOST_TEST(t.sink->statistics().failed == 5u);
    BOOST_TEST(t.log.size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_stop_sends_what_waits)
{
    stage_set t;
    t.options.schedule_delay = 1h;
    t.open();
    t.add(600); // more than a batch
    t.stop(1min);
    BOOST_TEST(t.sink->statistics().exported == 600u);
    t.add(1);
    BOOST_TEST(t.sink->statistics().dropped == 1u);
    t.stop(1min); // once more
}

BOOST_AUTO_TEST_CASE(an_idle_exporter_has_no_work)
{
    asio::io_context io;
    const pawl::otlp_exporter sink{io.get_executor(), {}};
    io.run(); // returns
    BOOST_TEST(sink.statistics().queued == 0u);
}

BOOST_AUTO_TEST_CASE(a_destroyed_exporter_ends)
{
    stage_set t;
    t.target.script = {hang};
    t.open();
    t.add(1);
    t.run_until([&] { return !t.target.received.empty(); });
    t.sink.reset();
}

BOOST_AUTO_TEST_CASE(bad_options_are_named)
{
    asio::io_context io;
    const auto refusal = [&](pawl::otlp_options options) -> std::string {
        try {
            pawl::otlp_exporter{io.get_executor(), std::move(options)};
        } catch (const pawl::definition_error& error) {
            return error.what();
        }
        return "accepted";
    };
    BOOST_TEST(refusal({.max_queue_spans = 0}) ==
               "otlp_options::max_queue_spans is 0; it must be at least 1");
    BOOST_TEST(refusal({.max_queue_spans = 10}) ==
               "otlp_options::max_batch_spans is 512; it must be at most max_queue_spans, 10");
    for (const auto& [options, name] : std::vector<std::pair<pawl::otlp_options, std::string>>{
             {{.endpoint = "here"}, "endpoint is \"here\""},
             {{.timeout = 0s}, "timeout is 0 us"},
             {{.retry = {.multiplier = 0}}, "retry."},
             {{.max_queue_bytes = 0}, "max_queue_bytes"},
             {{.max_batch_spans = 0}, "max_batch_spans"},
             {{.max_batch_bytes = 0}, "max_batch_bytes"},
             {{.schedule_delay = -1s}, "schedule_delay"},
             {{.log_interval = -1s}, "log_interval"}})
        BOOST_TEST(refusal(options).find(name) != std::string::npos, refusal(options));
}

BOOST_AUTO_TEST_SUITE_END()
