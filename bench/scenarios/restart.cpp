// Runs in flight, kill -9, and how long it takes until all of them go on.
#include "child_process.hpp"
#include "rig.hpp"
#include "scenario.hpp"
#include "stores.hpp"

#include "pawl/sqlite.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fmt/format.h>

#include <csignal>
#include <cstdio>

namespace pawl_bench {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

namespace {

std::shared_ptr<pawl::record_store> store_of(const options& given)
{
    return pawl::open_sqlite(std::filesystem::path{given.folder} / "runs.db");
}

rig_options room_for(std::size_t runs)
{
    rig_options how;
    how.max_active_runs = runs + 1;
    return how;
}

asio::awaitable<void> trigger(parcels client, std::size_t runs, std::size_t& left)
{
    for (std::size_t i = 0; i < runs; ++i)
        co_await client.async_trigger(next_foreign_id(), parcel{});
    --left;
}

asio::awaitable<void> trigger_and_hold(rig& engine, std::size_t runs)
{
    constexpr std::size_t at_a_time = 1'000;
    std::size_t left = at_a_time;
    for (std::size_t i = 0; i < at_a_time; ++i)
        asio::co_spawn(co_await asio::this_coro::executor,
                       trigger(engine.client(), runs / at_a_time + (i < runs % at_a_time), left),
                       [](std::exception_ptr failure) {
                           if (failure)
                               std::rethrow_exception(failure);
                       });
    while (left > 0 || engine.watching().first_steps < runs)
        co_await sleep_for(1ms);
    fmt::print("held\n");
    std::fflush(stdout);
    co_await sleep_for(24h); // until it is killed
}

asio::awaitable<void> wait_for_steps(const std::atomic<std::uint64_t>& steps, std::uint64_t wanted)
{
    while (steps < wanted)
        co_await sleep_for(1ms);
}

double seconds_since(steady::time_point begin)
{
    return std::chrono::duration<double>(steady::now() - begin).count();
}

} // namespace

/// Brings so many runs into their first step, and holds them there.
void restart_hold_child(const options& given)
{
    rig engine{store_of(given), room_for(given.size)};
    engine.watching().hold = true;
    engine.run(trigger_and_hold(engine, given.size));
}

/// Opens the database after the kill, and lets all runs go on to their end.
void restart_resume_child(const options& given)
{
    const auto begin = steady::now();
    rig engine{store_of(given), room_for(given.size)};
    const auto started = seconds_since(begin);
    engine.run(wait_for_steps(engine.watching().first_steps, given.size));
    const auto resumed = seconds_since(begin);
    engine.run(wait_for_steps(engine.watching().transitions, 5 * given.size));
    fmt::print("started {}\nresumed {}\nfinished {}\n", started, resumed, seconds_since(begin));
}

void restart(const options& given, report& out)
{
    if (!is_wanted(given, "sqlite"))
        return;
    const auto runs = given.sized(100'000, 100'000, 100);
    figure started{"restart", fmt::format("{} runs, engine started after", runs), "s"};
    figure resumed{"restart", fmt::format("{} runs, all resumed after", runs), "s"};
    resumed.targets = {at_most(5)};
    figure finished{"restart", fmt::format("{} runs, all at their last step after", runs), "s"};
    for (int i = 0; i < (given.quick ? 1 : given.repeats); ++i) {
        const scratch_folder folder{given};
        {
            auto held = start_part("restart-hold", folder.path(), runs, given);
            if (held.read_line() != "held")
                throw std::runtime_error("the process that holds runs ended early");
            held.signal(SIGKILL);
            held.wait();
        }
        auto resuming = start_part("restart-resume", folder.path(), runs, given);
        auto values = values_of(resuming);
        started.samples.push_back(values["started"]);
        resumed.samples.push_back(values["resumed"]);
        finished.samples.push_back(values["finished"]);
    }
    out.add(std::move(started));
    out.add(std::move(resumed));
    out.add(std::move(finished));
}

} // namespace pawl_bench
