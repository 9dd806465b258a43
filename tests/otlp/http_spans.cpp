// The spans of the HTTP server and client.
#include "otlp/support.hpp"
#include "pawl/http/client.hpp"
#include "pawl/http/server.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <optional>

BOOST_AUTO_TEST_SUITE(http_spans)

using namespace otlp_test;
namespace http = pawl::http;

namespace {

const std::string caller = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

asio::awaitable<void> send(http::client& client, http::client_request message, int& status)
{
    const auto answer = co_await client.request(std::move(message));
    status = answer.status;
}

/// A server and a client whose spans go to one list.
struct exchange {
    asio::io_context io;
    std::shared_ptr<span_list> sink = std::make_shared<span_list>();
    std::vector<std::string> seen; ///< the header traceparent, as the handler got it
    int answer_status = 200;
    std::optional<http::server> server;
    std::optional<http::client> client;

    explicit exchange(bool is_traced = true, pawl::trace_policy policy = {})
    {
        http::server_options options;
        http::client_options sender;
        if (is_traced)
            options.tracing = sender.tracing = {sink, policy};
        server.emplace(io.get_executor(),
                       std::vector<http::route>{{"GET", "/orders/{id}",
                                                 [this](const http::request& message) {
                                                     return handle(message);
                                                 }}},
                       std::move(options));
        server->start();
        client.emplace(io.get_executor(), server->url(), std::move(sender));
    }

    ~exchange() { stop(); }

    asio::awaitable<http::response> handle(const http::request& message)
    {
        seen.emplace_back(message.header("traceparent"));
        co_return http::response{.status = answer_status};
    }

    int ask(http::client_request message)
    {
        int status = 0;
        bool done = false;
        asio::co_spawn(io, send(*client, std::move(message), status),
                       [&](const std::exception_ptr&) { done = true; });
        while (!done) {
            io.restart();
            io.run_one();
        }
        io.restart();
        io.poll(); // the server's span ends when the answer has been sent
        return status;
    }

    void stop()
    {
        asio::co_spawn(io, server->async_stop(0s), [](const std::exception_ptr&) {});
        io.restart();
        io.run();
    }
};

} // namespace

BOOST_AUTO_TEST_CASE(a_request_is_a_span_at_both_ends_of_one_trace)
{
    exchange t;
    BOOST_TEST(t.ask({.target = "/orders/ada?secret=1"}) == 200);
    const auto& sent = t.sink->only("GET");
    const auto& served = t.sink->only("GET /orders/{id}");
    BOOST_TEST((sent.kind == pawl::span_kind::client));
    BOOST_TEST((served.kind == pawl::span_kind::server));
    BOOST_TEST((sent.parent_id == std::array<std::uint8_t, 8>{}));
    BOOST_TEST((served.parent_id == sent.context.span_id));
    BOOST_TEST(t.sink->orphans().empty());
    BOOST_TEST_REQUIRE(t.seen.size() == 1u);
    BOOST_TEST(t.seen[0] == to_string(served.context));
    for (const auto& made : t.sink->spans)
        for (const auto& attribute : made.attributes)
            if (const auto* text = std::get_if<std::string>(&attribute.value))
                BOOST_TEST((text->find("ada") == text->npos && text->find("secret") == text->npos));
}

BOOST_AUTO_TEST_CASE(a_request_continues_the_trace_of_its_header)
{
    exchange t;
    t.ask({.target = "/orders/1", .headers = {{"TraceParent", caller}}});
    const auto given = *pawl::trace_context::parse(caller);
    const auto& sent = t.sink->only("GET");
    BOOST_TEST((sent.context.trace_id == given.trace_id));
    BOOST_TEST((sent.parent_id == given.span_id));
    BOOST_TEST(t.sink->orphans({given.span_id}).empty());
}

BOOST_AUTO_TEST_CASE(the_attributes_of_requests_are_documented)
{
    exchange t;
    t.answer_status = 503;
    t.ask({.target = "/orders/1"});
    std::set<std::string> names;
    for (const auto& made : t.sink->spans)
        for (const auto& attribute : made.attributes)
            names.emplace(attribute.name);
    const std::set<std::string> expected{
        "error.type", "http.request.method", "http.response.status_code",
        "http.route", "server.address",      "server.port",
        "url.scheme"};
    BOOST_TEST(names == expected, boost::test_tools::per_element());
    const auto& served = t.sink->only("GET /orders/{id}");
    BOOST_TEST(served.failed);
    BOOST_TEST(text_of(served, "error.type") == "503");
    BOOST_TEST(text_of(served, "http.response.status_code") == "503");
    BOOST_TEST(text_of(t.sink->only("GET"), "server.address") == "127.0.0.1");
}

BOOST_AUTO_TEST_CASE(a_client_error_fails_the_span_of_the_client_only)
{
    exchange t;
    t.answer_status = 404;
    t.ask({.target = "/orders/1"});
    BOOST_TEST(t.sink->only("GET").failed);
    BOOST_TEST(!t.sink->only("GET /orders/{id}").failed);
}

BOOST_AUTO_TEST_CASE(an_unknown_method_does_not_name_a_span)
{
    exchange t;
    BOOST_TEST(t.ask({.method = "BREW", .target = "/orders/1"}) == 405);
    BOOST_TEST((t.sink->only("_OTHER /orders/{id}").kind == pawl::span_kind::server));
}

BOOST_AUTO_TEST_CASE(a_request_that_is_not_sent_is_a_failed_span)
{
    exchange t;
    t.stop();
    t.ask({.target = "/orders/1"});
    const auto& sent = t.sink->only("GET");
    BOOST_TEST(sent.failed);
    BOOST_TEST(text_of(sent, "error.type") == "not_sent");
}

BOOST_AUTO_TEST_CASE(an_unsampled_request_passes_its_decision_on)
{
    exchange t{true, {.sampler = pawl::trace_sampler::always_off}};
    t.ask({.target = "/orders/1"});
    BOOST_TEST(t.sink->spans.empty());
    BOOST_TEST_REQUIRE(t.seen.size() == 1u);
    BOOST_TEST(t.seen[0].ends_with("-00"));
}

BOOST_AUTO_TEST_CASE(without_tracing_headers_pass_as_they_are)
{
    exchange t{false};
    t.ask({.target = "/orders/1", .headers = {{"traceparent", caller}}});
    t.ask({.target = "/orders/1"});
    BOOST_TEST((t.seen == std::vector<std::string>{caller, ""}));
    BOOST_TEST(t.sink->spans.empty());
}

BOOST_AUTO_TEST_SUITE_END()
