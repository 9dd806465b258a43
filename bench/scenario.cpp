#include "scenario.hpp"

#include "stores.hpp"

#include <array>

namespace pawl_bench {

std::vector<scenario> scenarios()
{
    std::vector<scenario> all{
        {"memory", "memory store, 10,000 runs in flight", memory_in_flight, "memory"},
        {"memory-alone", "memory store, one five-step run at a time", memory_alone, "memory"},
        {"sqlite", "SQLite, synchronous=FULL, many runs in flight", sqlite_in_flight, "sqlite"},
        {"sqlite-alone", "SQLite, synchronous=FULL, one five-step run at a time", sqlite_alone,
         "sqlite"},
#if PAWL_BENCH_POSTGRES
        {"postgres", "PostgreSQL, synchronous_commit=on, 1,000 runs in flight", postgres_in_flight,
         "postgres"},
        {"postgres-alone", "PostgreSQL, synchronous_commit=on, one five-step run at a time",
         postgres_alone, "postgres"},
#endif
        {"orders", "order server over HTTP on SQLite, services in process, 256 clients",
         order_server, "sqlite"},
        {"wake-up", "from a commit to the coroutine that awaits it", wake_up},
        {"poison", "1,000 runs in flight beside one that always fails", poison},
        {"storm", "10,000 triggers at once on one key", trigger_storm},
        {"parked", "runs that wait for their deadline on SQLite", parked, "sqlite"},
        {"restart", "runs in flight on SQLite, kill -9, restart", restart, "sqlite"},
        {"growth", "SQLite, 1,000 runs in flight, beside many stored runs", growth, "sqlite"},
#if PAWL_BENCH_POSTGRES
        {"growth-postgres", "PostgreSQL, 1,000 runs in flight, finished ones are removed",
         postgres_growth, "postgres"},
#endif
        {"steps", "one run at a time of 5, 10 and 100 steps", sequential_steps},
        {"transactions", "steps that write rows of the program's own, beside once()", transactions},
        {"traces", "SQLite, 1,000 runs in flight, with the export of traces", traces, "sqlite"},
        {"sweep", "transitions per second over runs in flight, for the chart", sweep},
    };
    if (!why_no_postgres().empty())
        std::erase_if(all, [](const scenario& each) { return each.store == "postgres"; });
    return all;
}

std::span<const child_part> child_parts()
{
    static constexpr std::array<child_part, 3> all{{
        {"parked", parked_child},
        {"restart-hold", restart_hold_child},
        {"restart-resume", restart_resume_child},
    }};
    return all;
}

} // namespace pawl_bench
