// The server and a payment provider over TLS and with tokens, and services that cannot be reached.
#include "harness.hpp"
#include "http/certificates.hpp"
#include "orders.hpp"
#include "preflight.hpp"
#include "services/start.hpp"
#include "temporary_folder.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

BOOST_AUTO_TEST_SUITE(order_server_secure)

using namespace order_processing;
using namespace order_processing::testing;
using boost::asio::awaitable;
using boost::asio::use_awaitable;
using pawl::http::client_request;
using pawl::http::client_response;
using pawl::http::request;
using pawl::http::response;

namespace {

const std::string provider_token = "provider-token-0123456789";
const std::string shop_token = "shop-token-0123456789";
const std::string ada_token = "ada-token-0123456789";

bool contains(const std::string& text, const std::string& part)
{
    return text.find(part) != std::string::npos;
}

struct log_lines {
    std::mutex mutex;
    std::string text;

    pawl::log_sink sink()
    {
        return [this](const pawl::log_entry& entry) {
            const std::lock_guard lock{mutex};
            text += to_string(entry) + "\n";
        };
    }

    bool has(const std::string& part)
    {
        const std::lock_guard lock{mutex};
        return contains(text, part);
    }
};

/// A mock payment service as a provider offers it: over TLS, below /v2, for who has the token.
class provider {
public:
    provider(boost::asio::any_io_executor executor, const http_test::identity& shown)
        : services_(start(executor)), behind_(executor, services_.payment_url()),
          server_(executor, routes(), options(shown))
    {
        server_.start();
    }

    std::string url(const std::string& host) const
    {
        return "https://" + host + ":" + std::to_string(server_.port()) + "/v2/";
    }

    awaitable<std::string> ledger()
    {
        client_request get;
        get.target = "/ledger";
        const auto answer = co_await behind_.request(std::move(get));
        co_return answer.body;
    }

    awaitable<void> stop()
    {
        co_await server_.async_stop(pawl::duration{});
        co_await services_.async_stop(pawl::duration{});
    }

    int refused = 0; ///< requests without the token

private:
    static services::running_services start(const boost::asio::any_io_executor& executor)
    {
        services::services_options options;
        options.which = {.payment = true};
        return services::start_services(executor, std::move(options));
    }

    static pawl::http::server_options options(const http_test::identity& shown)
    {
        pawl::http::server_options made;
        made.certificate_chain_file = shown.chain_file;
        made.private_key_file = shown.key_file;
        return made;
    }

    std::vector<pawl::http::route> routes()
    {
        const auto handler = [this](const request& asked) {
            return pass_on(asked);
        };
        std::vector<pawl::http::route> all;
        for (const char* pattern : {"/v2/payments", "/v2/payments/{id}", "/v2/payments/{id}/refund",
                                    "/v2/payments/{id}/void"})
            for (const char* method : {"GET", "POST"})
                all.push_back({method, pattern, handler});
        all.push_back({"GET", "/v2/", handler});
        return all;
    }

    awaitable<response> pass_on(const request& asked)
    {
        if (asked.header("authorization") != "Bearer " + provider_token) {
            ++refused;
            co_return pawl::http::problem(401, "no token at 10.1.2.3");
        }
        client_request on;
        on.method = asked.method;
        on.target = asked.path.substr(3);
        if (const auto key = asked.query.find("key"); key != asked.query.end())
            on.target += "?key=" + key->second;
        on.body = asked.body;
        for (const char* name : {"idempotency-key", "traceparent"})
            if (!asked.header(name).empty())
                on.headers.emplace_back(name, asked.header(name));
        auto answer = co_await behind_.request(std::move(on));
        co_return response{.status = answer.status,
                           .body = answer.body,
                           .content_type = answer.headers["content-type"]};
    }

    services::running_services services_;
    pawl::http::client behind_;
    pawl::http::server server_;
};

using server_body = std::function<awaitable<void>(order_server&)>;

awaitable<void> run_and_stop(order_server& server, const server_body& body)
{
    co_await server.async_start();
    std::exception_ptr failure;
    try {
        co_await body(server);
    } catch (...) {
        failure = std::current_exception();
    }
    co_await server.async_stop();
    if (failure)
        std::rethrow_exception(failure);
}

void with_server(boost::asio::io_context& context, server_settings settings,
                 const server_body& body)
{
    order_server server{context.get_executor(), std::move(settings)};
    run_coroutine(context, run_and_stop(server, body));
}

struct certificates {
    temporary_folder folder;
    http_test::certificate_authority ca{folder.file("ca")};
    http_test::certificate_authority other_ca{folder.file("other")};
    boost::asio::io_context context{1};

