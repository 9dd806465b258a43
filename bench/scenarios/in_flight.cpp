// Many runs at a time, beside the limits of their stores.
#include "limits/coroutines.hpp"
#include "limits/group_commit.hpp"
#include "rig.hpp"
#include "scenario.hpp"
#include "stores.hpp"

#include "pawl/memory.hpp"
#include "pawl/sqlite.hpp"

#include <fmt/format.h>

#include <array>

namespace pawl_bench {

namespace {

load load_of(const options& given, std::size_t in_flight)
{
    return {given.flying(in_flight), given.warm_up, given.duration};
}

rig_options room_for(std::size_t threads, const load& wanted)
{
    rig_options how;
    how.threads = threads;
    how.max_active_runs = std::max(how.max_active_runs, wanted.in_flight);
    return how;
}

load_result drive_memory(std::size_t threads, const load& wanted)
{
    rig engine{pawl::open_memory(), room_for(threads, wanted)};
    return drive(engine, wanted);
}

load_result drive_sqlite(const options& given, std::size_t threads, const load& wanted)
{
    const scratch_folder folder{given};
    rig engine{pawl::open_sqlite(folder.database()), room_for(threads, wanted)};
    return drive(engine, wanted);
}

load_result drive_raw_sqlite(const options& given, const load& wanted)
{
    const scratch_folder folder{given};
    pawl::open_sqlite(folder.database());
    raw_sqlite raw{folder.database()};
    return raw.drive(wanted);
}

} // namespace

void memory_in_flight(const options& given, report& out)
{
    const auto wanted = load_of(given, 10'000);
    figure one{"memory", fmt::format("{} in flight, 1 thread", wanted.in_flight), "transitions/s"};
    one.limit = "bare coroutines";
    one.targets = {at_least(300'000)};
    figure two{"memory", fmt::format("{} in flight, 2 threads", wanted.in_flight), "transitions/s"};
    two.limit = "bare coroutines, 2 threads";
    figure gain{"memory", "2 threads over 1", "times"};
    gain.targets = {at_least(1.4)};
    for (int i = 0; i < given.repeats; ++i) {
        if (given.threads != 2)
            one.samples.push_back(drive_memory(1, wanted).transitions_per_second);
        if (given.threads != 1)
            two.samples.push_back(drive_memory(2, wanted).transitions_per_second);
        if (given.threads == 0)
            gain.samples.push_back(two.samples.back() / one.samples.back());
        if (!given.no_limits && given.threads != 2)
            one.limit_samples.push_back(drive_coroutines(1, wanted).transitions_per_second);
        if (!given.no_limits && given.threads != 1)
            two.limit_samples.push_back(drive_coroutines(2, wanted).transitions_per_second);
    }
    for (auto* each : {&one, &two, &gain})
        if (!each->samples.empty())
            out.add(std::move(*each));
}

void sqlite_in_flight(const options& given, report& out)
{
    for (const std::size_t in_flight : {1'000, 10'000}) {
        const auto wanted = load_of(given, in_flight);
        figure each{"sqlite", fmt::format("{} in flight", wanted.in_flight), "transitions/s"};
        each.limit = "raw group commit";
        each.targets = {at_least(60'000), ratio_at_least(0.7)};
        for (int i = 0; i < given.repeats; ++i) {
            const auto threads = options::pick(given.threads, 1);
            each.samples.push_back(drive_sqlite(given, threads, wanted).transitions_per_second);
            if (!given.no_limits)
                each.limit_samples.push_back(
                    drive_raw_sqlite(given, wanted).transitions_per_second);
        }
        if (each.limit_samples.empty())
            each.targets.pop_back();
        out.add(std::move(each));
        if (given.in_flight != 0 || given.smoke)
            break;
    }
}

void sweep(const options& given, report& out)
{
    std::array<curve, 4> curves{{{"bare coroutines, nothing stored", {}},
                                 {"Pawl, memory", {}},
                                 {"raw group commit on SQLite, synchronous=FULL", {}},
                                 {"Pawl, SQLite, synchronous=FULL", {}}}};
    for (const std::size_t in_flight : {1, 10, 100, 1'000, 10'000}) {
        const load wanted{in_flight, given.warm_up, given.duration / 2};
        const std::array<double, 4> rates{drive_coroutines(1, wanted).transitions_per_second,
                                          drive_memory(1, wanted).transitions_per_second,
                                          drive_raw_sqlite(given, wanted).transitions_per_second,
                                          drive_sqlite(given, 1, wanted).transitions_per_second};
        for (std::size_t i = 0; i < rates.size(); ++i)
            curves[i].points.emplace_back(static_cast<double>(in_flight), rates[i]);
        for (const auto& [of, limit] : {std::pair{1, 0}, std::pair{3, 2}}) {
            const auto& name = curves[static_cast<std::size_t>(of)].name;
            figure each{"sweep", fmt::format("{}, {} in flight", name, in_flight), "transitions/s"};
            each.samples = {rates[static_cast<std::size_t>(of)]};
            each.limit = limit == 0 ? "bare coroutines" : "raw group commit";
            each.limit_samples = {rates[static_cast<std::size_t>(limit)]};
            out.add(std::move(each));
        }
        if (given.smoke)
            break;
    }
    for (auto& each : curves)
        out.add(std::move(each));
}

} // namespace pawl_bench
