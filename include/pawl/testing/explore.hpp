#pragma once

#include "pawl/testing/simulation.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace pawl::testing {

/// One life of a program: makes a simulation with these options, adds workflows, customers and
/// checks to it, and returns what run() returned.
using simulated_life = std::function<simulation_result(simulation_options)>;

/// Fault rates that follow from the seed: each kind of fault is absent, usual or frequent, up to 30
/// times its default. Which rates find a defect depends on the defect, so a search that varies them
/// finds most defects in fewer seeds than a search with one set of rates.
simulated_faults draw_faults(std::uint64_t seed);

struct exploration_options {
    /// The first seed. Default 1.
    std::uint64_t first_seed = 1;

    /// How many seeds are simulated, unless one of them breaks a check. At least 1. Default 1,000.
    std::uint64_t seeds = 1'000;

    /// After this time no further seed begins. Empty: no limit. Default: empty.
    std::optional<std::chrono::steady_clock::duration> time_limit{};

    /// True: the fault rates are draw_faults(seed). False: those of `base`. Default true.
    bool draw_faults = true;

    /// One seed in this many is simulated twice, and both lives must have the same trace. 0: never.
    /// Default 50.
    std::uint64_t repeat_every = 50;

    /// Threads that simulate seeds side by side; `live` is then called by all of them. 1 to 256.
    /// Default 1.
    unsigned threads = 1;

    /// All other options of each simulation.
    simulation_options base{};
};

/// What did not hold in the simulation of a seed.
struct simulation_finding {
    std::uint64_t seed = 0;

    /// simulation_result::violations; or what `live` threw; or that two lives of the seed differ.
    std::vector<std::string> sentences;
};

struct exploration_result {
    std::uint64_t seeds = 0; ///< that were simulated
    std::uint64_t runs = 0;
    std::uint64_t commits = 0;
    std::uint64_t calls = 0;
    std::uint64_t crashes = 0;

    /// The finding with the lowest seed; empty when every check held.
    std::optional<simulation_finding> found;
};

/// The options with which a seed is simulated: give them to `live` to repeat a finding.
simulation_options options_of(const exploration_options& options, std::uint64_t seed);

/// Simulates seeds, one after the other, until one breaks a check or all have been simulated.
///
/// A life must depend on nothing but its options: a program that draws random numbers of its own,
/// reads the system's clock or does real I/O cannot be repeated. Two lives of one seed that differ
/// are a finding, which says so.
///
/// Errors: throws definition_error when an option is out of its range. What `live` throws is a
/// finding.
exploration_result explore(const simulated_life& live, const exploration_options& options = {});

/// The main function of a program that searches for defects:
///
/// @code
/// int main(int argc, char** argv) { return pawl::testing::simulation_main(argc, argv, live); }
/// @endcode
///
/// Without arguments it does what explore() does. A finding is printed with the trace of the runs
/// that it names and with the command that repeats it. `--help` lists the arguments: which seeds,
/// for how long, on how many threads, with or without drawn faults, a trace, and the crash matrix.
///
/// Returns 0 when every check held, 1 for a finding, 2 for wrong arguments.
int simulation_main(int argc, const char* const* argv, const simulated_life& live,
                    const exploration_options& defaults = {});

} // namespace pawl::testing
