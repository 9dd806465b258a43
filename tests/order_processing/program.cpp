// The program order_server: its lines, flags and exit codes; its demonstration; and that it can be
// killed at any moment and goes on where it was.
#include "order_processing/child.hpp"
#include "order_processing/services/harness.hpp"

#include "invariants.hpp"
#include "orders.hpp"
#include "pawl/http/client.hpp"
#include "server/harness.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/test/unit_test.hpp>

#include <csignal>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

using namespace order_processing;
using namespace order_processing::testing;
using boost::asio::awaitable;

namespace {

const std::string order_program = ORDER_SERVER;
const std::string services_program = MOCK_SERVICES;

void exits(const std::vector<std::string>& arguments, int status, const std::string& words)
{
    child run{order_program, arguments};
    BOOST_TEST(run.wait() == status, run.errors);
    BOOST_TEST(run.errors.find(words) != std::string::npos, run.errors);
    BOOST_TEST(run.output == "");
}

/// The address in the next line: "WHO listening on URL".
std::string read_url(child& from, const std::string& who)
{
    const auto line = from.read_line();
    const auto begin = who + " listening on ";
    BOOST_REQUIRE_MESSAGE(line.starts_with(begin + "http://127.0.0.1:"), line);
    return line.substr(begin.size());
}

std::string skip_to_server(child& from)
{
    for (const char* who : {"payment service", "inventory service", "shipping service"})
        read_url(from, who);
    return read_url(from, "order server");
}

awaitable<void> wait_for(pawl::http::client& server, std::string id, int& status)
{
    pawl::http::client_request get;
    get.target = "/orders/" + id + "/wait?timeout_ms=60000";
    const auto answer = co_await server.request(std::move(get));
    status = answer.status;
}

constexpr int lives = 20;
constexpr int orders_per_life = 10;

Order order_number(int i)
{
    Order order = sample_order("order-" + std::to_string(i));
    if (i % 3 == 1) {
        order.customer_id = "premium_customer";
        order.items[0].price = order.total = money::from_minor(150'000);
    } else if (i % 3 == 2) {
        order.items[0].product_id = "out_of_stock";
    }
    return order;
}

/// Sends an order; what gets no answer is sent again in a later life.
awaitable<void> try_to_submit(pawl::http::client& client, int number, std::set<int>& accepted)
{
    pawl::http::client_request post;
    post.method = "POST";
    post.target = "/orders";
    post.body = document_of(order_number(number));
    try {
        const auto answer = co_await client.request(std::move(post));
        // 409: the answer to an earlier try was lost with the server.
        BOOST_TEST((answer.status == 202 || answer.status == 409));
        accepted.insert(number);
    } catch (const pawl::http::client_error&) {
    }
}

/// One life: takes orders that come all at once, and is killed at a random moment among them.
void live_and_die(child& server, int life, pawl::duration moment, std::set<int>& accepted)
{
    boost::asio::io_context context{1};
    pawl::http::client client{context.get_executor(), skip_to_server(server)};
    const auto rethrow = [](const std::exception_ptr& failure) {
        if (failure)
            std::rethrow_exception(failure);
    };
    for (int i = life * orders_per_life; i < (life + 1) * orders_per_life; ++i)
        boost::asio::co_spawn(context, try_to_submit(client, i, accepted), rethrow);
    boost::asio::steady_timer until{context, moment};
    until.async_wait([&](const boost::system::error_code&) { server.signal(SIGKILL); });
    context.run();
}

awaitable<void> finish_all(boost::asio::any_io_executor executor, child& server,
                           service_urls services, std::set<int>& accepted)
{
    const auto url = skip_to_server(server);
    pawl::http::client_options patient;
    patient.timeout = std::chrono::seconds{70};
    pawl::http::client client{executor, url, patient};
    for (const int number : accepted) {
        int status = 0;
        co_await wait_for(client, order_number(number).id, status);
        BOOST_TEST(status == 200, "an accepted order was lost");
    }
    for (int i = 0; i < lives * orders_per_life; ++i) {
        if (!accepted.contains(i))
            co_await try_to_submit(client, i, accepted);
        int status = 0;
        co_await wait_for(client, order_number(i).id, status);
        BOOST_TEST(status == 200);
    }
    const auto orders = co_await read_orders(executor, url);
    BOOST_TEST(orders.size() == static_cast<std::size_t>(lives * orders_per_life));
    const auto ledgers = co_await read_ledgers(executor, std::move(services));
    for (const std::string& broken : broken_invariants(orders, ledgers))
        BOOST_ERROR(broken);
}

} // namespace

BOOST_AUTO_TEST_SUITE(order_server_program)

BOOST_AUTO_TEST_CASE(prints_four_lines_and_stops_on_sigterm)
{
    for (const int signal : {SIGTERM, SIGINT}) {
        child run{order_program, {"--serve", "--db", ":memory:", "--threads=3"}};
        skip_to_server(run);
        run.signal(signal);
        BOOST_TEST(run.wait() == 0);
        BOOST_TEST(run.output == "");
    }
}

BOOST_AUTO_TEST_CASE(shows_three_orders_and_says_that_they_ended_as_they_must)
{
    child run{order_program, {"--payment-backoff=50ms"}};
    BOOST_TEST(run.wait() == 0, run.errors);
    for (const char* words : {"order-001  InventoryReserved -> Fulfilled",
                              "order-002  PaymentFailed -> "
                              "PaymentProcessing",
                              "order-003  InventoryFailed -> Refunded", "TRACK_order-002",
                              "Every order ended as it must."})
        BOOST_TEST(run.output.find(words) != std::string::npos, words);
}

BOOST_AUTO_TEST_CASE(help_is_told_on_standard_output)
{
    child run{order_program, {"--help"}};
    BOOST_TEST(run.wait() == 0);
    for (const char* word : {"--db", "--port", "--threads", "--payment-url", "--inventory-url",
                             "--shipping-url", "--payment-backoff", "--serve", "PAWL_DB", "200ms"})
        BOOST_TEST(run.output.find(word) != std::string::npos, word);
}

BOOST_AUTO_TEST_CASE(wrong_flags_exit_2)
{
    exits({"--prot", "1"}, 2, "--prot");
    exits({"--port", "70000"}, 2, "--port");
    exits({"--payment-backoff", "soon"}, 2, "--payment-backoff");
    exits({"--log-level", "loud"}, 2, "--log-level");
    exits({"--serve", "--db", ":memory:", "--payment-url", "nowhere"}, 2, "nowhere");
    exits({"--serve", "--db", ":memory:", "--payment-timeout", "0s"}, 2, "payment_timeout");
}

BOOST_AUTO_TEST_CASE(what_cannot_be_used_exits_1)
{
    const temporary_directory directory;
    const auto missing = directory.file("missing/orders.db");
    exits({"--serve", "--db", missing, "--services-db", ":memory:"}, 1, missing);

    child first{order_program, {"--serve", "--db", ":memory:"}};
    const auto url = skip_to_server(first);
    const auto port = url.substr(url.rfind(':') + 1);
    exits({"--serve", "--db", ":memory:", "--port", port}, 1, port);
}

BOOST_AUTO_TEST_CASE(killed_at_any_moment_it_goes_on_where_it_was)
{
    const temporary_directory directory;
    child services{services_program, {"--db", directory.file("services.db")}};
    const service_urls urls{read_url(services, "payment service"),
                            read_url(services, "inventory service"),
                            read_url(services, "shipping service")};
    const std::vector<std::string> arguments{"--serve",
                                             "--db",
                                             directory.file("orders.db"),
                                             "--payment-backoff",
                                             "10ms",
                                             "--payment-url",
                                             urls.payment,
                                             "--inventory-url",
                                             urls.inventory,
                                             "--shipping-url",
                                             urls.shipping,
                                             "--log-level",
                                             "error"};
    const auto seed = std::random_device{}();
    BOOST_TEST_MESSAGE("seed " << seed);
    std::mt19937 random{seed};
    std::uniform_int_distribution<int> moments{0, 25'000};
    std::set<int> accepted;
    for (int life = 0; life < lives; ++life) {
        child server{order_program, arguments};
        live_and_die(server, life, pawl::duration{moments(random)}, accepted);
        BOOST_TEST(server.wait() == 128 + SIGKILL);
    }
    child server{order_program, arguments};
    boost::asio::io_context context{1};
    run_coroutine(context, finish_all(context.get_executor(), server, urls, accepted));
    server.signal(SIGTERM);
    BOOST_TEST(server.wait() == 0);
}

BOOST_AUTO_TEST_SUITE_END()
