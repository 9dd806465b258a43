#pragma once

#include "options.hpp"
#include "report.hpp"

#include <span>
#include <string_view>
#include <vector>

namespace pawl_bench {

/// Something to measure: runs, and adds figures.
struct scenario {
    std::string_view name;
    std::string_view what; ///< one line
    void (*run)(const options&, report&);
    std::string_view store =
        ""; ///< the only one that it is for; empty: it takes each that is wanted
};

/// All scenarios that can run, in the order in which they do.
std::vector<scenario> scenarios();

/// A part of a scenario that runs in a process of its own, and prints lines `name value`.
struct child_part {
    std::string_view name;
    void (*run)(const options&);
};

std::span<const child_part> child_parts();

void memory_in_flight(const options&, report&);
void memory_alone(const options&, report&);
void sqlite_in_flight(const options&, report&);
void sqlite_alone(const options&, report&);
void postgres_in_flight(const options&, report&);
void postgres_alone(const options&, report&);
void order_server(const options&, report&);
void wake_up(const options&, report&);
void poison(const options&, report&);
void trigger_storm(const options&, report&);
void parked(const options&, report&);
void restart(const options&, report&);
void growth(const options&, report&);
void postgres_growth(const options&, report&);
void sequential_steps(const options&, report&);
void sweep(const options&, report&);
void transactions(const options&, report&);
void traces(const options&, report&);

void parked_child(const options&);
void restart_hold_child(const options&);
void restart_resume_child(const options&);

} // namespace pawl_bench
