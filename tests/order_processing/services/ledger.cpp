// The ledger: what it answered is on disk, one process has the file, and each way in which a file
// cannot be used is told with the file's name.
#include "order_processing/services/harness.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>

#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <latch>
#include <memory>
#include <stdexcept>
#include <thread>

BOOST_AUTO_TEST_SUITE(ledgers)

namespace services = order_processing::services;
using order_processing::testing::called_services;
using order_processing::testing::temporary_directory;
using services::ledger_error;

namespace {

const std::string charge_body =
    R"({"amount":99.99,"payment_method":"c","customer_id":"c","order_id":"order-001"})";
const std::string order = R"({"order_id":"order-001","items":[{"product_id":"p","quantity":1}]})";

void refuses(const std::string& file, std::string_view words)
{
    BOOST_CHECK_EXCEPTION(services::ledger(file, std::chrono::milliseconds{0}), ledger_error,
                          [&](const ledger_error& error) {
                              const std::string_view what{error.what()};
                              BOOST_TEST(what.find(file) != std::string_view::npos, what);
                              BOOST_TEST(what.find(words) != std::string_view::npos, what);
                              return true;
                          });
}

/// Runs several pieces of work in one batch; 'o' done, 'x' failed.
std::string perform(services::ledger& in, std::vector<services::ledger::work> all)
{
    boost::asio::io_context context;
    std::latch held{1};
    std::latch all_wait{1};
    const auto hold = [&](services::books&) -> pawl::http::response {
        held.count_down();
        all_wait.wait();
        return {};
    };
    boost::asio::co_spawn(context, in.perform(hold),
                          [](std::exception_ptr, pawl::http::response) {});
    context.poll();
    held.wait();
    std::string outcomes(all.size(), '?');
    for (std::size_t i = 0; i < all.size(); ++i)
        boost::asio::co_spawn(context, in.perform(std::move(all[i])),
                              [&outcomes, i](std::exception_ptr failure, pawl::http::response) {
                                  outcomes[i] = failure ? 'x' : 'o';
                              });
    context.poll(); // nothing of them can end, so it returns when all are in the queue
    all_wait.count_down();
    context.run();
    return outcomes;
}

std::string failure_of(services::ledger& in, services::ledger::work what)
{
    boost::asio::io_context context;
    std::exception_ptr failure;
    boost::asio::co_spawn(context, in.perform(std::move(what)),
                          [&failure](std::exception_ptr thrown, pawl::http::response) {
                              failure = std::move(thrown);
                          });
    context.run();
    try {
        if (failure)
            std::rethrow_exception(failure);
    } catch (const ledger_error& error) {
        return error.what();
    }
    return "";
}

/// As if the disk were full: no file of this process grows past a size.
class file_size_limit {
public:
    explicit file_size_limit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN))
    {
        getrlimit(RLIMIT_FSIZE, &before_);
        rlimit limit = before_;
        limit.rlim_cur = bytes;
        setrlimit(RLIMIT_FSIZE, &limit);
    }
    ~file_size_limit()
    {
        setrlimit(RLIMIT_FSIZE, &before_);
        std::signal(SIGXFSZ, handler_);
    }
    file_size_limit(const file_size_limit&) = delete;
    file_size_limit& operator=(const file_size_limit&) = delete;

private:
    void (*handler_)(int);
    rlimit before_{};
};

pawl::http::response make_entry(services::books& in, const std::string& key)
{
    in.add_entry({.service = "payment", .kind = "charge", .key = key});
    return {};
}

pawl::http::response make_entry_and_fail(services::books& in)
{
    in.add_entry({.service = "payment", .kind = "charge", .key = "failed"});
    throw std::runtime_error("thought better of it");
}

} // namespace

BOOST_AUTO_TEST_CASE(everything_is_there_after_reopening)
{
    const temporary_directory directory;
    const auto file = directory.file("services.db");
    std::string paid;
    std::string payment_id;
    std::string reservation_id;
    {
        called_services before{file};
        before.inventory.call("PUT", "/stock/p", R"({"quantity":2})");
        const auto made = before.payment.call("POST", "/payments", charge_body, "k1");
        paid = made.text;
        payment_id = made.string("payment_id");
        before.payment.call("POST", "/payments/" + payment_id + "/refund", R"({"amount":9})", "k2");
        reservation_id =
            before.inventory.call("POST", "/reservations", order, "k1").string("reservation_id");
    }
    called_services after{file};
    const auto again = after.payment.call("POST", "/payments", charge_body, "k1");
    BOOST_TEST(again.replayed);
    BOOST_TEST(again.text == paid);
    BOOST_TEST(after.payment.call("GET", "/payments/" + payment_id).number("refunded") == 9);
    BOOST_TEST(after.payment.kinds() == "charge refund");
    BOOST_TEST(after.inventory.call("POST", "/reservations", order, "k2").status == 201);
    BOOST_TEST(after.inventory.call("POST", "/reservations", order, "k3").status == 409);
    const auto released =
        after.inventory.call("DELETE", "/reservations/" + reservation_id, "", "k4");
    BOOST_TEST(released.status == 200);
    BOOST_TEST(after.inventory.kinds() == "reserve reserve release");
    BOOST_TEST(after.inventory.entries().back().at("sequence").as_int64() == 5);
    BOOST_TEST(after.payment.call("POST", "/payments", charge_body, "k5").string("payment_id") !=
               payment_id);
}

