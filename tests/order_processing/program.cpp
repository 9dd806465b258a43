// The program order_server: its lines, flags and exit codes, and its demonstration. That it can be
// killed at any moment is shown by chaos/crashes.cpp.
#include "order_processing/child.hpp"
#include "order_processing/services/harness.hpp"

#include <boost/test/unit_test.hpp>

#include <csignal>
#include <string>
#include <vector>

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

std::string skip_to_server(child& from)
{
    for (const char* who : {"payment service", "inventory service", "shipping service"})
        read_url(from, who);
    return read_url(from, "order server");
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

BOOST_AUTO_TEST_SUITE_END()