    std::string write(const std::string& name, const std::string& text) const
    {
        const auto file = folder.file(name);
        std::ofstream{file} << text;
        return file;
    }

    /// Of a server that uses the provider.
    server_settings settings(const provider& at, const std::string& host = "localhost") const
    {
        auto made = quick_settings();
        made.mocks.payment = false;
        made.services.payment = at.url(host);
        made.access.payment_token = provider_token;
        made.access.ca_file = ca.file();
        return made;
    }
};

/// Sends a request with a token, and completes with the answer.
awaitable<client_response> ask(std::string url, std::string method, std::string target,
                               std::string token, pawl::http::client_options options = {})
{
    if (!token.empty())
        options.headers = {{"Authorization", "Bearer " + token}};
    pawl::http::client client{co_await boost::asio::this_coro::executor, std::move(url), options};
    client_request asked;
    asked.method = std::move(method);
    asked.target = std::move(target);
    auto answer = co_await client.request(std::move(asked));
    co_return answer;
}

awaitable<std::vector<finding>> findings(server_settings settings)
{
    auto executor = co_await boost::asio::this_coro::executor;
    auto found = co_await check_settings(executor, std::move(settings));
    co_return found;
}

std::string problem_with(const std::vector<finding>& found, const std::string& subject)
{
    for (const auto& each : found)
        if (contains(each.subject, subject))
            return each.problem;
    return "not looked at";
}

} // namespace

BOOST_FIXTURE_TEST_CASE(orders_are_charged_by_a_provider_with_tls_path_and_token, certificates)
{
    provider pay{context.get_executor(), ca.issue("DNS:localhost")};
    with_server(context, settings(pay), [&](order_server& server) -> awaitable<void> {
        scenario s{context.get_executor(), server};
        const auto end = co_await s.submit_and_wait(sample_order("a"));
        BOOST_TEST((end.status == OrderStatus::Fulfilled));
        Order refunded = sample_order("b");
        refunded.items[0].product_id = "out_of_stock";
        const auto other = co_await s.submit_and_wait(refunded);
        BOOST_TEST((other.status == OrderStatus::Refunded));
        const auto ledger = co_await pay.ledger();
        BOOST_TEST(contains(ledger, end.order.payment_id));
        BOOST_TEST(contains(ledger, "\"refund\""));
        BOOST_TEST(pay.refused == 0);
        co_await pay.stop();
    });
}

BOOST_FIXTURE_TEST_CASE(unproved_provider_gets_no_request, certificates)
{
    struct row {
        std::string names;
        int days;
        bool known;
        std::string word;
    };
    const std::vector<row> table{{"DNS:pay.example", 1, true, "mismatch"},
                                 {"DNS:localhost", -1, true, "expired"},
                                 {"DNS:localhost", 1, false, "certificate is not accepted"}};
    for (const auto& each : table) {
        auto& issuer = each.known ? ca : other_ca;
        provider pay{context.get_executor(), issuer.issue(each.names, each.days)};
        log_lines log;
        auto chosen = settings(pay);
        chosen.log = log.sink();
        context.restart();
        with_server(context, chosen, [&](order_server& server) -> awaitable<void> {
            scenario s{context.get_executor(), server};
            co_await s.submit(sample_order());
            order_view order;
            while (!log.has(each.word)) {
                order = co_await s.find("order-001");
                BOOST_TEST_REQUIRE((order.status <= OrderStatus::Validated));
            }
            order = co_await s.find("order-001");
            BOOST_TEST(order.run_state == "Running");
            BOOST_TEST((order.status == OrderStatus::Validated));
            const auto ledger = co_await pay.ledger();
            BOOST_TEST(contains(ledger, "\"entries\":[]"), ledger);
            const auto found = co_await findings(chosen);
            BOOST_TEST(contains(problem_with(found, "payment service"), each.word));
            co_await pay.stop();
        });
        BOOST_TEST(!log.has(provider_token));
    }
}

