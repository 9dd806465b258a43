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

/// In a report, at most so many lines of the trace; the last ones.
constexpr std::size_t longest_trace = 60;

void require(bool holds, const char* text)
{
    if (!holds)
        throw definition_error(text);
}

void add(exploration_result& sum, const simulation_result& life)
{
    ++sum.seeds;
    sum.runs += life.runs;
    sum.commits += life.commits;
    sum.calls += life.calls;
    sum.crashes += life.crashes;
}

/// What did not hold in the life of this seed, and, if asked, whether a second life is the same.
std::vector<std::string> simulate(const simulated_life& live, const exploration_options& options,
                                  std::uint64_t seed, bool twice, simulation_result& life)
{
    try {
        life = live(options_of(options, seed));
        if (!life.violations.empty() || !twice)
            return life.violations;
        const auto again = live(options_of(options, seed));
        if (again.trace_hash == life.trace_hash)
            return {};
        return {fmt::format("two lives of seed {} differ: the program draws from something that is "
                            "not the simulation's, such as std::random_device, the system's clock, "
                            "the order of addresses, or real I/O",
                            seed)};
    } catch (...) {
        return {"the simulation threw: " + pawl::detail::exception_text(std::current_exception())};
    }
}

/// Seeds that several threads work off.
class search {
public:
    search(const simulated_life& live, const exploration_options& options)
        : live_(live), options_(options), begun_(steady::now())
    {
    }

    void work()
    {
        for (;;) {
            const auto number = next_++;
            if (number >= options_.seeds || is_over(number))
                return;
            const auto seed = options_.first_seed + number;
            const bool twice = options_.repeat_every > 0 && number % options_.repeat_every == 0;
            simulation_result life;
            auto sentences = simulate(live_, options_, seed, twice, life);
            const std::lock_guard lock{mutex_};
            add(result_, life);
            if (sentences.empty() || (result_.found && result_.found->seed < seed))
                continue;
            result_.found = simulation_finding{seed, std::move(sentences)};
        }
    }

    exploration_result take() { return std::move(result_); }

private:
    bool is_over(std::uint64_t number)
    {
        const std::lock_guard lock{mutex_};
        const bool is_late = options_.time_limit && steady::now() - begun_ >= *options_.time_limit;
        // A lower seed than the one that was found is simulated still.
        return result_.found ? result_.found->seed < options_.first_seed + number
                             : number > 0 && is_late;
    }

    const simulated_life& live_;
    const exploration_options& options_;
    const steady::time_point begun_;
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
  --seeds A..B     these seeds, until one breaks a check
  --minutes M      seeds from the first one on, for so long
  --threads N      simulate on so many threads
  --usual-faults   the same fault rates for each seed, not drawn from it
  --trace          print the trace; with --seed
  --only TEXT      of the trace, the lines that contain TEXT
  --matrix         crash at each call of the seed's life without other faults
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
        throw std::invalid_argument("a trace is of one seed: add --seed N");
    return given;
}

/// A line of the trace with its time in seconds.
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

/// The foreign ids, which a trace puts in quotes, that occur in the sentences.
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

/// The end of the trace, of the runs that the finding names.
void print_runs(const simulated_life& live, const exploration_options& options,
                const simulation_finding& found)
{
    std::vector<std::string> trace;
    auto again = options_of(options, found.seed);
    again.trace = [&](std::string_view line) {
        trace.emplace_back(line);
    };
    try {
        live(std::move(again));
    } catch (...) {
        // It is what was found.
    }
    const auto named = named_runs(trace, found.sentences);
    std::erase_if(trace, [](const std::string& line) { // calls that reached no engine
        return line.ends_with(" at nobody") || line.find("the engine is not running") != line.npos;
    });
    std::erase_if(trace, [&](const std::string& line) {
        return std::ranges::none_of(
            named, [&](const auto& id) { return line.find(id) != std::string::npos; });
    });
    if (trace.empty())
        return;
    const auto left_out = trace.size() - std::min(trace.size(), longest_trace);
    print("");
    if (left_out > 0)
        print(fmt::format("({} earlier lines are left out)", left_out));
    for (auto i = left_out; i < trace.size(); ++i)
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
        "{} lives with a crash at each of {} calls: {}", result.simulations, result.calls,
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
    const auto begun = steady::now();
    const auto result = explore(live, given.options);
    const std::chrono::duration<double> took = steady::now() - begun;
    if (result.found) {
        for (const auto& sentence : result.found->sentences)
            print(fmt::format("seed {}: {}", result.found->seed, sentence));
        if (!given.trace)
            print_runs(live, given.options, *result.found);
        print(fmt::format("\nrepeat it: {} --seed {}{} --trace", program, result.found->seed,
                          given.options.draw_faults ? "" : " --usual-faults"));
        return 1;
    }
    print(fmt::format(
        "{} seeds, {} runs, {} commits, {} calls, {} crashes in {:.1f} s: every check "
        "held",
        result.seeds, result.runs, result.commits, result.calls, result.crashes, took.count()));
    return 0;
}

} // namespace

simulated_faults draw_faults(std::uint64_t seed)
{
    // Apart from what the simulation itself draws from the seed.
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
    auto of_seed = options.base;
    of_seed.seed = seed;
    if (options.draw_faults)
        of_seed.faults = draw_faults(seed);
    return of_seed;
}

exploration_result explore(const simulated_life& live, const exploration_options& options)
{
    require(options.seeds >= 1, "exploration_options::seeds is 0; it must be at least 1");
    require(options.threads >= 1 && options.threads <= 256,
            "exploration_options::threads must be 1 to 256");
    search seeds{live, options};
    {
        std::vector<std::jthread> others;
        for (unsigned i = 1; i < options.threads; ++i)
            others.emplace_back([&] { seeds.work(); });
        seeds.work();
    }
    return seeds.take();
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
