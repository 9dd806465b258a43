// The program mock_services: its lines, flags and exit codes, and that kill -9 loses nothing that
// it has answered.
#include "order_processing/child.hpp"
#include "order_processing/services/harness.hpp"

#include "pawl/http/client.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/test/unit_test.hpp>

#include <csignal>
#include <exception>

BOOST_AUTO_TEST_SUITE(mock_services)

namespace asio = boost::asio;
using order_processing::testing::child;
using order_processing::testing::temporary_directory;

namespace {

const std::string program = MOCK_SERVICES;

asio::awaitable<void> ask(pawl::http::client& on, pawl::http::client_request what,
                          pawl::http::client_response& answer)
{
    answer = co_await on.request(std::move(what));
}

pawl::http::client_response charge(const std::string& url, const std::string& key)
{
    pawl::http::client_request what;
    what.method = "POST";
    what.target = "/payments";
    what.body = R"({"amount":1,"payment_method":"c","customer_id":"c","order_id":"order-001"})";
    what.headers.emplace_back("Idempotency-Key", key);

    asio::io_context context;
    pawl::http::client client{context.get_executor(), url};
    pawl::http::client_response answer;
    std::exception_ptr failure;
    asio::co_spawn(context, ask(client, std::move(what), answer),
                   [&failure](std::exception_ptr thrown) { failure = std::move(thrown); });
    while (!failure && answer.status == 0)
        context.run_one();
    if (failure)
        std::rethrow_exception(failure);
    return answer;
}

/// The address in the next line, which tells that the service listens.
std::string read_url(child& from, const std::string& service)
{
    const auto line = from.read_line();
    const auto begin = service + " service listening on ";
    BOOST_TEST(line.starts_with(begin + "http://127.0.0.1:"), line);
    return line.starts_with(begin) ? line.substr(begin.size()) : "";
}

void exits(const std::vector<std::string>& arguments, int status, std::string_view words)
{
    child run{program, arguments};
    BOOST_TEST(run.wait() == status);
    BOOST_TEST(run.errors.find(words) != std::string::npos, run.errors);
    BOOST_TEST(run.output == "");
}

} // namespace

BOOST_AUTO_TEST_CASE(prints_three_lines_and_stops_on_sigterm)
{
    for (const int signal : {SIGTERM, SIGINT}) {
        child run{program, {"--db", ":memory:", "--threads=3"}};
        const auto payment = read_url(run, "payment");
        read_url(run, "inventory");
        read_url(run, "shipping");
        BOOST_TEST(charge(payment, "k1").status == 201);
        run.signal(signal);
        BOOST_TEST(run.wait() == 0);
        BOOST_TEST(run.output == "");
        BOOST_TEST(run.errors == "");
    }
}

BOOST_AUTO_TEST_CASE(what_was_answered_survives_kill_9)
{
    const temporary_directory directory;
    const std::vector<std::string> variables{"PAWL_SERVICES_DB=" + directory.file("services.db")};
    std::string paid;
    {
        child run{program, {}, variables};
        paid = charge(read_url(run, "payment"), "k1").body;
        run.signal(SIGKILL);
        BOOST_TEST(run.wait() == 128 + SIGKILL);
    }
    child again{program, {}, variables};
    const auto replay = charge(read_url(again, "payment"), "k1");
    BOOST_TEST(replay.status == 201);
    BOOST_TEST(replay.body == paid);
    BOOST_TEST(replay.headers.contains("idempotent-replay"));
}

BOOST_AUTO_TEST_CASE(help_is_told_on_standard_output)
{
    child run{program, {"--help"}};
    BOOST_TEST(run.wait() == 0);
    for (const char* word : {"--db", "--payment-port", "--inventory-port", "--shipping-port",
                             "--threads", "PAWL_SERVICES_DB"})
        BOOST_TEST(run.output.find(word) != std::string::npos, word);
}

BOOST_AUTO_TEST_CASE(wrong_flags_exit_2)
{
    exits({"--payment-prot", "1"}, 2, "--payment-prot");
    exits({"--payment-port", "70000"}, 2, "--payment-port");
    exits({"--threads=0"}, 2, "--threads");
    exits({"services.db"}, 2, "services.db");
}

BOOST_AUTO_TEST_CASE(what_cannot_be_used_exits_1)
{
    const temporary_directory directory;
    const auto missing = directory.file("missing/services.db");
    exits({"--db", missing}, 1, missing);

    child first{program, {"--db", ":memory:"}};
    read_url(first, "payment");
    const auto url = read_url(first, "inventory");
    const auto port = url.substr(url.rfind(':') + 1);
    exits({"--db", ":memory:", "--shipping-port", port}, 1, port);
}

BOOST_AUTO_TEST_SUITE_END()