BOOST_FIXTURE_TEST_CASE(provider_that_does_not_know_the_token_is_told_of, certificates)
{
    provider pay{context.get_executor(), ca.issue("DNS:localhost")};
    auto chosen = settings(pay);
    chosen.access.payment_token = "wrong-token-0123456789";
    with_server(context, chosen, [&](order_server& server) -> awaitable<void> {
        scenario s{context.get_executor(), server};
        co_await s.submit(sample_order());
        co_await s.wait_for_failure("order-001", OrderStatus::Validated);
        const auto order = co_await s.find("order-001");
        BOOST_TEST(order.last_error == "the payment service answered with status 401");
        auto found = co_await findings(chosen);
        BOOST_TEST(contains(problem_with(found, "payment service"), "does not know the token"));
        chosen.access.payment_token.clear();
        found = co_await findings(chosen);
        BOOST_TEST(contains(problem_with(found, "payment service"), "needs a token"));
        chosen.access.payment_token = provider_token;
        found = co_await findings(chosen);
        for (const auto& each : found)
            BOOST_TEST(each.problem == "", each.subject);
        co_await pay.stop();
    });
}

BOOST_FIXTURE_TEST_CASE(requests_need_tokens, certificates)
{
    log_lines log;
    auto chosen = quick_settings();
    chosen.log = log.sink();
    chosen.access_log = true;
    chosen.customer_tokens_file = write("customers", "shop " + shop_token + "\n");
    chosen.operator_tokens_file = write("operators", "ada " + ada_token + "\n");
    const auto shown = ca.issue("IP:127.0.0.1");
    chosen.certificate_chain_file = shown.chain_file;
    chosen.private_key_file = shown.key_file;
    for (const bool two_ports : {false, true}) {
        if (two_ports)
            chosen.operator_port = 0;
        chosen.store = quick_settings().store;
        context.restart();
        with_server(context, chosen, [&](order_server& server) -> awaitable<void> {
            pawl::http::client_options trust;
            trust.ca_file = ca.file();
            const auto status = [&](std::string url, std::string method, std::string target,
                                    std::string token) -> awaitable<int> {
                const auto answer = co_await ask(url, method, target, token, trust);
                co_return answer.status;
            };
            const auto& customers = server.url();
            const auto& operators = server.operator_url();
            BOOST_TEST(customers.starts_with("https://"));
            struct row {
                std::string url, method, target, token;
                int status;
            };
            const std::vector<row> table{
                {customers, "GET", "/orders", "", 401},
                {customers, "GET", "/orders", "unknown-token-0123456789", 401},
                {customers, "GET", "/orders", shop_token, 200},
                {customers, "GET", "/orders", ada_token, 200},
                {customers, "GET", "/healthz", "", 200},
                {customers, "GET", "/nothing", "", 401},
                {customers, "GET", "/nothing", shop_token, 404},
                {operators, "GET", "/metrics", "", 401},
                {operators, "GET", "/metrics", shop_token, 403},
                {operators, "GET", "/metrics", ada_token, 200},
                {operators, "GET", "/admin/api/v1/overview", "", 401},
                {operators, "GET", "/admin/api/v1/overview", shop_token, 401},
                {operators, "GET", "/admin/api/v1/overview", ada_token, 200},
                {operators, "GET", "/healthz", "", 200},
                {operators, "GET", "/readyz", "", 200},
            };
            for (const auto& each : table) {
                const int got = co_await status(each.url, each.method, each.target, each.token);
                BOOST_TEST(got == each.status, each.method << " " << each.target << " gives " << got
                                                           << " and not " << each.status);
            }
            const auto refused = co_await ask(customers, "GET", "/orders", "", trust);
            BOOST_TEST(refused.headers.at("www-authenticate") == "Bearer realm=\"orders\"");
            BOOST_TEST(contains(refused.body, "Authorization: Bearer TOKEN"), refused.body);
        });
        BOOST_TEST(log.has(" ada GET /metrics 200 "), log.text);
        BOOST_TEST(log.has(" shop GET /metrics 403 "), log.text);
        BOOST_TEST(log.has(" - GET /orders 401 "), log.text);
    }
    BOOST_TEST(!log.has(ada_token));
    BOOST_TEST(!log.has(shop_token));
}

