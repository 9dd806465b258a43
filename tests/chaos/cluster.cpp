// A cluster that is maltreated: three order servers share one PostgreSQL and take orders, while
// each is killed with SIGKILL or frozen past its lease, and started again, and the database itself
// is restarted as after a crash. Every order ends as it must, each effect is made once.
#include "chaos/programs.hpp"
#include "flags.hpp"
#include "invariants.hpp"
#include "order_processing/orders.hpp"
#include "pawl/http/client.hpp"
#include "pawl/postgres.hpp"
#include "postgres/server.hpp"
#include "temporary_folder.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <deque>
#include <exception>
#include <memory>
#include <random>
#include <set>
#include <thread>

namespace {

namespace asio = boost::asio;
using asio::awaitable;
using namespace order_processing;
using namespace std::chrono_literals;
using clock_type = std::chrono::steady_clock;

struct settings {
    int orders = 1'000;
    int clients = 32;
    int trouble_ms = 700; ///< between two pieces of trouble
    std::uint32_t seed = 0;
};

struct report {
    int kills = 0;
    int freezes = 0;
    int database_restarts = 0;
    std::vector<std::string> broken;
};

std::string document_of(int number)
{
    Order order = sample_order("order-" + std::to_string(number));
    if (number % 3 == 1) {
        order.customer_id = "premium_customer";
        order.items[0].price = order.total = money::from_minor(150'000);
    } else if (number % 3 == 2) {
        order.items[0].product_id = "out_of_stock";
    }
    return to_json(order_request{order.id, order.customer_id, order.items, order.total,
                                 order.payment_method, order.shipping_address});
}

void rethrow(const std::exception_ptr& failure)
{
    if (failure)
        std::rethrow_exception(failure);
}

awaitable<void> pause(std::chrono::milliseconds span)
{
    asio::steady_timer timer{co_await asio::this_coro::executor, span};
    co_await timer.async_wait(asio::use_awaitable);
}

/// One of the servers: its process, and the way to it, which changes with each life.
struct seat {
    std::unique_ptr<chaos::order_program> program;
    std::shared_ptr<pawl::http::client> client; ///< null while it is down
};

class cluster {
public:
    explicit cluster(const settings& wanted)
        : settings_(wanted), random_(wanted.seed), database_({"max_connections=60"}),
          services_(MOCK_SERVICES, folder_.file("services.db"))
    {
        for (auto& each : seats_)
            start(each);
    }

    report run()
    {
        for (int i = 0; i < settings_.clients; ++i)
            asio::co_spawn(context_, take_orders(), rethrow);
        asio::co_spawn(context_, make_trouble(), rethrow);
        context_.run();
        context_.restart();
        asio::co_spawn(context_, look_at_the_end(), rethrow);
        context_.run();
        for (auto& each : seats_) {
            each.program->process().signal(SIGTERM);
            if (const int status = each.program->end_within(60s); status != 0)
                broken(fmt::format("a server ended with {}", status));
        }
        return std::move(report_);
    }

private:
    int below(int limit) { return static_cast<int>(random_() % static_cast<unsigned>(limit)); }
    void broken(std::string what) { report_.broken.push_back(std::move(what)); }

    void start(seat& empty);
    void kill(seat& victim);
    awaitable<void> take_orders();
    awaitable<int> ask(std::string method, std::string target, std::string body);
    awaitable<void> make_trouble();
    awaitable<void> freeze(std::size_t which);
    awaitable<void> look_at_the_end();
    awaitable<void> look_at_the_database();

    const settings settings_;
    std::mt19937 random_;
    const temporary_folder folder_;
    postgres_server database_;
    chaos::services_program services_;
    asio::io_context context_{1};
    std::array<seat, 3> seats_;
    int next_order_ = 0;
    int ended_ = 0;
    report report_;
};

void cluster::start(seat& empty)
{
    empty.program = std::make_unique<chaos::order_program>(
        ORDER_SERVER, database_.uri(), services_.urls(), std::vector<std::string>{"--lease", "1s"});
    pawl::http::client_options patient;
    patient.timeout = 15s;
    empty.client = std::make_shared<pawl::http::client>(context_.get_executor(),
                                                        empty.program->url(), patient);
}

void cluster::kill(seat& victim)
{
    victim.client.reset();
    victim.program->process().signal(SIGKILL);
    victim.program->process().wait();
}

/// Asks any of the servers. 0: there was no answer.
awaitable<int> cluster::ask(std::string method, std::string target, std::string body)
{
    const auto client = seats_[static_cast<std::size_t>(below(3))].client;
    if (!client) {
        co_await pause(20ms);
        co_return 0;
    }
    pawl::http::client_request what;
    what.method = std::move(method);
    what.target = std::move(target);
    what.body = std::move(body);
    int status = 0;
    try {
        const auto answer = co_await client->request(std::move(what));
        status = answer.status;
    } catch (const pawl::http::client_error&) {
    }
    if (status == 0 || status == 503)
        co_await pause(20ms);
    co_return status;
}

/// Sends orders one after the other, each until it is known to be there, and waits for its end at
/// whatever server answers.
awaitable<void> cluster::take_orders()
{
    while (next_order_ < settings_.orders) {
        const int number = next_order_++;
        int status = 0;
        // 409: the answer to an earlier try was lost. 503: no database, or the server stops.
        while (status != 202 && status != 409) {
            status = co_await ask("POST", "/orders", document_of(number));
            if (status != 0 && status != 202 && status != 409 && status != 503)
                broken(fmt::format("order-{} was answered {}", number, status));
        }
        const auto order = "/orders/order-" + std::to_string(number);
        const auto give_up = clock_type::now() + 120s;
        while (status != 200 && clock_type::now() < give_up) {
            status = co_await ask("GET", order + "/wait?timeout_ms=2000", {});
            if (status == 404)
                broken(fmt::format("order-{} was accepted and is not there", number));
            if (status == 504) // errors that repeat too often pause it: somebody looks after it
                co_await ask("POST",
                             "/admin/api/v1/runs/order-processing:order-" + std::to_string(number) +
                                 "/resume",
                             R"({"reason": "errors have paused it"})");
        }
        if (status != 200)
            broken(fmt::format("order-{} does not end", number));
        ++ended_;
    }
}

awaitable<void> cluster::freeze(std::size_t which)
{
    auto& process = seats_[which].program->process();
    process.signal(SIGSTOP);
    // Past its lease of a second, and until another one has its orders.
    co_await pause(std::chrono::milliseconds{1'500 + below(2'000)});
    process.signal(SIGCONT);
}

awaitable<void> cluster::make_trouble()
{
    const int restart_at[] = {settings_.orders / 3, settings_.orders * 2 / 3};
    while (ended_ < settings_.orders) {
        co_await pause(std::chrono::milliseconds{settings_.trouble_ms});
        const auto which = static_cast<std::size_t>(below(3));
        if (report_.database_restarts < 2 && ended_ >= restart_at[report_.database_restarts]) {
            ++report_.database_restarts;
            database_.restart_at_once();
        } else if (below(3) == 0) {
            ++report_.freezes;
            co_await freeze(which);
        } else {
            ++report_.kills;
            kill(seats_[which]);
            co_await pause(std::chrono::milliseconds{below(1'000)});
            start(seats_[which]);
        }
    }
}

awaitable<void> cluster::look_at_the_end()
{
    const auto executor = co_await asio::this_coro::executor;
    const auto orders = co_await read_orders(executor, seats_[0].program->url());
    const auto ledgers = co_await read_ledgers(executor, services_.urls());
    for (auto& sentence : broken_invariants(orders, ledgers))
        broken(std::move(sentence));
    if (orders.size() != static_cast<std::size_t>(settings_.orders))
        broken(fmt::format("{} orders were accepted, and {} are there", settings_.orders,
                           orders.size()));
    co_await look_at_the_database();
}

/// Each run has ended, its history is its versions without a gap, and each log its sequences.
awaitable<void> cluster::look_at_the_database()
{
    const auto executor = co_await asio::this_coro::executor;
    const auto store = pawl::open_postgres(executor, database_.uri());
    std::map<pawl::run_id, std::uint64_t> versions;
    for (std::uint32_t shard = 0; shard < store->shards(); ++shard) {
        std::uint64_t last = 0;
        for (bool more = true; more;) {
            const auto events = co_await store->events(shard, last, 1'000);
            more = !events.empty();
            for (const auto& what : events) {
                if (what.sequence != ++last)
                    broken(fmt::format("shard {} has no event {}", shard, last));
                if (what.version != ++versions[what.run])
                    broken(
                        fmt::format("{} has no version {}", what.foreign_id, versions[what.run]));
            }
        }
    }
    pawl::record_query query;
    query.limit = 1'000;
    do {
        const auto page = co_await store->list(query);
        for (const auto& run : page.runs) {
            if (!pawl::is_finished(run.state) || run.inbox_pending > 0)
                broken(fmt::format("{} has not ended", run.foreign_id));
            if (versions[run.id] != run.version)
                broken(fmt::format("{} has {} events and version {}", run.foreign_id,
                                   versions[run.id], run.version));
        }
        query.after = page.next;
    } while (query.after);
}

} // namespace

int main(int argc, char** argv)
{
    settings wanted;
    int seed = static_cast<int>(std::random_device{}() % 1'000'000);
    flag_set flags{"chaos_cluster: three order servers on one PostgreSQL, killed and frozen.\n"
                   "Ends with 0 if every order ended as it must.",
                   "CHAOS_"};
    flags.number("orders", wanted.orders, "Orders in all", 10, 1'000'000);
    flags.number("clients", wanted.clients, "Orders at a time", 1, 1'000);
    flags.number("trouble", wanted.trouble_ms, "Milliseconds between two pieces of trouble", 1,
                 1'000'000);
    flags.number("seed", seed, "Seed of what is random", 0, 1'000'000'000);
    try {
        if (!flags.parse(argc, argv)) {
            fmt::print("{}", flags.help());
            return 0;
        }
        wanted.seed = static_cast<std::uint32_t>(seed);
        fmt::print("seed {}: ", seed);
        std::fflush(stdout);
        const auto begun = clock_type::now();
        const auto seen = cluster{wanted}.run();
        fmt::print("{} orders in {:.1f} s; {} kills, {} freezes, {} restarts of the database; {}\n",
                   wanted.orders, std::chrono::duration<double>(clock_type::now() - begun).count(),
                   seen.kills, seen.freezes, seen.database_restarts,
                   seen.broken.empty() ? "each ended as it must" : "BROKEN:");
        for (const auto& sentence : seen.broken)
            fmt::print("  {}\n", sentence);
        return seen.broken.empty() ? 0 : 1;
    } catch (const std::exception& error) {
        fmt::print(stderr, "chaos_cluster: {}\n", error.what());
        return 2;
    }
}
