// One run at a time: what a step costs when nothing else happens.
#include "rig.hpp"
#include "scenario.hpp"
#include "stores.hpp"

#include <string>

namespace pawl_bench {

namespace {

/// The median and the 99th percentile of one run, and the limit's.
struct alone_figures {
    figure p50;
    figure p99;

    alone_figures(const std::string& scenario, const std::string& limit)
        : p50{scenario, "five-step run, p50", "us"}, p99{scenario, "five-step run, p99", "us"}
    {
        p50.limit = p99.limit = limit;
    }

    void add(const histogram& run)
    {
        p50.samples.push_back(microseconds(run.percentile(50)));
        p99.samples.push_back(microseconds(run.percentile(99)));
    }

    void add_limit(const histogram& run)
    {
        p50.limit_samples.push_back(microseconds(run.percentile(50)));
        p99.limit_samples.push_back(microseconds(run.percentile(99)));
    }
};

/// The two take turns within each repeat: what a flush costs changes from one second to the next.
constexpr int turns = 5;

void measure_alone(const options& given, const backend& store, alone_figures figures, report& out)
{
    const load wanted{1, given.warm_up / turns, given.duration / turns};
    for (int i = 0; i < given.repeats; ++i) {
        histogram runs;
        histogram limit;
        for (int turn = 0; turn < turns; ++turn) {
            const scratch_folder folder{given};
            {
                rig engine{store.opener(folder)};
                runs.add(drive(engine, wanted).latency);
            }
            if (!given.no_limits)
                limit.add(store.drive_limit(folder, wanted).latency);
        }
        figures.add(runs);
        if (!given.no_limits)
            figures.add_limit(limit);
    }
    out.add(std::move(figures.p50));
    out.add(std::move(figures.p99));
}

} // namespace

void memory_alone(const options& given, report& out)
{
    alone_figures figures{"memory-alone", "bare coroutines"};
    figures.p50.targets = {at_most(60)};
    measure_alone(given, backend_named("memory"), std::move(figures), out);
}

void sqlite_alone(const options& given, report& out)
{
    alone_figures figures{"sqlite-alone", "six raw commits"};
    if (!given.no_limits)
        figures.p50.targets = {ratio_at_most(1.3)};
    measure_alone(given, backend_named("sqlite"), std::move(figures), out);
}

void postgres_alone(const options& given, report& out)
{
    measure_alone(given, backend_named("postgres"),
                  {"postgres-alone", "the same six statements over libpq"}, out);
}

} // namespace pawl_bench
