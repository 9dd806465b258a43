// Measures Pawl beside its limits. See README.md.
#include "flags.hpp"
#include "scenario.hpp"
#include "stores.hpp"

#include <fmt/format.h>

#include <exception>
#include <ranges>
#include <string>

namespace {

using namespace pawl_bench;

struct command_line {
    options given;
    std::string child;
    bool list = false;
};

order_processing::flag_set flags_of(command_line& line)
{
    auto& to = line.given;
    order_processing::flag_set flags{
        "pawl_bench [flags]: measures Pawl beside its limits, in the same run.", "PAWL_BENCH_"};
    flags.toggle("list", line.list, "Print the scenarios' names, and end");
    flags.text("only", to.only, "A,B", "Run these scenarios");
    flags.text("store", to.store, "NAME", "Only on this store: memory, sqlite or postgres");
    flags.number<std::uint32_t>("size", to.size, "Runs; 0: the scenario's own number");
    flags.number<std::uint32_t>("in-flight", to.in_flight,
                                "Runs at a time, or clients; 0: its own");
    flags.number<std::uint32_t>("threads", to.threads, "Threads of the engine; 0: its own");
    flags.time_span("warm-up", to.warm_up, "Before each measurement");
    flags.time_span("duration", to.duration, "Of each measurement");
    flags.number<int>("repeats", to.repeats, "Of each measurement; the median counts", 1, 1000);
    flags.toggle("quick", to.quick, "Smaller sizes where the full ones take minutes");
    flags.toggle("smoke", to.smoke, "Tiny sizes: does everything run?");
    flags.toggle("no-limits", to.no_limits, "Measure Pawl alone, e.g. under a profiler");
    flags.text("folder", to.folder, "DIR", "Where databases are made");
    flags.text("json", to.json, "FILE", "Write the figures as JSON");
    flags.text("table", to.table, "FILE", "Write the figures as a Markdown table");
    flags.text("chart", to.chart, "FILE", "Draw the sweep as SVG; needs gnuplot");
    flags.text("postgres", to.postgres, "A=B,C=D",
               "Settings of the PostgreSQL server, beside its own defaults");
    flags.text("label", to.label, "TEXT", "Put into JSON and table, e.g. the commit");
    flags.text("child", line.child, "PART", "For pawl_bench itself: its part in another process");
    return flags;
}

bool is_chosen(const options& given, const scenario& which)
{
    if (!which.store.empty() && !is_wanted(given, which.store))
        return false;
    if (given.only.empty())
        return true;
    for (const auto& each : std::views::split(given.only, ','))
        if (std::string_view{each.begin(), each.end()} == which.name)
            return true;
    return false;
}

void check_names(const options& given)
{
    const auto all = scenarios();
    for (const auto& each : std::views::split(given.only, ',')) {
        const std::string_view name{each.begin(), each.end()};
        if (std::ranges::find(all, name, &scenario::name) == all.end())
            throw order_processing::flag_error(
                fmt::format("--only names no scenario: \"{}\"; see --list.", name));
    }
    if (given.store == "postgres" && !why_no_postgres().empty())
        throw order_processing::flag_error(
            fmt::format("--store: nothing can be measured on PostgreSQL: {}.", why_no_postgres()));
    if (!given.store.empty() && given.store != "memory" && given.store != "sqlite" &&
        given.store != "postgres")
        throw order_processing::flag_error("--store must be memory, sqlite or postgres, and is \"" +
                                           given.store + "\".");
}

void run_child(const command_line& line)
{
    const auto part = std::ranges::find(child_parts(), line.child, &child_part::name);
    if (part == child_parts().end())
        throw order_processing::flag_error("--child names no part: \"" + line.child + "\".");
    part->run(line.given);
}

void run_all(const options& given)
{
    report all;
    if (is_wanted(given, "postgres") && !why_no_postgres().empty())
        fmt::print("What is measured on PostgreSQL is left out: {}.\n", why_no_postgres());
    for (const auto& each : scenarios()) {
        if (!is_chosen(given, each))
            continue;
        all.heading(std::string{each.name}, std::string{each.what});
        each.run(given, all);
    }
    all.summary();
    if (!given.json.empty())
        all.write_json(given.json, given.label);
    if (!given.table.empty())
        all.write_table(given.table, given.label);
    if (!given.chart.empty() && !all.curves().empty())
        all.draw(given.chart);
}

} // namespace

int main(int argc, char** argv)
{
    try {
        command_line line;
        auto flags = flags_of(line);
        if (!flags.parse(argc, argv)) {
            fmt::print("{}\nScenarios:\n", flags.help());
            for (const auto& each : scenarios())
                fmt::print("  {:<14} {}\n", each.name, each.what);
            return 0;
        }
        if (line.given.smoke) {
            line.given.repeats = 1;
            line.given.warm_up = std::chrono::milliseconds{10};
            line.given.duration = std::chrono::milliseconds{50};
        }
        check_names(line.given);
        if (line.list)
            for (const auto& each : scenarios())
                fmt::print("{}\n", each.name);
        else if (!line.child.empty())
            run_child(line);
        else
            run_all(line.given);
        return 0;
    } catch (const std::exception& failure) {
        fmt::print(stderr, "pawl_bench: {}\n", failure.what());
        return 1;
    }
}