BOOST_AUTO_TEST_CASE(a_failure_undoes_its_own_work_only)
{
    services::ledger books{":memory:"};
    const auto outcomes = perform(
        books, {[](services::books& in) { return make_entry(in, "first"); }, make_entry_and_fail,
                [](services::books& in) {
                    return make_entry(in, "second");
                }});
    BOOST_TEST(outcomes == "oxo");
    std::string seen;
    perform(books, {[&seen](services::books& in) -> pawl::http::response {
                for (const auto& each : in.entries("payment", "", 0, 10))
                    seen += std::to_string(each.sequence) + each.key + " ";
                return {};
            }});
    BOOST_TEST(seen == "1first 2second ");
}

BOOST_AUTO_TEST_CASE(many_wait_at_once_and_all_are_done)
{
    const temporary_directory directory;
    services::ledger books{directory.file("services.db")};
    std::vector<services::ledger::work> all;
    for (int i = 0; i < 1'000; ++i)
        all.push_back([i](services::books& in) { return make_entry(in, "k" + std::to_string(i)); });
    BOOST_TEST(perform(books, std::move(all)) == std::string(1'000, 'o'));
}

BOOST_AUTO_TEST_CASE(a_second_owner_of_the_file_is_refused)
{
    const temporary_directory directory;
    const auto file = directory.file("services.db");
    {
        const services::ledger first{file};
        refuses(file, "another process");
    }
    const services::ledger second{file};
}

BOOST_AUTO_TEST_CASE(a_second_owner_waits_for_the_first_to_let_go)
{
    const temporary_directory directory;
    const auto file = directory.file("services.db");
    auto first = std::make_unique<services::ledger>(file);
    std::latch opening{1};
    std::string outcome;
    std::jthread other{[&] {
        opening.count_down();
        services::ledger second{file, std::chrono::minutes{2}};
        outcome = perform(second, {[](services::books& in) {
                              return make_entry(in, "k");
                          }});
    }};
    opening.wait();
    first.reset();
    other.join();
    BOOST_TEST(outcome == "o");
}

BOOST_AUTO_TEST_CASE(a_file_that_cannot_be_used_is_named)
{
    const temporary_directory directory;
    refuses(directory.file("missing/services.db"), "cannot be opened");
    refuses(directory.file(""), "open");

    const auto text = directory.file("text.db");
    std::ofstream{text} << std::string(4'096, 'x');
    refuses(text, "not a database");

    const auto other = directory.file("other.db");
    {
        services::database foreign{other, std::chrono::milliseconds{0}};
        foreign.run("CREATE TABLE t(x)");
    }
    refuses(other, "something else");

    const auto newer = directory.file("newer.db");
    {
        const services::ledger made{newer};
    }
    {
        services::database opened{newer, std::chrono::milliseconds{0}};
        opened.run("PRAGMA user_version = 999");
    }
    refuses(newer, "newer");
}

// A large entry is written before its transaction ends, a smaller one when it is committed.
BOOST_DATA_TEST_CASE(a_batch_that_cannot_be_written_fails_as_a_whole,
                     boost::unit_test::data::make({1'000'000, 20'000'000}), size)
{
    const temporary_directory directory;
    const auto file = directory.file("services.db");
    std::string failure;
    std::string outcomes;
    {
        services::ledger books{file};
        const auto big = [size](services::books& in) {
            return make_entry(in, std::string(static_cast<std::size_t>(size), 'k'));
        };
        const auto small = [](services::books& in) {
            return make_entry(in, "small");
        };
        {
            const file_size_limit limit{500'000};
            failure = failure_of(books, big);
        }
        BOOST_TEST(perform(books, {small}) == "o");
        {
            const file_size_limit limit{500'000};
            outcomes = perform(books, {small, big, small});
        }
        BOOST_TEST(outcomes == "xxx");
        BOOST_TEST(perform(books, {small}) == "o");
    }
    BOOST_TEST(failure.find(file) != std::string::npos, failure);
    BOOST_TEST(failure.find("savepoint") == std::string::npos, failure); // the cause, not a sequel
    called_services after{file};
    BOOST_TEST(after.payment.kinds() == "charge charge");
}

BOOST_AUTO_TEST_SUITE_END()
