#include "scenario.hpp"

#include <array>

namespace pawl_bench {

std::span<const scenario> scenarios()
{
    static constexpr std::array<scenario, 13> all{{
        {"memory", "memory store, 10,000 runs in flight", memory_in_flight},
        {"memory-alone", "memory store, one five-step run at a time", memory_alone},
        {"sqlite", "SQLite, synchronous=FULL, many runs in flight", sqlite_in_flight},
        {"sqlite-alone", "SQLite, synchronous=FULL, one five-step run at a time", sqlite_alone},
        {"orders", "order server over HTTP on SQLite, services in process, 256 clients",
         order_server},
        {"wake-up", "from a commit to the coroutine that awaits it", wake_up},
        {"poison", "1,000 runs in flight beside one that always fails", poison},
        {"storm", "10,000 triggers at once on one key", trigger_storm},
        {"parked", "runs that wait for their deadline on SQLite", parked},
        {"restart", "runs in flight on SQLite, kill -9, restart", restart},
        {"growth", "SQLite, 1,000 runs in flight, beside many stored runs", growth},
        {"steps", "one run at a time of 5, 10 and 100 steps", sequential_steps},
        {"sweep", "transitions per second over runs in flight, for the chart", sweep},
    }};
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
