#include "limits/coroutines.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <mutex>

namespace pawl_bench {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

namespace {

struct shared_load {
    std::atomic<std::uint64_t> transitions{0};
    std::atomic<bool> measuring{false};
    std::atomic<bool> ending{false};
    std::atomic<std::size_t> left{0};
    std::mutex mutex{};
    histogram latency{};
};

asio::awaitable<void> step(shared_load& all)
{
    all.transitions.fetch_add(1, std::memory_order_relaxed);
    co_return;
}

asio::awaitable<void> five_steps_in_place(shared_load& all)
{
    for (int i = 0; i < 5; ++i)
        co_await step(all);
}

asio::awaitable<void> one_after_another(asio::any_io_executor executor, shared_load& all)
{
    while (!all.ending) {
        const auto begin = steady::now();
        co_await asio::post(executor, asio::use_awaitable);
        all.transitions.fetch_add(1, std::memory_order_relaxed);
        const asio::any_io_executor strand = asio::make_strand(executor);
        co_await asio::co_spawn(strand, five_steps_in_place(all), asio::use_awaitable);
        if (!all.measuring)
            continue;
        const std::lock_guard lock{all.mutex};
        all.latency.record(steady::now() - begin);
    }
}

asio::awaitable<void> measure(asio::any_io_executor executor, load wanted, shared_load& all,
                              double& per_second)
{
    all.left = wanted.in_flight;
    for (std::size_t i = 0; i < wanted.in_flight; ++i)
        asio::co_spawn(executor, one_after_another(executor, all),
                       [&all](const std::exception_ptr&) { --all.left; });
    co_await sleep_for(wanted.warm_up);
    const auto begin = steady::now();
    const auto before = all.transitions.load();
    all.measuring = true;
    co_await sleep_for(wanted.duration);
    all.measuring = false;
    const auto made = all.transitions.load() - before;
    per_second =
        static_cast<double>(made) / std::chrono::duration<double>(steady::now() - begin).count();
    all.ending = true;
    while (all.left > 0)
        co_await sleep_for(1ms);
}

} // namespace

load_result drive_coroutines(std::size_t threads, const load& wanted)
{
    host threads_of{threads};
    shared_load all;
    load_result result;
    threads_of.run(measure(threads_of.executor(), wanted, all, result.transitions_per_second));
    result.latency = all.latency;
    return result;
}

} // namespace pawl_bench
