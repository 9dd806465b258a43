// Many runs at a time, beside the limits of their stores.
#include "limits/coroutines.hpp"
#include "rig.hpp"
#include "scenario.hpp"
#include "stores.hpp"

#include <fmt/format.h>

#include <vector>

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

load_result drive_on(const options& given, const backend& store, std::size_t threads,
                     const load& wanted)
{
    const scratch_folder folder{given};
    rig engine{store.opener(folder), room_for(threads, wanted)};
    return drive(engine, wanted);
}

load_result drive_limit(const options& given, const backend& store, const load& wanted)
{
    const scratch_folder folder{given};
    return store.drive_limit(folder, wanted);
}

} // namespace

void memory_in_flight(const options& given, report& out)
{
    const auto memory = backend_named("memory");
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
            one.samples.push_back(drive_on(given, memory, 1, wanted).transitions_per_second);
        if (given.threads != 1)
            two.samples.push_back(drive_on(given, memory, 2, wanted).transitions_per_second);
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
    const auto sqlite = backend_named("sqlite");
    for (const std::size_t in_flight : {1'000, 10'000}) {
        const auto wanted = load_of(given, in_flight);
        figure each{"sqlite", fmt::format("{} in flight", wanted.in_flight), "transitions/s"};
        each.limit = "raw group commit";
        each.targets = {at_least(60'000), ratio_at_least(0.7)};
        for (int i = 0; i < given.repeats; ++i) {
            const auto threads = options::pick(given.threads, 1);
            each.samples.push_back(drive_on(given, sqlite, threads, wanted).transitions_per_second);
            if (!given.no_limits)
                each.limit_samples.push_back(
                    drive_limit(given, sqlite, wanted).transitions_per_second);
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
    struct swept {
        backend store;
        curve limit;
        curve reached;
    };
    std::vector<swept> all;
    for (const auto& each : backends(given))
        all.push_back(
            {each, {std::string{each.limit_title}, {}}, {fmt::format("Pawl, {}", each.title), {}}});
    for (const std::size_t in_flight : {1, 10, 100, 1'000, 10'000}) {
        const load wanted{in_flight, given.warm_up, given.duration / 2};
        for (auto& [store, limit, reached] : all) {
            const auto bound = drive_limit(given, store, wanted).transitions_per_second;
            const auto rate = drive_on(given, store, 1, wanted).transitions_per_second;
            limit.points.emplace_back(static_cast<double>(in_flight), bound);
            reached.points.emplace_back(static_cast<double>(in_flight), rate);
            figure each{"sweep", fmt::format("{}, {} in flight", reached.name, in_flight),
                        "transitions/s"};
            each.samples = {rate};
            each.limit = store.limit;
            each.limit_samples = {bound};
            out.add(std::move(each));
        }
        if (given.smoke)
            break;
    }
    for (auto& [store, limit, reached] : all) {
        out.add(std::move(limit));
        out.add(std::move(reached));
    }
}

} // namespace pawl_bench
