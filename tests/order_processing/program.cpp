// The program order_server: its lines, flags and exit codes, and its demonstration. That it can be
// killed at any moment is shown by chaos/crashes.cpp.
#include "order_processing/child.hpp"
#include "order_processing/services/harness.hpp"

#include <boost/test/unit_test.hpp>

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>

#include <sys/resource.h>

#include <csignal>
#include <deque>
#include <string>
#include <vector>

BOOST_AUTO_TEST_SUITE(order_server_program)

namespace asio = boost::asio;
using asio::ip::tcp;
using namespace order_processing::testing;

namespace {

const std::string order_program = ORDER_SERVER;

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

/// Sends a request and reads its whole answer.
std::string ask(tcp::socket& by, const std::string& method, const std::string& target,
                const std::string& body)
{
    const auto request = method + " " + target +
                         " HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                         "Content-Length: " +
                         std::to_string(body.size()) + "\r\n\r\n" + body;
    asio::write(by, asio::buffer(request));
    std::string answer;
    const auto head = asio::read_until(by, asio::dynamic_buffer(answer), "\r\n\r\n");
    const auto at = answer.find("Content-Length: ");
    BOOST_REQUIRE(at != std::string::npos);
    const auto size = head + std::stoul(answer.substr(at + 16));
    if (answer.size() < size)
        asio::read(by, asio::dynamic_buffer(answer), asio::transfer_exactly(size - answer.size()));
    return answer;
}

std::string skip_to_server(child& from)
{
    for (const char* who : {"payment service", "inventory service", "shipping service"})
        read_url(from, who);
    return read_url(from, "order server");
}

} // namespace

BOOST_AUTO_TEST_CASE(prints_four_lines_and_stops_on_sigterm)
{
    for (const int signal : {SIGTERM, SIGINT}) {
        child run{order_program, {"--serve", "--demo", "--db", ":memory:", "--threads=3"}};
        skip_to_server(run);
        run.signal(signal);
        BOOST_TEST(run.wait() == 0);
        BOOST_TEST(run.output == "");
    }
}

BOOST_AUTO_TEST_CASE(raises_its_limit_on_descriptors_and_says_so)
{
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    const auto highest = std::to_string(limit.rlim_max);
    child run{"/bin/sh",
              {"-c", "ulimit -Sn 100 && exec \"$0\" \"$@\"", order_program, "--serve", "--demo",
               "--db", ":memory:"}};
    skip_to_server(run);
    run.signal(SIGTERM);
    BOOST_TEST(run.wait() == 0);
    BOOST_TEST(run.errors.find("at most " + highest + " descriptors") != std::string::npos,
               run.errors);
}

BOOST_AUTO_TEST_CASE(serves_beside_more_silent_peers_than_descriptors)
{
    child run{"/bin/sh",
              {"-c", "ulimit -n 128 && exec \"$0\" \"$@\"", order_program, "--serve", "--demo",
               "--db", ":memory:"}};
    const auto url = skip_to_server(run);
    asio::io_context context;
    const tcp::endpoint there{
        asio::ip::address_v4::loopback(),
        static_cast<unsigned short>(std::stoi(url.substr(url.rfind(':') + 1)))};
    std::deque<tcp::socket> silent;
    for (int i = 0; i < 200; ++i)
        silent.emplace_back(context).connect(there);

    tcp::socket customer{context};
    customer.connect(there);
    const auto accepted = ask(customer, "POST", "/orders",
                              R"({"id":"a","customer_id":"ada",)"
                              R"("items":[{"product_id":"laptop","quantity":1,"price":9.99}],)"
                              R"("total":9.99,"payment_method":"credit_card","shipping_address":)"
                              R"({"street":"1","city":"A","state":"T","zip_code":"7",)"
                              R"("country":"USA"}})");
    BOOST_TEST(accepted.starts_with("HTTP/1.1 202 "), accepted);
    const auto ended = ask(customer, "GET", "/orders/a/wait", "");
    BOOST_TEST(ended.find(R"("status":"Fulfilled")") != std::string::npos, ended);
    const auto history = ask(customer, "GET", "/orders/a/history", "");
    BOOST_TEST(history.find("attempt_failed") == std::string::npos, history);
    run.signal(SIGTERM);
    BOOST_TEST(run.wait() == 0);
    BOOST_TEST(run.errors.find("cannot accept") == std::string::npos, run.errors);
}

