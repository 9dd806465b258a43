#include "pawl/testing/explore.hpp"

#include "core/option_check.hpp"
#include "pawl/detail/exception_text.hpp"
#include "pawl/error.hpp"
#include "testing/simulation/search_arguments.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <cstdio>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string_view>
#include <thread>

namespace pawl::testing {

namespace {

using detail::search_arguments;
using steady = std::chrono::steady_clock;

/// A finding is printed with this many lines from the end of the trace.
constexpr std::size_t max_trace_lines = 60;

void add(exploration_result& sum, const simulation_result& result)
{
    ++sum.seeds;
    sum.runs += result.runs;
    sum.paused += result.paused;
    sum.waiting += result.waiting;
    sum.commits += result.commits;
    sum.calls += result.calls;
    sum.crashes += result.crashes;
}

/// Returns the violations of a seed. With `twice`, a second simulation must have the same trace.
std::vector<std::string> simulate(const simulated_life& live, const exploration_options& options,
                                  std::uint64_t seed, bool twice, simulation_result& result)
{
    try {
        result = live(options_of(options, seed));
        if (!result.violations.empty() || !twice)
            return result.violations;
        const auto repeated = live(options_of(options, seed));
        if (repeated.trace_hash == result.trace_hash)
            return {};
        return {fmt::format("two simulations of seed {} differ: the program depends on something "
                            "outside the simulation, such as std::random_device, the system clock, "
                            "the order of addresses, or real I/O",
                            seed)};
    } catch (...) {
        return {"the simulation threw: " + pawl::detail::exception_text(std::current_exception())};
    }
}

/// Simulates seeds on several threads.
class search {
public:
    search(const simulated_life& live, const exploration_options& options)
        : live_(live), options_(options), started_at_(steady::now())
    {
    }

    void simulate_seeds()
    {
        for (;;) {
            const auto number = next_++;
            if (number >= options_.seeds || is_over(number))
                return;
            const auto seed = options_.first_seed + number;
            const bool twice = options_.repeat_every > 0 && number % options_.repeat_every == 0;
            simulation_result result;
            auto sentences = simulate(live_, options_, seed, twice, result);
            const std::lock_guard lock{mutex_};
            add(result_, result);
            if (sentences.empty() || (result_.found && result_.found->seed < seed))
                continue;
            result_.found = simulation_finding{seed, std::move(sentences)};
        }
    }

    exploration_result take_result() { return std::move(result_); }

private:
    bool is_over(std::uint64_t number)
    {
        const std::lock_guard lock{mutex_};
        const bool is_late =
            options_.time_limit && steady::now() - started_at_ >= *options_.time_limit;
        // Seeds below the finding are still simulated: the lowest one is reported.
        return result_.found ? result_.found->seed < options_.first_seed + number
                             : number > 0 && is_late;
    }

