#include "testing/simulation/search_arguments.hpp"

#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace pawl::testing::detail {

namespace {

constexpr const char* option_lines =
    R"(  --seed N         one seed; with --minutes, the first seed
  --seeds A..B     the seeds from A to B
  --minutes M      no further seed after M minutes
  --threads N      simulate on N threads, 1 to 256
  --usual-faults   the program's own fault rates for each seed, instead of drawn ones
  --trace          print the trace; requires one seed
  --only TEXT      print only the lines of the trace that contain TEXT; requires one seed
  --matrix         crash before and after each call of one seed, without other faults
  --help           print this

The options come in any order. The search ends at the first seed that breaks a check.
)";

constexpr std::uint64_t max_number = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint64_t max_threads = 256;
constexpr std::uint64_t max_minutes = 1'000'000;

using seed_range = std::pair<std::uint64_t, std::uint64_t>;

/// The options as they were given.
struct given_options {
    std::optional<std::uint64_t> seed;
    std::optional<seed_range> seeds;
    std::optional<std::uint64_t> minutes;
    std::optional<std::uint64_t> threads;
    bool usual_faults = false;
    bool trace = false;
    std::optional<std::string> only;
    bool matrix = false;
    bool help = false;
};

/// Empty if the text is not a whole number in the range.
std::optional<std::uint64_t> parse_number(std::string_view text, std::uint64_t least,
                                          std::uint64_t most)
{
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value < least || value > most)
        return std::nullopt;
    return value;
}

std::uint64_t number_of(std::string_view option, std::string_view text, std::uint64_t least = 0,
                        std::uint64_t most = max_number)
{
    if (const auto value = parse_number(text, least, most))
        return *value;
    throw std::invalid_argument(fmt::format("{} is \"{}\"; it must be a whole number from {} to {}",
                                            option, text, least, most));
}

seed_range range_of(std::string_view option, std::string_view text)
{
    const auto dots = text.find("..");
    if (dots != std::string_view::npos) {
        const auto first = parse_number(text.substr(0, dots), 0, max_number);
        const auto last = parse_number(text.substr(dots + 2), 0, max_number);
        if (first && last && *first <= *last)
            return {*first, *last};
    }
    throw std::invalid_argument(
        fmt::format("{} is \"{}\"; it must be A..B, two whole numbers of which A does not exceed B",
                    option, text));
}

given_options read(int argc, const char* const* argv)
{
    given_options given;
    for (int i = 1; i < argc; ++i) {
        const std::string_view option = argv[i];
        const auto value = [&]() -> std::string_view {
            if (++i == argc)
                throw std::invalid_argument(fmt::format("{} needs a value", option));
            return argv[i];
        };
        if (option == "--seed")
            given.seed = number_of(option, value());
        else if (option == "--seeds")
            given.seeds = range_of(option, value());
        else if (option == "--minutes")
            given.minutes = number_of(option, value(), 1, max_minutes);
        else if (option == "--threads")
            given.threads = number_of(option, value(), 1, max_threads);
        else if (option == "--usual-faults")
            given.usual_faults = true;
        else if (option == "--trace")
            given.trace = true;
        else if (option == "--only")
            given.only = value();
        else if (option == "--matrix")
            given.matrix = true;
        else if (option == "--help")
            given.help = true;
        else
            throw std::invalid_argument(fmt::format("unknown option \"{}\"", option));
    }
    return given;
}

/// Rejects options of which one would have no effect.
void check_combination(const given_options& given)
{
    const auto reject = [](std::string_view option, std::string_view other) {
        throw std::invalid_argument(fmt::format("{} cannot be combined with {}", option, other));
    };
    if (given.seed && given.seeds)
        reject("--seed", "--seeds");
    const std::string_view trace = given.only ? "--only" : "--trace";
    const bool traces = given.trace || given.only;
    if (given.matrix) {
        if (given.seeds)
            reject("--matrix", "--seeds");
        if (given.minutes)
            reject("--matrix", "--minutes");
        if (given.threads)
            reject("--matrix", "--threads");
        if (given.usual_faults)
            reject("--matrix", "--usual-faults");
        if (traces)
            reject("--matrix", trace);
    }
    if (traces && (!given.seed || given.minutes))
        throw std::invalid_argument(
            fmt::format("{} requires one seed: --seed N without --minutes", trace));
}

} // namespace

std::string usage_of(const char* program)
{
    return fmt::format("usage: {} [OPTION...]\n{}", program, option_lines);
}

search_arguments parse_search(int argc, const char* const* argv,
                              const exploration_options& defaults)
{
    const auto given = read(argc, argv);
    search_arguments search;
    search.help = given.help;
    if (search.help)
        return search;
    check_combination(given);
    search.options = defaults;
    auto& options = search.options;
    if (given.minutes) {
        options.time_limit = std::chrono::minutes{*given.minutes};
        options.seeds = max_number;
    }
    if (given.seed) {
        options.first_seed = *given.seed;
        search.one_seed = !given.minutes;
        if (search.one_seed)
            options.seeds = 1;
    }
    if (given.seeds) {
        const auto [first, last] = *given.seeds;
        options.first_seed = first;
        options.seeds = last - first == max_number ? max_number : last - first + 1;
    }
    if (given.threads)
        options.threads = static_cast<unsigned>(*given.threads);
    if (given.usual_faults)
        options.draw_faults = false;
    search.trace = given.trace || given.only;
    search.only = given.only.value_or("");
    search.matrix = given.matrix;
    return search;
}

} // namespace pawl::testing::detail