BOOST_AUTO_TEST_CASE(shows_three_orders_and_says_that_they_ended_as_they_must)
{
    child run{order_program, {"--payment-backoff=50ms"}};
    BOOST_TEST(run.wait() == 0, run.errors);
    for (const char* words : {"order-001  InventoryReserved -> Fulfilled",
                              "order-002  PaymentFailed -> "
                              "PaymentProcessing",
                              "order-003  InventoryFailed -> Refunded", "TRACK_order-002",
                              "Every order ended as expected."})
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
    exits({"--serve", "--demo=inventory,shipping", "--db", ":memory:", "--payment-url", "nowhere"},
          2, "nowhere");
    exits({"--serve", "--demo", "--db", ":memory:", "--payment-timeout", "0s"}, 2,
          "payment_timeout");
}

BOOST_AUTO_TEST_CASE(tells_its_version)
{
    child run{order_program, {"--version"}};
    BOOST_TEST(run.wait() == 0);
    BOOST_TEST(run.output.starts_with("order_server of Pawl "), run.output);
}

BOOST_AUTO_TEST_CASE(check_looks_at_everything_and_serves_nothing)
{
    const temporary_directory directory;
    const auto db = directory.file("orders.db");
    child good{order_program, {"--check", "--demo", "--db", db}};
    BOOST_TEST(good.wait() == 0, good.errors);
    BOOST_TEST(good.output.find("ok      the database " + db + "\n") != std::string::npos,
               good.output);
    BOOST_TEST(good.output.find("FAILED") == std::string::npos, good.output);
    BOOST_TEST(good.output.find("listening") == std::string::npos, good.output);

    child wrong{order_program,
                {"--check", "--demo=inventory,shipping", "--db", db, "--payment-url",
                 "http://127.0.0.1:1", "--operator-tokens", directory.file("missing")}};
    BOOST_TEST(wrong.wait() == 1, wrong.errors);
    for (const char* words : {"FAILED  the payment service http://127.0.0.1:1: ",
                              "FAILED  the files of tokens: ", "ok      the database "})
        BOOST_TEST(wrong.output.find(words) != std::string::npos, wrong.output);
}

BOOST_AUTO_TEST_CASE(token_for_a_service_comes_from_a_file_or_the_environment)
{
    const temporary_directory directory;
    const auto file = directory.file("token");
    exits({"--serve", "--demo", "--payment-token", "secret"}, 2, "PAWL_PAYMENT_TOKEN");
    exits({"--serve", "--demo", "--payment-token-file", file}, 2, file);
    exits({"--demo", "--customer-tokens", file}, 2, "--serve");
    child both{order_program,
               {"--check", "--demo", "--payment-token-file", file},
               {"PAWL_PAYMENT_TOKEN=secret"}};
    BOOST_TEST(both.wait() == 2);
    BOOST_TEST(both.errors.find("--payment-token-file") != std::string::npos, both.errors);
    BOOST_TEST(both.errors.find("secret") == std::string::npos, both.errors);
}

BOOST_AUTO_TEST_CASE(mock_services_are_used_only_where_they_are_asked_for)
{
    const std::string url = "http://127.0.0.1:9";
    exits({"--serve", "--db", ":memory:"}, 2, "--payment-url");
    exits({"--serve", "--db", ":memory:", "--payment-url", url}, 2, "--inventory-url");
    exits({"--serve", "--db", ":memory:", "--demo", "--shipping-url", url}, 2, "--shipping-url");
    exits({"--serve", "--db", ":memory:", "--demo=payment,shiping"}, 2, "shiping");

    child run{order_program,
              {"--serve", "--db", ":memory:", "--demo=payment,inventory", "--shipping-url", url},
              {"PAWL_SHIPING_URL=" + url}};
    read_url(run, "payment service");
    read_url(run, "inventory service");
    BOOST_TEST(read_url(run, "shipping service") == url);
    read_url(run, "order server");
    run.signal(SIGTERM);
    BOOST_TEST(run.wait() == 0);
    BOOST_TEST(run.errors.find("mock services are used") != std::string::npos, run.errors);
    BOOST_TEST(run.errors.find("PAWL_SHIPING_URL") != std::string::npos, run.errors);
}

BOOST_AUTO_TEST_CASE(what_cannot_be_used_exits_1)
{
    const temporary_directory directory;
    const auto missing = directory.file("missing/orders.db");
    exits({"--serve", "--demo", "--db", missing, "--services-db", ":memory:"}, 1, missing);

    child first{order_program, {"--serve", "--demo", "--db", ":memory:"}};
    const auto url = skip_to_server(first);
    const auto port = url.substr(url.rfind(':') + 1);
    exits({"--serve", "--demo", "--db", ":memory:", "--port", port}, 1, port);
}

BOOST_AUTO_TEST_SUITE_END()
