#include "rig.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <mutex>

namespace pawl_bench {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

rig::rig(std::shared_ptr<pawl::record_store> store, rig_options how)
    : rig([&store](const asio::any_io_executor&) { return std::move(store); }, std::move(how))
{
}

rig::rig(const store_opener& open, rig_options how) : host_(how.threads)
{
    engine_.emplace(host_.executor(), pawl::engine_options{.store = open(host_.executor()),
                                                           .max_active_runs = how.max_active_runs,
                                                           .observer = std::move(how.observer),
                                                           .log = {}});
    client_.emplace(engine_->add(five_steps(watching_, std::move(how.retention), how.limited)));
    host_.run(engine_->async_start(asio::use_awaitable));
}

rig::~rig()
{
    host_.run(engine_->async_stop(0s, asio::use_awaitable));
    client_.reset();
    engine_.reset();
    host_.finish();
}

namespace {

/// What the loops of one measurement share.
struct loops {
    observer& watching;
    std::atomic<bool> measuring{false};
    std::atomic<bool> ending{false};
    std::atomic<std::size_t> left{0};
    std::mutex mutex{};
    histogram latency{};
    std::exception_ptr failure{};

    void record(steady::duration span)
    {
        if (!measuring)
            return;
        const std::lock_guard lock{mutex};
        latency.record(span);
    }

    void ended(const std::exception_ptr& thrown)
    {
        if (thrown) {
            const std::lock_guard lock{mutex};
            failure = thrown;
        }
        --left;
    }

    asio::awaitable<void> wait_for_all()
    {
        while (left > 0)
            co_await sleep_for(1ms);
        if (failure)
            std::rethrow_exception(failure);
    }
};

asio::awaitable<void> one_after_another(parcels client, loops& all)
{
    while (!all.ending) {
        const auto begin = steady::now();
        const auto run = co_await client.async_trigger(next_foreign_id(), parcel{});
        all.watching.transitions.fetch_add(1, std::memory_order_relaxed);
        co_await client.async_await_finished(run);
        all.record(steady::now() - begin);
    }
}

asio::awaitable<void> measure(rig& engine, load wanted, loops& all, double& per_second)
{
    all.left = wanted.in_flight;
    for (std::size_t i = 0; i < wanted.in_flight; ++i)
        asio::co_spawn(engine.host().context(), one_after_another(engine.client(), all),
                       [&all](const std::exception_ptr& thrown) { all.ended(thrown); });
    co_await sleep_for(wanted.warm_up);
    const auto begin = steady::now();
    const auto before = all.watching.transitions.load();
    all.measuring = true;
    co_await sleep_for(wanted.duration);
    all.measuring = false;
    const auto made = all.watching.transitions.load() - before;
    per_second =
        static_cast<double>(made) / std::chrono::duration<double>(steady::now() - begin).count();
    all.ending = true;
    co_await all.wait_for_all();
}

asio::awaitable<void> run_share(parcels client, std::size_t runs, loops& all)
{
    for (std::size_t i = 0; i < runs && !all.failure; ++i) {
        const auto run = co_await client.async_trigger(next_foreign_id(), parcel{});
        co_await client.async_await_finished(run);
    }
}

asio::awaitable<void> trigger_waiting(parcels client, std::size_t runs, loops& all)
{
    for (std::size_t i = 0; i < runs && !all.failure; ++i)
        co_await client.async_trigger(next_foreign_id(), parcel{}, {.start = stage::waiting});
}

/// Divides the runs among loops that each make their share of them.
asio::awaitable<void> divide(rig& engine, std::size_t runs, std::size_t at_a_time, loops& all,
                             asio::awaitable<void> (*make)(parcels, std::size_t, loops&))
{
    all.left = at_a_time;
    for (std::size_t i = 0; i < at_a_time; ++i) {
        const auto share = runs / at_a_time + (i < runs % at_a_time ? 1 : 0);
        asio::co_spawn(engine.host().context(), make(engine.client(), share, all),
                       [&all](const std::exception_ptr& thrown) { all.ended(thrown); });
    }
    co_await all.wait_for_all();
}

} // namespace

load_result drive(rig& engine, const load& wanted)
{
    loops all{engine.watching()};
    load_result result;
    engine.run(measure(engine, wanted, all, result.transitions_per_second));
    result.latency = all.latency;
    return result;
}

double drive_runs(rig& engine, std::size_t runs, std::size_t in_flight)
{
    loops all{engine.watching()};
    const auto begin = steady::now();
    engine.run(divide(engine, runs, in_flight, all, run_share));
    return static_cast<double>(runs * transitions_per_run) /
           std::chrono::duration<double>(steady::now() - begin).count();
}

void make_waiting(rig& engine, std::size_t runs, std::size_t at_a_time)
{
    loops all{engine.watching()};
    engine.run(divide(engine, runs, at_a_time, all, trigger_waiting));
}

} // namespace pawl_bench
