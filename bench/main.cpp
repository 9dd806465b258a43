// The first figures: what a step costs, one run at a time and many in flight, and what waiting
// costs.
#include "pawl/builder.hpp"
#include "pawl/engine.hpp"
#include "pawl/memory.hpp"
#include "pawl/sqlite.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_future.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

enum class stage { one = 1, two, three, four, five, done, waiting };
BOOST_DESCRIBE_ENUM(stage, one, two, three, four, five, done, waiting)

struct parcel {
    std::string text = std::string(380, 'x');
    int steps = 0;
};
BOOST_DESCRIBE_STRUCT(parcel, (), (text, steps))

using parcels = pawl::client<parcel, stage>;

template <stage To>
pawl::step<To> pass(pawl::run<parcel>& run)
{
    if (run.object().steps < 0)
        throw std::runtime_error("poison");
    ++run.object().steps;
    co_return pawl::to<To>;
}

pawl::workflow<parcel, stage> five_steps()
{
    pawl::builder<parcel, stage> b{"parcels"};
    b.step<stage::one>(pass<stage::two>);
    b.step<stage::two>(pass<stage::three>);
    b.step<stage::three>(pass<stage::four>);
    b.step<stage::four>(pass<stage::five>);
    b.step<stage::five>(pass<stage::done>);
    b.timeout<stage::waiting>(24h, pass<stage::done>);
    b.defaults({.retry = pawl::retry_policy{.initial = 1ms, .multiplier = 1, .max_attempts = 0}});
    b.start<stage::one, stage::waiting>();
    b.end<stage::done>();
    return std::move(b).build();
}

double microseconds(steady::duration span)
{
    return std::chrono::duration<double, std::micro>(span).count();
}

asio::awaitable<void> one_at_a_time(parcels client, int runs, std::vector<double>& each)
{
    for (int i = 0; i < runs; ++i) {
        const auto begin = steady::now();
        const auto run = co_await client.async_trigger(std::to_string(i), parcel{});
        co_await client.async_await_finished(run);
        each.push_back(microseconds(steady::now() - begin));
    }
}

asio::awaitable<void> loop(parcels client, int worker, int runs, std::vector<double>* each)
{
    for (int i = 0; i < runs; ++i) {
        const auto begin = steady::now();
        const auto run = co_await client.async_trigger(fmt::format("{}/{}", worker, i), parcel{});
        co_await client.async_await_finished(run);
        if (each)
            each->push_back(microseconds(steady::now() - begin));
    }
}

/// Runs `in_flight` loops beside each other, to their end.
void run_loops(asio::io_context& io, parcels client, int in_flight, int rounds,
               std::vector<double>* each)
{
    int left = in_flight;
    for (int i = 0; i < in_flight; ++i)
        asio::co_spawn(io, loop(client, i, rounds, each), [&](std::exception_ptr failure) {
            if (failure)
                std::rethrow_exception(failure);
            --left;
        });
    while (left > 0)
        io.run_one();
}

/// Starts an engine, lets `work` use it, and stops it.
template <class Work>
void with_engine(std::shared_ptr<pawl::record_store> store, Work work)
{
    asio::io_context io;
    pawl::engine engine{io.get_executor(), {.store = std::move(store), .log = {}}};
    auto client = engine.add(five_steps());
    const auto wait = [&](auto operation) {
        auto done = asio::co_spawn(io, std::move(operation), asio::use_future);
        io.restart();
        while (done.wait_for(0s) != std::future_status::ready)
            io.run_one();
        done.get();
    };
    wait(engine.async_start(asio::use_awaitable));
    work(io, client, wait);
    wait(engine.async_stop(10s, asio::use_awaitable));
}

void measure(const std::string& name,
             const std::function<std::shared_ptr<pawl::record_store>()>& open, int alone,
             int in_flight, int rounds)
{
    with_engine(open(), [&](auto&, parcels client, auto wait) {
        std::vector<double> each;
        wait(one_at_a_time(client, alone, each));
        std::ranges::sort(each);
        fmt::print("{:<34} one five-step run at a time: p50 {:8.1f} us, p99 {:8.1f} us\n", name,
                   each[each.size() / 2], each[each.size() * 99 / 100]);
    });
    with_engine(open(), [&](asio::io_context& io, parcels client, auto) {
        const auto begin = steady::now();
        run_loops(io, client, in_flight, rounds, nullptr);
        const double seconds = std::chrono::duration<double>(steady::now() - begin).count();
        fmt::print("{:<34} {:6} runs in flight: {:9.0f} transitions/s\n", name, in_flight,
                   6.0 * in_flight * rounds / seconds);
    });
}

/// p99 of 1,000 loops' runs, with so many runs beside them whose step fails every time.
double p99_beside(int poison)
{
    std::vector<double> each;
    with_engine(pawl::open_memory(), [&](asio::io_context& io, parcels client, auto wait) {
        for (int i = 0; i < poison; ++i)
            wait(client.async_trigger(fmt::format("poison {}", i), parcel{.steps = -1}, {},
                                      asio::use_awaitable));
        run_loops(io, client, 1'000, 50, &each);
        for (int i = 0; i < poison; ++i)
            wait(client.async_cancel(fmt::format("poison {}", i), "enough", asio::use_awaitable));
    });
    std::ranges::sort(each);
    return each[each.size() * 99 / 100];
}

void poison()
{
    p99_beside(0);
    std::vector<double> ratios;
    for (int i = 0; i < 5; ++i) {
        const double alone = p99_beside(0);
        ratios.push_back(p99_beside(1) / alone);
    }
    std::ranges::sort(ratios);
    fmt::print("{:<34} p99 of 1,000 others beside one run that always fails: {:.2f} of theirs "
               "alone (median of 5)\n",
               "memory, poison", ratios[2]);
}

asio::awaitable<void> park(parcels client, int runs)
{
    for (int i = 0; i < runs; ++i)
        co_await client.async_trigger(std::to_string(i), parcel{}, {.start = stage::waiting});
}

void idle(int runs)
{
    with_engine(pawl::open_memory(), [&](asio::io_context& io, parcels client, auto wait) {
        wait(park(client, runs));
        const auto before = std::clock();
        io.restart();
        io.run_for(5s);
        const double busy = static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC;
        fmt::print("{:<34} {:6} waiting runs: {:.3f} % of a core over 5 s\n", "memory, idle", runs,
                   busy / 5 * 100);
    });
}

} // namespace

int main()
{
    const auto folder =
        std::filesystem::temp_directory_path() / fmt::format("pawl_bench_{}", std::time(nullptr));
    std::filesystem::create_directory(folder);
    int files = 0;
    measure("memory", [] { return pawl::open_memory(); }, 20'000, 10'000, 10);
    measure(
        "SQLite, synchronous=FULL",
        [&] { return pawl::open_sqlite(folder / fmt::format("{}.db", ++files)); }, 500, 1'000, 50);
    poison();
    idle(10'000);
    std::filesystem::remove_all(folder);
}