    const simulated_life& live_;
    const exploration_options& options_;
    const steady::time_point started_at_;
    std::atomic<std::uint64_t> next_{0};
    std::mutex mutex_;
    exploration_result result_;
};

/// Formats a line of the trace: its time becomes seconds.
std::string readable(std::string_view line)
{
    const auto digits = line.find_first_not_of(' ');
    std::uint64_t microseconds = 0;
    if (digits == std::string_view::npos)
        return std::string{line};
    const auto [end, error] =
        std::from_chars(line.data() + digits, line.data() + line.size(), microseconds);
    if (error != std::errc{})
        return std::string{line};
    return fmt::format("{:13.6f} s{}", static_cast<double>(microseconds) / 1e6,
                       line.substr(static_cast<std::size_t>(end - line.data())));
}

/// Returns the foreign ids that the sentences name. The trace has foreign ids in quotes.
std::set<std::string> named_runs(const std::vector<std::string>& trace,
                                 const std::vector<std::string>& sentences)
{
    std::set<std::string> named;
    for (const auto& line : trace)
        for (auto open = line.find('"'); open != std::string::npos;) {
            const auto close = line.find('"', open + 1);
            if (close == std::string::npos)
                break;
            const auto id = line.substr(open + 1, close - open - 1);
            if (!id.empty() && std::ranges::any_of(sentences, [&](const auto& text) {
                    return text.find(id) != std::string::npos;
                }))
                named.insert(id);
            open = line.find('"', close + 1);
        }
    return named;
}

void print(const std::string& line)
{
    std::fwrite(line.data(), 1, line.size(), stdout);
    std::fputc('\n', stdout);
}

/// Prints the end of the trace of the runs that the finding names.
void print_runs(const simulated_life& live, const exploration_options& options,
                const simulation_finding& found)
{
    std::vector<std::string> trace;
    auto repeated = options_of(options, found.seed);
    repeated.trace = [&](std::string_view line) {
        trace.emplace_back(line);
    };
    try {
        live(std::move(repeated));
    } catch (...) {
        // The exception is the finding.
    }
    const auto named = named_runs(trace, found.sentences);
    std::erase_if(trace, [](const std::string& line) { // calls without a running engine
        return line.ends_with(" at nobody") || line.find("the engine is not running") != line.npos;
    });
    std::erase_if(trace, [&](const std::string& line) {
        return std::ranges::none_of(
            named, [&](const auto& id) { return line.find(id) != std::string::npos; });
    });
    if (trace.empty())
        return;
    const auto omitted = trace.size() - std::min(trace.size(), max_trace_lines);
    print("");
    if (omitted > 0)
        print(fmt::format("({} earlier lines are omitted)", omitted));
    for (auto i = omitted; i < trace.size(); ++i)
        print(readable(trace[i]));
}

int run_matrix(const simulated_life& live, const search_arguments& given)
{
    auto options = given.options.base;
    options.seed = given.options.first_seed;
    const auto result = run_crash_matrix(live, std::move(options));
    for (const auto& sentence : result.violations)
        print(sentence);
    print(fmt::format(
        "{} simulations with a crash at each of {} calls: {}", result.simulations, result.calls,
        result.violations.empty() ? "every check held"
                                  : fmt::format("{} findings", result.violations.size())));
    return result.violations.empty() ? 0 : 1;
}

int run(const char* program, const simulated_life& live, search_arguments given)
{
    if (given.help) {
        std::fputs(detail::usage_of(program).c_str(), stdout);
        return 0;
    }
    if (given.matrix)
        return run_matrix(live, given);
    if (given.trace)
        given.options.base.trace = [only = given.only](std::string_view line) {
            if (line.find(only) != std::string_view::npos)
                print(readable(line));
        };
    if (given.one_seed)
        given.options.repeat_every = 0;
    const auto started_at = steady::now();
    const auto result = explore(live, given.options);
    const std::chrono::duration<double> elapsed = steady::now() - started_at;
    if (result.found) {
        for (const auto& sentence : result.found->sentences)
            print(fmt::format("seed {}: {}", result.found->seed, sentence));
        if (!given.trace)
            print_runs(live, given.options, *result.found);
        print(fmt::format("\nto repeat the finding: {} --seed {}{} --trace", program,
                          result.found->seed, given.options.draw_faults ? "" : " --usual-faults"));
        return 1;
    }
    print(fmt::format("{} seeds, {} runs ({} paused and {} waiting at the end), {} commits, {} "
                      "calls, {} crashes in {:.1f} s: every check held",
                      result.seeds, result.runs, result.paused, result.waiting, result.commits,
                      result.calls, result.crashes, elapsed.count()));
    return 0;
}

} // namespace

simulated_faults draw_faults(std::uint64_t seed)
{
    // Independent of the numbers that the simulation draws from the seed.
    simulated_random random{seed ^ 0x6661756c74732121ull};
    constexpr std::array<std::uint32_t, 5> factors{0, 1, 1, 8, 30};
    constexpr std::array<duration, 4> spans{duration::zero(), std::chrono::seconds{10},
                                            std::chrono::seconds{40}, std::chrono::minutes{2}};
    simulated_faults drawn;
    for (auto* rate : {&drawn.store_refused, &drawn.store_answer_lost, &drawn.store_slow,
                       &drawn.call_lost, &drawn.call_failed, &drawn.answer_lost, &drawn.call_slow})
        *rate *= factors[random.below(factors.size())];
    drawn.max_fault_interval = spans[random.below(spans.size())];
    return drawn;
}

simulation_options options_of(const exploration_options& options, std::uint64_t seed)
{
    auto seeded = options.base;
    seeded.seed = seed;
    if (options.draw_faults)
        seeded.faults = draw_faults(seed);
    return seeded;
}

exploration_result explore(const simulated_life& live, const exploration_options& options)
{
    const core::option_check check{"exploration_options::"};
    check.at_least("seeds", options.seeds, 1);
    check.within("threads", options.threads, 1, 256);
    search seeds{live, options};
    {
        std::vector<std::jthread> workers;
        for (unsigned i = 1; i < options.threads; ++i)
            workers.emplace_back([&] { seeds.simulate_seeds(); });
        seeds.simulate_seeds();
    }
    return seeds.take_result();
}

int simulation_main(int argc, const char* const* argv, const simulated_life& live,
                    const exploration_options& defaults)
{
    const char* const program = argc > 0 ? argv[0] : "simulate";
    try {
        return run(program, live, detail::parse_search(argc, argv, defaults));
    } catch (const definition_error& e) {
        std::fprintf(stderr, "%s\n", e.what());
    } catch (const std::invalid_argument& e) {
        std::fprintf(stderr, "%s\n%s", e.what(), detail::usage_of(program).c_str());
    }
    return 2;
}

} // namespace pawl::testing
