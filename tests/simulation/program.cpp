// Simulates seeds in one world or in each, and prints how to repeat a finding. See README.md.
#include "simulation/scenes.hpp"
#include "simulation/worlds.hpp"

#include "pawl/testing/explore.hpp"

#include <algorithm>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace simulation_test;

constexpr const char* usage =
    R"(usage: simulate [--world NAME] [--mix LIST] [OPTION...]
  --world NAME     generated, mixed or orders; default: each
  --mix LIST       of the mixed world: "NAME" of a scene leaves the others out, "+NAME" adds a
                   feature, "-NAME" leaves it out; with commas between them
)";

struct arguments {
    std::vector<world> worlds = simulation_test::worlds();
    std::string program;             ///< with the arguments that a repetition needs
    std::vector<const char*> search; ///< for simulation_main()
};

arguments parse(int argc, char** argv)
{
    arguments given{.program = argv[0], .search = {}};
    for (int i = 1; i < argc; ++i) {
        const std::string_view name = argv[i];
        if (name == "--help")
            std::fputs(usage, stdout);
        if (name != "--world" && name != "--mix") {
            given.search.push_back(argv[i]);
            continue;
        }
        if (++i == argc)
            throw std::invalid_argument(std::string{name} + " needs a value");
        const std::string value = argv[i];
        given.program.append(" ").append(name).append(" ").append(value);
        if (name == "--mix") {
            choose_features(value);
        } else {
            std::erase_if(given.worlds, [&](const world& known) { return value != known.name; });
            if (given.worlds.empty())
                throw std::invalid_argument("--world is \"" + value +
                                            "\"; it must be generated, mixed or orders");
        }
    }
    return given;
}

/// Simulates the seed in one world after the other, until a check fails.
simulation_result simulate(const std::vector<world>& worlds, const simulation_options& options)
{
    simulation_result sum;
    for (const auto& chosen : worlds) {
        const auto result = chosen.run(options);
        sum.runs += result.runs;
        sum.paused += result.paused;
        sum.waiting += result.waiting;
        sum.commits += result.commits;
        sum.crashes += result.crashes;
        sum.calls += result.calls;
        sum.longest_lag = std::max(sum.longest_lag, result.longest_lag);
        sum.trace_lines += result.trace_lines;
        sum.trace_hash = sum.trace_hash * 31 + result.trace_hash;
        for (const auto& sentence : result.violations)
            sum.violations.push_back(std::string{chosen.name} + ": " + sentence);
        if (!sum.violations.empty())
            break;
    }
    return sum;
}

int run(int argc, char** argv)
{
    auto given = parse(argc, argv);
    given.search.insert(given.search.begin(), given.program.c_str());
    pawl::testing::exploration_options defaults;
    defaults.draw_faults = false; // the worlds draw their own
    defaults.repeat_every = 0;    // determinism.cpp repeats seeds
    return pawl::testing::simulation_main(
        static_cast<int>(given.search.size()), given.search.data(),
        [&](const simulation_options& options) { return simulate(given.worlds, options); },
        defaults);
}

} // namespace

int main(int argc, char** argv)
{
    try {
        return run(argc, argv);
    } catch (const std::invalid_argument& e) {
        std::fprintf(stderr, "%s\n%s", e.what(), usage);
        return 2;
    }
}
