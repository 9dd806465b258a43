// Events go through NATS into the runs of an engine, and the ends of the runs out through NATS. The
// server and the process of the engine are killed meanwhile. Each event must start one run, and the
// end of each run must come out under one id.
//
// PAWL_NATS_EVENTS sets the number of events, PAWL_NATS_SEED the moments of the kills.
#include "nats/support.hpp"
#include "pawl/builder.hpp"
#include "pawl/engine.hpp"
#include "pawl/error.hpp"
#include "pawl/sqlite.hpp"
#include "temporary_folder.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/test/unit_test.hpp>

#include <cstdlib>
#include <iostream>
#include <map>
#include <random>
#include <set>

BOOST_AUTO_TEST_SUITE(nats_chaos)

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using asio::awaitable;

struct order {
    int number = 0;
};
BOOST_DESCRIBE_STRUCT(order, (), (number))

enum class stage { placed = 1, paid, shipped };

pawl::step<stage::paid> pay(pawl::run<order>&)
{
    co_return pawl::to<stage::paid>;
}

pawl::step<stage::shipped> ship(pawl::run<order>&)
{
    co_return pawl::to<stage::shipped>;
}

pawl::workflow<order, stage> orders()
{
    pawl::builder<order, stage> b{"orders"};
    b.step<stage::placed>(pay);
    b.step<stage::paid>(ship);
    b.end<stage::shipped>();
    return std::move(b).build();
}

awaitable<void> start_order(pawl::event_context<order, stage>& in, order placed)
{
    co_await in.trigger(std::to_string(placed.number), placed);
}

std::string variable(const char* name, const char* otherwise)
{
    const char* value = std::getenv(name);
    return value ? value : otherwise;
}

/// A kill loses nothing that the operating system has.
std::shared_ptr<pawl::record_store> open(const std::string& file)
{
    return pawl::open_sqlite(file, {.synchronous = pawl::sqlite_synchronous::normal});
}

awaitable<void> start(pawl::engine& engine)
{
    co_await engine.async_start(asio::use_awaitable);
    std::cout << "started" << std::endl;
}

/// The process of an engine, which is this program with another test.
std::unique_ptr<process> start_worker(const nats_server& server, const std::string& file)
{
    return std::make_unique<process>(
        std::vector<std::string>{"/proc/self/exe", "--run_test=nats_chaos/worker"},
        std::vector<std::string>{"PAWL_NATS_URL=" + server.url(), "PAWL_NATS_FILE=" + file});
}

/// Repeats what fails while the server starts. The id makes a repetition harmless.
void publish(nats_test::administrator& admin, int number)
{
    const auto id = "order-" + std::to_string(number);
    for (bool sends = true; sends;) {
        sends = false;
        try {
            admin.publish("in." + id, R"({"number":)" + std::to_string(number) + "}",
                          {{"Nats-Msg-Id", id}});
        } catch (const std::runtime_error&) {
            sends = true;
        }
    }
}

/// The ids under which the end of each run came out.
using outcomes = std::map<std::string, std::set<std::string>>;

awaitable<void> read_outcomes(std::shared_ptr<pawl::event_source> source, std::size_t count,
                              outcomes& found, std::function<void(std::size_t)> on_count)
{
    std::unique_ptr<pawl::event_receiver> receiver;
    while (found.size() < count) {
        std::vector<pawl::stream_event> events;
        try {
            if (!receiver)
                receiver = co_await source->open("reader");
            events = co_await receiver->receive(50);
            co_await receiver->ack(events.back().position);
        } catch (const pawl::system_error&) { // as a connector does
            receiver.reset();
        }
        for (const auto& event : events)
            found[event.key].insert(event.id);
        on_count(found.size());
    }
}

/// The number of runs of each foreign id.
awaitable<void> count_runs(std::shared_ptr<pawl::record_store> store,
                           std::map<std::string, int>& counts)
{
    pawl::record_query query;
    query.workflow = "orders";
    query.limit = 1'000;
    for (bool more = true; more;) {
        const auto page = co_await store->list(query);
        for (const auto& run : page.runs)
            counts[run.foreign_id] += run.state == pawl::run_state::completed ? 1 : 1'000;
        query.after = page.next;
        more = static_cast<bool>(page.next);
    }
}

void run(asio::io_context& io, awaitable<void> work)
{
    std::exception_ptr thrown;
    asio::co_spawn(io, std::move(work), [&](std::exception_ptr failure) { thrown = failure; });
    io.restart();
    io.run();
    if (thrown)
        std::rethrow_exception(thrown);
}

} // namespace

/// Runs until it is killed.
BOOST_AUTO_TEST_CASE(worker, *boost::unit_test::disabled())
{
    asio::io_context io;
    const auto client =
        pawl::open_nats({.servers = {variable("PAWL_NATS_URL", "")}, .reconnect_wait = 50ms});
    const auto flow = orders();
    pawl::engine engine{io.get_executor(), {.store = open(variable("PAWL_NATS_FILE", ""))}};
    engine.add(flow);
    engine.connect("in", pawl::from_nats(client, {.stream = "in", .ack_wait = 1s}), flow,
                   start_order);
    engine.connect(
        "out", engine.events("orders", {.kinds = {pawl::event_kind::completed}}), flow,
        pawl::forward_to(pawl::to_nats(client, {.subject = "out", .publish_timeout = 1s})));
    run(io, start(engine));
    io.restart();
    io.run();
}

BOOST_AUTO_TEST_CASE(each_event_starts_one_run_and_each_run_comes_out)
{
    const auto count = std::stoul(variable("PAWL_NATS_EVENTS", "1000"));
    const auto seed = std::stoul(variable("PAWL_NATS_SEED", "1"));
    BOOST_TEST_MESSAGE(count << " events, PAWL_NATS_SEED=" << seed);
    std::mt19937 random{static_cast<std::mt19937::result_type>(seed)};
    constexpr int kills = 12; // half while events are published, half while they come out
    nats_server server;
    temporary_folder folder;
    const auto file = folder.file("orders.db");
    auto worker = start_worker(server, file);
    const auto kill_something = [&] {
        if (random() % 2 == 0) {
            server.restart();
            return;
        }
        worker.reset(); // before the next one opens the database
        worker = start_worker(server, file);
    };
    nats_test::administrator admin{server};
    admin.add_stream("in");
    admin.add_stream("out");
    for (std::size_t number = 1; number <= count; ++number) {
        publish(admin, static_cast<int>(number));
        if (random() % (count * 2 / kills) == 0)
            kill_something();
    }

    asio::io_context io;
    const auto client = pawl::open_nats({.servers = {server.url()}, .reconnect_wait = 50ms});
    outcomes found;
    std::size_t next_kill = 0;
    run(io, read_outcomes(pawl::from_nats(client, {.stream = "out", .ack_wait = 1s}), count, found,
                          [&](std::size_t received) {
                              if (received < next_kill || received == count)
                                  return;
                              next_kill = received + count * 2 / kills;
                              kill_something();
                          }));
    worker.reset();

    std::map<std::string, int> runs;
    run(io, count_runs(open(file), runs));
    BOOST_TEST(runs.size() == count);
    for (const auto& [foreign_id, number] : runs)
        BOOST_TEST(number == 1, "order " << foreign_id << " has " << number << " runs");
    BOOST_TEST(found.size() == count);
    for (const auto& [foreign_id, ids] : found)
        BOOST_TEST(ids.size() == 1u, "order " << foreign_id << " came out under several ids");
}

BOOST_AUTO_TEST_SUITE_END()
