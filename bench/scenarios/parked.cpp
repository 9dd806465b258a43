// Runs that wait: what they cost while nothing happens, and how late their deadlines are.
#include "child_process.hpp"
#include "rig.hpp"
#include "scenario.hpp"
#include "stores.hpp"

#include "pawl/sqlite.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fmt/format.h>

#include <ctime>
#include <fstream>
#include <mutex>
#include <stdexcept>
#include <vector>

#include <unistd.h>

namespace pawl_bench {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

/// Deadlines that are made to pass, evenly over `--duration`.
constexpr std::size_t deadlines = 1'000;

double resident_mib()
{
    std::ifstream statm{"/proc/self/statm"};
    long pages = 0;
    statm >> pages >> pages;
    return static_cast<double>(pages * ::sysconf(_SC_PAGESIZE)) / (1024 * 1024);
}

double cpu_seconds()
{
    return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

/// From the triggers to the first deadline.
constexpr auto head_start = 2s;

/// All at once, so that they share a few commits: one after the other, a slow disk would store runs
/// whose deadlines have passed, and that would be taken for lateness.
asio::awaitable<void> trigger_due(parcels client, std::size_t count, pawl::duration span)
{
    const auto first =
        std::chrono::time_point_cast<pawl::duration>(std::chrono::system_clock::now() + head_start);
    std::vector<pawl::run_id> runs;
    std::size_t answered = 0;
    for (std::size_t i = 0; i < count; ++i) {
        parcel dated;
        dated.due = first + span * static_cast<std::int64_t>(i) / static_cast<std::int64_t>(count);
        client.async_trigger(next_foreign_id(), dated, {.start = stage::waiting},
                             [&](pawl::error_code failure, pawl::run_id run) {
                                 ++answered;
                                 if (!failure)
                                     runs.push_back(run);
                             });
    }
    while (answered < count)
        co_await sleep_for(1ms);
    if (runs.size() < count)
        throw std::runtime_error("parked: runs with deadlines could not be triggered");
    if (std::chrono::system_clock::now() >= first)
        throw std::runtime_error("parked: the disk is too slow to measure how late deadlines are: "
                                 "storing the runs took longer than their head start");
    for (const auto& run : runs)
        co_await client.async_await_finished(run);
}

} // namespace

/// Opens the database of --folder, stands still for a while, then lets deadlines pass.
void parked_child(const options& given)
{
    rig engine{pawl::open_sqlite(std::filesystem::path{given.folder} / "runs.db")};
    std::mutex mutex;
    histogram late;
    engine.watching().late = [&](pawl::duration by) {
        const std::lock_guard lock{mutex};
        late.record(by);
    };
    engine.run(sleep_for(given.duration / 4)); // whatever a start has to do
    const auto before = cpu_seconds();
    engine.run(sleep_for(given.duration));
    const auto idle =
        (cpu_seconds() - before) / std::chrono::duration<double>(given.duration).count() * 100;
    const auto resident = resident_mib();
    if (given.size > 0)
        engine.run(trigger_due(engine.client(), std::min<std::size_t>(deadlines, given.size),
                               given.duration));
    const auto in_ms = [](histogram::duration span) {
        return std::chrono::duration<double, std::milli>(span).count();
    };
    fmt::print("idle {}\nresident {}\nresident_after {}\np50 {}\np99 {}\n", idle, resident,
               resident_mib(), in_ms(late.percentile(50)), in_ms(late.percentile(99)));
}

void parked(const options& given, report& out)
{
    if (!is_wanted(given, "sqlite"))
        return;
    const auto runs = given.sized(1'000'000, 100'000, 200);
    auto longer = given;
    longer.duration = std::max(given.duration * 2, given.smoke ? pawl::duration{} : 4s);
    const scratch_folder empty{given};
    const scratch_folder full{given};
    {
        rig engine{pawl::open_sqlite(full.database())};
        make_waiting(engine, runs, std::min<std::size_t>(runs, 1'000));
    }
    auto nobody = start_part("parked", empty.path(), 0, longer);
    auto without = values_of(nobody);
    auto everybody = start_part("parked", full.path(), runs, longer);
    auto with = values_of(everybody);

    const auto name = fmt::format("{} waiting runs", runs);
    const auto add = [&](const std::string& what, const std::string& unit, double value,
                         std::vector<target> targets) {
        figure each{"parked", what, unit, {value}};
        each.targets = std::move(targets);
        out.add(std::move(each));
    };
    add(name + ", memory over an empty engine", "MiB", with["resident"] - without["resident"],
        {at_most(64)});
    add(name + ", after deadlines have passed", "MiB",
        with["resident_after"] - without["resident_after"], {});
    add(name + ", processor while idle", "%", with["idle"], {at_most(1)});
    add("a deadline's handler is late by, p50", "ms", with["p50"], {});
    add("a deadline's handler is late by, p99", "ms", with["p99"], {at_most(50)});
}

} // namespace pawl_bench
