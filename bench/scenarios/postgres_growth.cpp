// Many runs pass through PostgreSQL, and finished ones are removed: does it grow, or slow down?
#include "cluster.hpp"
#include "rig.hpp"
#include "scenario.hpp"
#include "stores.hpp"

#include "pawl/postgres.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace pawl_bench {

using namespace std::chrono_literals;

namespace {

constexpr std::size_t slices = 10;

struct growth_point {
    double transitions_per_second = 0;
    double stored_runs = 0;
    double table_mib = 0;
    double index_mib = 0;
};

growth_point look(const scratch_database& database)
{
    const auto numbers =
        database.ask("SELECT (SELECT count(*) FROM pawl.runs), sum(pg_table_size(c.oid)) / 2^20, "
                     "sum(pg_indexes_size(c.oid)) / 2^20 FROM pg_class c WHERE c.relkind = 'r' AND "
                     "c.relnamespace = 'pawl'::regnamespace");
    return {0, numbers.at(0), numbers.at(1), numbers.at(2)};
}

/// Of one table, since it was made.
struct table_facts {
    double dead = 0;
    double hot_share = 0; ///< of its updates, in percent
    double vacuums = 0;
    double mib = 0; ///< with its indexes
};

table_facts facts_of(const scratch_database& database, std::string_view table)
{
    const auto numbers = database.ask(
        fmt::format("SELECT n_dead_tup, 100.0 * n_tup_hot_upd / greatest(n_tup_upd, 1), "
                    "autovacuum_count, pg_total_relation_size(relid) / 2^20 "
                    "FROM pg_stat_user_tables WHERE schemaname = 'pawl' AND relname = '{}'",
                    table));
    return {numbers.at(0), numbers.at(1), numbers.at(2), numbers.at(3)};
}

void add(report& out, const std::string& what, const std::string& unit, double value,
         std::vector<target> targets = {})
{
    figure each{"growth-postgres", what, unit, {value}};
    each.targets = std::move(targets);
    out.add(std::move(each));
}

} // namespace

void postgres_growth(const options& given, report& out)
{
    const auto runs = given.sized(1'000'000, 20'000, 50);
    const scratch_database database{given};
    std::vector<growth_point> points;
    {
        rig engine{[&](const boost::asio::any_io_executor& executor) {
                       return pawl::open_postgres(executor, database.uri());
                   },
                   {.threads = options::pick(given.threads, 1),
                    .retention = pawl::retention_options{.keep = 1s, .batch = 1'000}}};
        for (std::size_t i = 0; i < slices; ++i) {
            const auto rate = drive_runs(engine, runs / slices, given.flying(1'000));
            points.push_back(look(database));
            points.back().transitions_per_second = rate;
            out.remark(fmt::format("after {:>9} runs: {:>8} transitions/s, {:>8} runs stored, "
                                   "tables {:>7} MiB, indexes {:>7} MiB",
                                   (i + 1) * (runs / slices), shown(rate),
                                   shown(points.back().stored_runs), shown(points.back().table_mib),
                                   shown(points.back().index_mib)));
        }
    }
    database.end_sessions();

    // The first slice warms up.
    const auto later = std::span{points}.subspan(1);
    const auto [slowest, fastest] =
        std::ranges::minmax(later, {}, &growth_point::transitions_per_second);
    const auto name = fmt::format("{} runs passed", runs);
    add(out, name + ", slowest tenth", "transitions/s", slowest.transitions_per_second);
    add(out, name + ", fastest tenth", "transitions/s", fastest.transitions_per_second);
    add(out, name + ", still stored", "runs", points.back().stored_runs);
    add(out, name + ", tables", "MiB", points.back().table_mib);
    add(out, name + ", indexes", "MiB", points.back().index_mib);
    add(out, name + ", size at the end over half way", "times",
        (points.back().table_mib + points.back().index_mib) /
            (points[slices / 2 - 1].table_mib + points[slices / 2 - 1].index_mib));
    for (const std::string_view table : {"runs", "due", "events", "shards", "counts"}) {
        const auto facts = facts_of(database, table);
        out.remark(fmt::format("{:<7} {:>8} dead rows, {:>6} % of updates HOT, {:>3.0f} "
                               "autovacuums, {:>7} MiB with indexes",
                               table, shown(facts.dead), shown(facts.hot_share), facts.vacuums,
                               shown(facts.mib)));
        if (table == "runs" || table == "due")
            add(out, fmt::format("{}, dead rows of {}", name, table), "rows", facts.dead);
        if (table == "runs")
            add(out, name + ", HOT updates of runs", "%", facts.hot_share);
    }
}

} // namespace pawl_bench