BOOST_FIXTURE_TEST_CASE(history_names_the_operator, certificates)
{
    auto chosen = quick_settings();
    chosen.operator_tokens_file = write("operators", "ada " + ada_token + "\n");
    with_server(context, chosen, [&](order_server& server) -> awaitable<void> {
        scenario s{context.get_executor(), server};
        Order stuck = sample_order();
        stuck.payment_method = "stuck_card";
        co_await s.submit(stuck);
        for (const char* action : {"pause", "resume"}) {
            const auto target =
                std::string{"/admin/api/v1/runs/order-processing:order-001/"} + action;
            const auto done =
                co_await s.send("POST", target, "{}", {{"Authorization", "Bearer " + ada_token}});
            BOOST_TEST(done.status == 200, done.body);
        }
        const auto answer = co_await s.send("GET", "/orders/order-001/history");
        const auto history = pawl::codec<order_history>::decode(answer.body);
        const auto count = std::ranges::count(history.transitions, "ada", &transition_view::by);
        BOOST_TEST(count == 2);
        co_await s.send("POST", "/orders/order-001/cancel");
        co_await s.wait("order-001");
    });
}

BOOST_FIXTURE_TEST_CASE(customers_tokens_alone_are_refused, certificates)
{
    auto chosen = quick_settings();
    chosen.customer_tokens_file = write("customers", "shop " + shop_token + "\n");
    order_server server{context.get_executor(), chosen};
    BOOST_CHECK_THROW(run_coroutine(context, server.async_start()), pawl::definition_error);
    context.restart();
    run_coroutine(context, [](server_settings with) -> awaitable<void> {
        const auto found = co_await findings(with);
        BOOST_TEST(contains(problem_with(found, "tokens"), "--operator-tokens"));
    }(chosen));
}

BOOST_FIXTURE_TEST_CASE(check_tells_what_is_wrong, certificates)
{
    auto chosen = quick_settings();
    chosen.db = folder.file("missing/orders.db");
    chosen.certificate_chain_file = chosen.private_key_file = folder.file("no.pem");
    chosen.mocks.shipping = false;
    chosen.mocks.payment = false;
    chosen.services.payment = "http://127.0.0.1:1";
    chosen.orders.payment_backoff = pawl::duration{};
    run_coroutine(context, [](server_settings with) -> awaitable<void> {
        const auto found = co_await findings(with);
        BOOST_TEST(contains(problem_with(found, "options"), "payment_backoff"));
        BOOST_TEST(problem_with(found, "tokens") == "");
        BOOST_TEST(contains(problem_with(found, "certificate"), "no.pem"));
        BOOST_TEST(contains(problem_with(found, "database"), "missing"));
        BOOST_TEST(contains(problem_with(found, "payment service"), "cannot connect"));
        BOOST_TEST(problem_with(found, "inventory service (mock)") == "");
        BOOST_TEST(contains(problem_with(found, "shipping service"), "--shipping-url"));
    }(chosen));
}

namespace {

/// Settings under which one failed attempt pauses an order.
server_settings unforgiving_settings()
{
    auto settings = quick_settings();
    settings.orders.payment_errors = 1;
    settings.orders.other_steps.max_attempts = 1;
    settings.orders.unreachable_backoff = std::chrono::milliseconds{1};
    return settings;
}

/// A port that nobody else gets, and that refuses connections until a server listens on it.
class reserved_port {
public:
    explicit reserved_port(boost::asio::io_context& context) : socket_{context}
    {
        using boost::asio::ip::tcp;
        socket_.open(tcp::v4());
        socket_.set_option(tcp::socket::reuse_address(true));
        socket_.bind({boost::asio::ip::address_v4::loopback(), 0});
    }

