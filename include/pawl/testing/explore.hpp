#pragma once

#include "pawl/testing/simulation.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace pawl::testing {

/// Makes a simulation with the given options, adds workflows, customers and checks to it, and
/// returns the result of simulation::run().
using simulated_life = std::function<simulation_result(simulation_options)>;

/// Draws fault rates from a seed: each chance is 0, its default, or 8 or 30 times its default, and
/// max_fault_interval is 0, 10 s, 40 s or 2 min. Which rates find a defect depends on the defect,
/// so a search that varies the rates finds most defects in fewer seeds than a search with fixed
/// rates.
simulated_faults draw_faults(std::uint64_t seed);

struct exploration_options {
    /// The first seed. Default 1.
    std::uint64_t first_seed = 1;

    /// The number of seeds to simulate, unless one of them breaks a check. At least 1. Default
    /// 1,000.
    std::uint64_t seeds = 1'000;

    /// Real time after which no further seed begins. Default: empty, no limit.
    std::optional<std::chrono::steady_clock::duration> time_limit{};

    /// Whether each seed has the fault rates draw_faults(seed), instead of those of `base`. Default
    /// true.
    bool draw_faults = true;

    /// One seed in this many is simulated twice, and both traces must be the same. 0: none.
    /// Default 50.
    std::uint64_t repeat_every = 50;

    /// The number of threads that simulate seeds; each calls `live`. 1 to 256. Default 1.
    unsigned threads = 1;

    /// All other options of each simulation.
    simulation_options base{};
};

/// A seed whose simulation broke a check.
struct simulation_finding {
    std::uint64_t seed = 0;

    /// simulation_result::violations; or what `live` threw; or that two simulations of the seed
    /// differ.
    std::vector<std::string> sentences;
};

struct exploration_result {
    std::uint64_t seeds = 0;   ///< number of seeds that were simulated
    std::uint64_t runs = 0;    ///< this and the following: sums over all seeds
    std::uint64_t paused = 0;  ///< runs that were paused at the end
    std::uint64_t waiting = 0; ///< runs that were neither finished nor paused at the end
    std::uint64_t commits = 0;
    std::uint64_t calls = 0;
    std::uint64_t crashes = 0;

    /// The finding with the lowest seed; empty if every check held.
    std::optional<simulation_finding> found;
};

/// The options with which explore() simulates a seed. Call `live` with them to repeat a finding.
simulation_options options_of(const exploration_options& options, std::uint64_t seed);

/// Simulates seeds until one breaks a check, all have been simulated, or the time limit has passed.
///
/// `live` must depend on nothing but its options: a program that draws random numbers elsewhere,
/// reads the system's clock or does real I/O cannot be repeated. Two simulations of a seed that
/// differ are a finding.
///
/// Errors: throws definition_error if an option is out of its range. An exception of `live` is a
/// finding.
exploration_result explore(const simulated_life& live, const exploration_options& options = {});

/// The main function of a program that searches for defects:
///
/// @code
/// int main(int argc, char** argv) { return pawl::testing::simulation_main(argc, argv, live); }
/// @endcode
///
/// Without arguments it calls explore() with `defaults`. It prints a finding with the trace of the
/// runs that the finding names, and with the command that repeats it.
///
/// The arguments come in any order:
///
/// - `--seed N`: one seed; with --minutes, the first seed
/// - `--seeds A..B`: the seeds from A to B
/// - `--minutes M`: no further seed after M minutes. 1 to 1,000,000
/// - `--threads N`: simulate on N threads. 1 to 256
/// - `--usual-faults`: the rates of exploration_options::base, instead of drawn ones
/// - `--trace`, `--only TEXT`: print the trace, or its lines that contain TEXT; require one seed
/// - `--matrix`: run_crash_matrix() with one seed
/// - `--help`: print the usage
///
/// A wrong argument, or a combination in which an option would have no effect, is rejected: a
/// sentence that names the option and its value, and the usage, are printed on standard error.
///
/// Returns 0 when every check held, 1 for a finding, 2 for wrong arguments.
int simulation_main(int argc, const char* const* argv, const simulated_life& live,
                    const exploration_options& defaults = {});

} // namespace pawl::testing
