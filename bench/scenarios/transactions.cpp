// Steps that write a row of the program's own in the transaction of their effect, beside steps that
// record an effect and write nothing.
#include "host.hpp"
#include "parcels.hpp"
#include "scenario.hpp"
#include "stores.hpp"

#if PAWL_BENCH_POSTGRES
#include "cluster.hpp"

#include "pawl/postgres.hpp"
#endif
#include "pawl/engine.hpp"
#include "pawl/sqlite.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fmt/format.h>

#include <sqlite3.h>

#include <functional>
#include <stdexcept>
#include <utility>

namespace pawl_bench {

namespace asio = boost::asio;
using steady = std::chrono::steady_clock;

namespace {

enum class booking { wanted = 1, booked };
using booking_step = pawl::step<booking::booked>;
using booking_function = booking_step (*)(pawl::run<parcel>&);
using booking_client = pawl::client<parcel, booking>;

booking_step record_effect(pawl::run<parcel>& run)
{
    run.object().steps = co_await run.once("book", [] { return 1; });
    co_return pawl::to<booking::booked>;
}

void execute(sqlite3* database, const char* sql)
{
    if (sqlite3_exec(database, sql, nullptr, nullptr, nullptr) != SQLITE_OK)
        throw std::runtime_error(sqlite3_errmsg(database));
}

booking_step book_in_sqlite(pawl::run<parcel>& run)
{
    run.object().steps = co_await pawl::sqlite_transaction(run, "book", [](sqlite3* database) {
        execute(database, "INSERT INTO entries (amount) VALUES (7)");
        return 1;
    });
    co_return pawl::to<booking::booked>;
}

/// Runs of one booking each, one after the other.
asio::awaitable<void> book_for_a_time(booking_client client, steady::time_point end, int& done)
{
    while (steady::now() < end) {
        const auto run = co_await client.async_trigger(next_foreign_id(), parcel{});
        co_await client.async_await_finished(run);
        ++done;
    }
}

asio::awaitable<void> measure_rate(pawl::engine& engine, booking_client client,
                                   std::size_t in_flight, pawl::duration span, double& rate)
{
    co_await engine.async_start();
    const auto begin = steady::now();
    int done = 0;
    std::size_t left = in_flight;
    asio::steady_timer all{co_await asio::this_coro::executor, steady::time_point::max()};
    for (std::size_t i = 0; i < in_flight; ++i)
        asio::co_spawn(co_await asio::this_coro::executor,
                       book_for_a_time(client, begin + span, done),
                       [&](const std::exception_ptr& failure) {
                           if (--left == 0)
                               all.cancel();
                           if (failure)
                               std::rethrow_exception(failure);
                       });
    pawl::error_code ignored;
    co_await all.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    rate = done / std::chrono::duration<double>(steady::now() - begin).count();
    co_await engine.async_stop();
}

double runs_per_second(const options& given, const store_opener& open, booking_function step,
                       std::size_t in_flight)
{
    host threads{1};
    double rate = 0;
    {
        pawl::builder<parcel, booking> b{"bookings"};
        b.step<booking::wanted>(step);
        b.end<booking::booked>();
        pawl::engine engine{threads.executor(), {.store = open(threads.executor()), .log = {}}};
        auto client = engine.add(std::move(b).build());
        threads.run(measure_rate(engine, client, in_flight, given.duration, rate));
    }
    threads.finish();
    return rate;
}

void compare(const options& given, report& out, std::string_view store,
             const std::function<double(booking_function, std::size_t)>& rate,
             booking_function transactional)
{
    for (const std::size_t in_flight : {std::size_t{1}, given.flying(64)}) {
        figure each{"transactions", fmt::format("{}, {} in flight", store, in_flight), "runs/s"};
        each.limit = "a step with once()";
        for (int i = 0; i < given.repeats; ++i) {
            each.samples.push_back(rate(transactional, in_flight));
            each.limit_samples.push_back(rate(record_effect, in_flight));
        }
        out.add(std::move(each));
    }
}

void compare_sqlite(const options& given, report& out)
{
    const auto rate = [&](booking_function step, std::size_t in_flight) {
        const scratch_folder folder{given};
        const auto open = [&](const asio::any_io_executor&) {
            return pawl::open_sqlite(folder.database().string(), {.prepare = [](sqlite3* database) {
                                         execute(database, "CREATE TABLE entries (amount INTEGER)");
                                     }});
        };
        return runs_per_second(given, open, step, in_flight);
    };
    compare(given, out, "sqlite", rate, book_in_sqlite);
}

#if PAWL_BENCH_POSTGRES

booking_step book_in_postgres(pawl::run<parcel>& run)
{
    run.object().steps = co_await pawl::postgres_transaction(
        run, "book", [](pawl::postgres_session& session) -> asio::awaitable<int> {
            co_await session.execute("INSERT INTO entries (amount) VALUES ($1)", {7});
            co_return 1;
        });
    co_return pawl::to<booking::booked>;
}

void compare_postgres(const options& given, report& out)
{
    const auto rate = [&](booking_function step, std::size_t in_flight) {
        const scratch_folder folder{given};
        const auto& database = folder.postgres();
        database.ask("DROP TABLE IF EXISTS entries; CREATE TABLE entries (amount integer)");
        const auto open = [&](const asio::any_io_executor& executor) {
            return pawl::open_postgres(executor, database.uri());
        };
        const auto measured = runs_per_second(given, open, step, in_flight);
        database.end_sessions();
        return measured;
    };
    compare(given, out, "postgres", rate, book_in_postgres);
}

#endif

} // namespace

void transactions(const options& given, report& out)
{
    if (is_wanted(given, "sqlite"))
        compare_sqlite(given, out);
#if PAWL_BENCH_POSTGRES
    if (is_wanted(given, "postgres") && why_no_postgres().empty())
        compare_postgres(given, out);
#endif
}

} // namespace pawl_bench
