#include "pawl/testing/explore.hpp"

#include "pawl/detail/exception_text.hpp"
#include "pawl/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <cstdio>
#include <limits>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string_view>
#include <thread>

namespace pawl::testing {

namespace {

using steady = std::chrono::steady_clock;

/// A finding is printed with this many lines from the end of the trace.
constexpr std::size_t max_trace_lines = 60;

void add(exploration_result& sum, const simulation_result& result)
{
    ++sum.seeds;
    sum.runs += result.runs;
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

struct arguments {
    exploration_options options;
    bool one = false; ///< a seed was given
    bool trace = false;
    bool matrix = false;
    bool help = false;
    std::string only;
};

constexpr const char* usage =
    R"(  --seed N         one seed
  --seeds A..B     these seeds, until a check fails
  --minutes M      seeds from the first one on, for M minutes
  --threads N      simulate on N threads
  --usual-faults   the default fault rates for each seed, instead of drawn ones
  --trace          print the trace; requires --seed
  --only TEXT      print only the lines of the trace that contain TEXT
  --matrix         crash before and after each call of the seed, without other faults
  --help           print this
)";

std::uint64_t number_of(std::string_view name, std::string_view text)
{
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size())
        throw std::invalid_argument(fmt::format("{} is {}; it must be a whole number", name, text));
    return value;
}

arguments parse(int argc, const char* const* argv, const exploration_options& defaults)
{
    arguments given{.options = defaults, .only = {}};
    for (int i = 1; i < argc; ++i) {
        const std::string_view name = argv[i];
        const auto value = [&]() -> std::string_view {
            if (++i == argc)
                throw std::invalid_argument(std::string{name} + " needs a value");
            return argv[i];
        };
        if (name == "--seed") {
            given.options.first_seed = number_of(name, value());
            given.options.seeds = 1;
            given.one = true;
        } else if (name == "--seeds") {
            const auto range = value();
            const auto dots = range.find("..");
            if (dots == std::string_view::npos)
                throw std::invalid_argument(fmt::format("--seeds is {}; it must be A..B", range));
            given.options.first_seed = number_of(name, range.substr(0, dots));
            const auto last = number_of(name, range.substr(dots + 2));
            if (last < given.options.first_seed)
                throw std::invalid_argument(
                    fmt::format("--seeds is {}; A must not exceed B", range));
            given.options.seeds = last - given.options.first_seed + 1;
        } else if (name == "--minutes") {
            given.options.time_limit = std::chrono::minutes{number_of(name, value())};
            given.options.seeds = std::numeric_limits<std::uint64_t>::max();
        } else if (name == "--threads") {
            given.options.threads = static_cast<unsigned>(std::min<std::uint64_t>(
                number_of(name, value()), std::numeric_limits<unsigned>::max()));
        } else if (name == "--usual-faults") {
            given.options.draw_faults = false;
        } else if (name == "--trace") {
            given.trace = true;
        } else if (name == "--only") {
            given.only = value();
            given.trace = true;
        } else if (name == "--matrix") {
            given.matrix = true;
        } else if (name == "--help") {
            given.help = true;
        } else {
            throw std::invalid_argument("unknown argument " + std::string{name});
        }
    }
    if (given.trace && !given.one)
        throw std::invalid_argument("--trace requires --seed N");
    return given;
}

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

int run_matrix(const simulated_life& live, const arguments& given)
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

int run(const char* program, const simulated_life& live, arguments given)
{
    if (given.help) {
        print(fmt::format("usage: {} [OPTION...]\n{}", program, usage));
        return 0;
    }
    if (given.matrix)
        return run_matrix(live, given);
    if (given.trace)
        given.options.base.trace = [only = given.only](std::string_view line) {
            if (line.find(only) != std::string_view::npos)
                print(readable(line));
        };
    if (given.one)
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
    print(fmt::format(
        "{} seeds, {} runs, {} commits, {} calls, {} crashes in {:.1f} s: every check "
        "held",
        result.seeds, result.runs, result.commits, result.calls, result.crashes, elapsed.count()));
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
    if (options.seeds < 1)
        throw definition_error("exploration_options::seeds is 0; it must be at least 1");
    if (options.threads < 1 || options.threads > 256)
        throw definition_error(fmt::format(
            "exploration_options::threads is {}; it must be 1 to 256", options.threads));
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
        return run(program, live, parse(argc, argv, defaults));
    } catch (const definition_error& e) {
        std::fprintf(stderr, "%s\n", e.what());
    } catch (const std::invalid_argument& e) {
        std::fprintf(stderr, "%s; see %s --help\n", e.what(), program);
    }
    return 2;
}

} // namespace pawl::testing
