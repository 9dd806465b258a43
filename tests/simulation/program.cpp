// Simulates seeds, one or many, and says how to repeat one that fails. See README.md.
#include "simulation/scenes.hpp"
#include "simulation/worlds.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace {

using namespace simulation_test;

struct arguments {
    std::uint64_t first = 1;
    std::uint64_t last = 1;
    std::optional<double> minutes;
    std::string world; ///< empty: each in turn
    bool trace = false;
};

constexpr const char* usage =
    R"(usage: simulate [--seed N | --seeds A..B | --minutes M] [--world NAME] [--mix LIST]
                [--trace]
  --seed N       one seed (default 1)
  --seeds A..B   all of these, until one fails
  --minutes M    from seed N on, for so long
  --world NAME   generated, mixed or orders; default: each
  --mix LIST     of the mixed world: "NAME" of a scene leaves the others out, "+NAME" adds a
                 feature, "-NAME" leaves it out; with commas between them
  --trace        prints each line of the trace
)";

arguments parse(int argc, char** argv)
{
    arguments given;
    for (int i = 1; i < argc; ++i) {
        const std::string_view name = argv[i];
        const auto value = [&] {
            if (++i == argc)
                throw std::invalid_argument(std::string{name} + " needs a value");
            return std::string{argv[i]};
        };
        if (name == "--seed") {
            given.first = given.last = std::stoull(value());
        } else if (name == "--seeds") {
            const auto range = value();
            const auto dots = range.find("..");
            if (dots == std::string::npos)
                throw std::invalid_argument("--seeds must be A..B");
            given.first = std::stoull(range.substr(0, dots));
            given.last = std::stoull(range.substr(dots + 2));
        } else if (name == "--minutes") {
            given.minutes = std::stod(value());
        } else if (name == "--world") {
            given.world = value();
        } else if (name == "--mix") {
            choose_features(value());
        } else if (name == "--trace") {
            given.trace = true;
        } else {
            throw std::invalid_argument("unknown argument " + std::string{name});
        }
    }
    return given;
}

/// True when everything held.
bool simulate(const world& in, std::uint64_t seed, bool trace, const char* program,
              simulation_result& sum)
{
    simulation_options options;
    options.seed = seed;
    if (trace)
        options.trace = [](std::string_view line) {
            std::printf("%.*s\n", static_cast<int>(line.size()), line.data());
        };
    const auto result = in.run(std::move(options));
    sum.runs += result.runs;
    sum.commits += result.commits;
    sum.crashes += result.crashes;
    sum.calls += result.calls;
    sum.longest_lag = std::max(sum.longest_lag, result.longest_lag);
    if (trace)
        std::printf("trace %016llx, %llu lines\n",
                    static_cast<unsigned long long>(result.trace_hash),
                    static_cast<unsigned long long>(result.trace_lines));
    for (const auto& sentence : result.violations)
        std::printf("%s\n", sentence.c_str());
    if (!result.violations.empty())
        std::printf("repeat it with: %s --world %s --seed %llu --trace\n", program, in.name,
                    static_cast<unsigned long long>(seed));
    return result.violations.empty();
}

int run(int argc, char** argv)
{
    const auto given = parse(argc, argv);
    const auto begun = std::chrono::steady_clock::now();
    const auto passed = [&] {
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
    };
    simulation_result sum;
    std::uint64_t seeds = 0;
    bool known = given.world.empty();
    for (auto seed = given.first;
         given.minutes ? passed() < *given.minutes * 60 : seed <= given.last; ++seed, ++seeds)
        for (const auto& each : worlds()) {
            if (!given.world.empty() && given.world != each.name)
                continue;
            known = true;
            if (!simulate(each, seed, given.trace, argv[0], sum))
                return EXIT_FAILURE;
        }
    if (!known)
        throw std::invalid_argument("there is no world " + given.world);
    std::puts(fmt::format("{} seeds: {} runs, {} commits, {} calls, {} crashes, "
                          "largest lag after the fault phase {} s; {:.1f} s",
                          seeds, sum.runs, sum.commits, sum.calls, sum.crashes,
                          sum.longest_lag.count() / 1'000'000, passed())
                  .c_str());
    return EXIT_SUCCESS;
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
