// The services behind real sockets: ports, dropped and hanging connections, stopping.
#include "order_processing/services/harness.hpp"

#include "pawl/http/client.hpp"
#include "services/start.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/parse.hpp>
#include <boost/test/unit_test.hpp>

#include <exception>
#include <optional>

namespace asio = boost::asio;
namespace http = pawl::http;
using namespace std::chrono_literals;
using order_processing::services::running_services;
using order_processing::services::services_options;
using order_processing::services::start_services;

namespace {

http::client_request post(std::string target, std::string body, const std::string& key)
{
    http::client_request made;
    made.method = "POST";
    made.target = std::move(target);
    made.body = std::move(body);
    made.headers.emplace_back("Idempotency-Key", key);
    return made;
}

http::client_request charge(const std::string& key)
{
    return post("/payments",
                R"({"amount":99.99,"payment_method":"c","customer_id":"c","order_id":"order-001"})",
                key);
}

http::client_request get(std::string target)
{
    http::client_request made;
    made.target = std::move(target);
    return made;
}

/// An answer, or what happened instead.
struct outcome {
    int status = 0;
    std::string body;
    bool replayed = false;
    std::optional<http::failure> failure;
};

struct start_fixture {
    asio::io_context context;
    running_services services = start_services(context.get_executor(), services_options{});
    bool stopped = false;

    /// Runs the context until `what` has completed.
    void run(asio::awaitable<void> what)
    {
        bool done = false;
        std::exception_ptr failure;
        asio::co_spawn(context, std::move(what), [&](std::exception_ptr thrown) {
            failure = std::move(thrown);
            done = true;
        });
        while (!done)
            context.run_one();
        if (failure)
            std::rethrow_exception(failure);
    }

    static asio::awaitable<void> ask(http::client& on, http::client_request what, outcome& result)
    {
        try {
            const auto answer = co_await on.request(std::move(what));
            result.status = answer.status;
            result.body = answer.body;
            result.replayed = answer.headers.contains("idempotent-replay");
        } catch (const http::client_error& error) {
            result.failure = error.kind();
        }
    }

    outcome ask(const std::string& url, http::client_request what, pawl::duration timeout = 60s)
    {
        http::client_options options;
        options.timeout = timeout;
        http::client client{context.get_executor(), url, options};
        outcome result;
        run(ask(client, std::move(what), result));
        return result;
    }

    outcome set_faults(const std::string& body)
    {
        http::client_request made;
        made.method = "PUT";
        made.target = "/faults";
        made.body = body;
        return ask(services.payment_url(), std::move(made));
    }

    std::size_t entries()
    {
        const auto page = ask(services.payment_url(), get("/ledger"));
        return boost::json::parse(page.body).at("entries").as_array().size();
    }

    void stop(pawl::duration deadline)
    {
        run(services.async_stop(deadline));
        stopped = true;
    }

    ~start_fixture()
    {
        if (!stopped)
            stop(0s);
    }
};

} // namespace

BOOST_FIXTURE_TEST_SUITE(running, start_fixture)

BOOST_AUTO_TEST_CASE(three_services_listen_on_ports_of_their_own)
{
    BOOST_TEST(ask(services.payment_url(), get("/healthz")).body.find("payment") !=
               std::string::npos);
    BOOST_TEST(ask(services.inventory_url(), get("/healthz")).body.find("inventory") !=
               std::string::npos);
    BOOST_TEST(ask(services.shipping_url(), get("/healthz")).body.find("shipping") !=
               std::string::npos);
    BOOST_TEST(services.announcement() ==
               "payment service listening on " + services.payment_url() +
                   "\ninventory service listening on " + services.inventory_url() +
                   "\nshipping service listening on " + services.shipping_url() + "\n");
    BOOST_TEST(services.payment_url().starts_with("http://127.0.0.1:"));
}

BOOST_AUTO_TEST_CASE(an_order_goes_through_all_three)
{
    const auto paid = ask(services.payment_url(), charge("k1"));
    BOOST_TEST(paid.status == 201);
    const auto again = ask(services.payment_url(), charge("k1"));
    BOOST_TEST(again.replayed);
    BOOST_TEST(again.body == paid.body);

    const std::string order =
        R"({"order_id":"order-001","items":[{"product_id":"laptop","quantity":1}])";
    const auto reserved = ask(services.inventory_url(), post("/reservations", order + "}", "k1"));
    BOOST_TEST(reserved.status == 201);
    const auto shipped = ask(
        services.shipping_url(),
        post("/shipments",
             order + R"(,"shipping_address":{"street":"1","city":"B","state":"C","zip_code":"1",)" +
                 R"("country":"USA"},)" + reserved.body.substr(1),
             "k1"));
    BOOST_TEST(shipped.status == 201);
    BOOST_TEST(shipped.body == R"({"tracking_number":"TRACK_order-001"})");
}

BOOST_AUTO_TEST_CASE(a_dropped_connection_is_ambiguous_to_the_caller)
{
    set_faults(R"({"drop_before_rate":1})");
    BOOST_TEST((ask(services.payment_url(), charge("k1")).failure == http::failure::ambiguous));
    BOOST_TEST(entries() == 0u);

    set_faults(R"({"drop_after_rate":1})");
    BOOST_TEST((ask(services.payment_url(), charge("k1")).failure == http::failure::ambiguous));
    BOOST_TEST(entries() == 1u);

    set_faults("{}");
    BOOST_TEST(ask(services.payment_url(), charge("k1")).replayed);
    BOOST_TEST(entries() == 1u);
}

BOOST_AUTO_TEST_CASE(a_hanging_request_ends_when_its_caller_gives_up)
{
    set_faults(R"({"hang_rate":1})");
    BOOST_TEST(
        (ask(services.payment_url(), charge("k1"), 20ms).failure == http::failure::ambiguous));
    BOOST_TEST(entries() == 0u);
    stop(1h); // would wait for a request that still hangs
}

BOOST_AUTO_TEST_CASE(a_hanging_request_ends_when_the_services_stop)
{
    set_faults(R"({"hang_rate":1})");
    http::client client{context.get_executor(), services.payment_url()};
    outcome result;
    bool ended = false;
    asio::co_spawn(context, ask(client, charge("k1"), result),
                   [&ended](std::exception_ptr) { ended = true; });
    context.poll();
    stop(0s);
    while (!ended)
        context.run_one();
    BOOST_TEST(result.failure.has_value());
}

BOOST_AUTO_TEST_CASE(a_port_in_use_is_refused_by_name)
{
    const auto url = services.inventory_url();
    const auto port = url.substr(url.rfind(':') + 1);
    services_options options;
    options.inventory_port = static_cast<std::uint16_t>(std::stoi(port));
    BOOST_CHECK_EXCEPTION(start_services(context.get_executor(), options),
                          boost::system::system_error, [&](const auto& error) {
                              return std::string{error.what()}.find(port) != std::string::npos;
                          });
    BOOST_TEST(ask(url, get("/healthz")).status == 200);
}

BOOST_AUTO_TEST_SUITE_END()