    std::uint16_t number() const { return socket_.local_endpoint().port(); }
    std::string url() const { return "http://127.0.0.1:" + std::to_string(number()); }

private:
    boost::asio::ip::tcp::socket socket_;
};

/// Waits until the order has waited for a service in this status, without an attempt.
awaitable<void> wait_until_it_waits(scenario& s, OrderStatus in)
{
    const std::string name = "\norder_server_service_requests_unsent_total ";
    const auto read = [&]() -> awaitable<int> {
        const auto answer = co_await s.send("GET", "/metrics");
        const auto at = answer.body.find(name);
        co_return std::stoi(answer.body.substr(at + name.size()));
    };
    const auto look = [&]() -> awaitable<OrderStatus> {
        const auto order = co_await s.find("order-001");
        BOOST_TEST_REQUIRE(order.run_state != "Paused", order.reason);
        BOOST_TEST_REQUIRE(order.attempt == 0, order.last_error);
        co_return order.status;
    };
    auto status = OrderStatus::Created;
    while (status != in)
        status = co_await look();
    const int before = co_await read();
    int now = before;
    while (now < before + 2) {
        status = co_await look();
        now = co_await read();
    }
    BOOST_TEST_REQUIRE((status == in));
}

/// The services come one after the other.
awaitable<void> wait_for_services(order_server& server, services::services_options options)
{
    const auto executor = co_await boost::asio::this_coro::executor;
    scenario s{executor, server};
    co_await s.submit(sample_order());
    co_await wait_until_it_waits(s, OrderStatus::Validated);
    std::optional<services::running_services> services;
    options.which = {.payment = true};
    services.emplace(services::start_services(executor, options));
    co_await wait_until_it_waits(s, OrderStatus::PaymentProcessed);
    co_await services->async_stop(pawl::duration{});
    services.reset();
    options.which = {.payment = true, .inventory = true};
    services.emplace(services::start_services(executor, options));
    co_await wait_until_it_waits(s, OrderStatus::InventoryReserved);
    co_await services->async_stop(pawl::duration{});
    services.reset();
    options.which = {true, true, true};
    services.emplace(services::start_services(executor, options));

    const auto end = co_await s.wait("order-001");
    BOOST_TEST((end.status == OrderStatus::Fulfilled));
    BOOST_TEST(end.order.payment_attempts == 1);
    co_await s.check();
    co_await services->async_stop(pawl::duration{});
}

} // namespace

BOOST_FIXTURE_TEST_CASE(service_that_cannot_be_reached_uses_up_no_attempt, certificates)
{
    services::services_options options;
    options.database = folder.file("services");
    const reserved_port payment{context};
    const reserved_port inventory{context};
    const reserved_port shipping{context};
    options.payment_port = payment.number();
    options.inventory_port = inventory.number();
    options.shipping_port = shipping.number();
    options.log = [](const pawl::log_entry&) {
    };
    auto chosen = unforgiving_settings();
    chosen.mocks = {};
    chosen.services = {payment.url(), inventory.url(), shipping.url()};
    with_server(context, chosen,
                [&](order_server& server) { return wait_for_services(server, options); });
}

namespace {

int number_from(const char* variable, int otherwise)
{
    const char* const text = std::getenv(variable);
    return text ? std::stoi(text) : otherwise;
}

} // namespace

/// With PAWL_BURST_ORDERS=2000 and PAWL_BURST_LATENCY_MS=2000 as a shop may see it.
BOOST_AUTO_TEST_CASE(wait_for_connection_uses_up_no_attempt)
{
    const int orders = number_from("PAWL_BURST_ORDERS", 40);
    const int latency = number_from("PAWL_BURST_LATENCY_MS", 50);
    auto settings = unforgiving_settings();
    if (latency <= 50) {
        // Of the requests that wait at a time, the last one waits for longer than the limit.
        settings.max_service_connections = 1;
        settings.orders.request_timeout = std::chrono::milliseconds{1'200};
    }
    boost::asio::io_context context{1};
    with_server(context, settings, [&](order_server& server) -> awaitable<void> {
        scenario s{context.get_executor(), server};
        co_await s.set_faults(scenario::service::payment,
                              "{\"latency_ms\":" + std::to_string(latency) + "}");
        for (int i = 0; i < orders; ++i)
            co_await s.submit(sample_order(std::to_string(i)));
        for (int i = 0; i < orders; ++i) {
            const auto id = std::to_string(i);
            client_response ended;
            while (ended.status != 200)
                ended = co_await s.send("GET", "/orders/" + id + "/wait?timeout_ms=5000");
            BOOST_TEST(contains(ended.body, R"("status":"Fulfilled")"), ended.body);
            const auto history = co_await s.send("GET", "/orders/" + id + "/history");
            BOOST_TEST(!contains(history.body, "attempt_failed"), history.body);
        }
        co_await s.check();
    });
}

BOOST_AUTO_TEST_SUITE_END()
