// A seed always has the same trace, line by line; another seed has another trace.
#include "simulation/worlds.hpp"

#include <boost/test/unit_test.hpp>

#include <string>
#include <vector>

BOOST_AUTO_TEST_SUITE(determinism)

using namespace simulation_test;

namespace {

/// Each seed is simulated twice.
constexpr std::uint64_t seeds = 25;

std::vector<std::string> trace_of(const world& tested, std::uint64_t seed, std::uint64_t& hash)
{
    std::vector<std::string> lines;
    simulation_options options;
    options.seed = seed;
    options.trace = [&](std::string_view line) {
        lines.emplace_back(line);
    };
    const auto result = tested.run(std::move(options));
    BOOST_TEST(result.trace_lines == lines.size());
    hash = result.trace_hash;
    return lines;
}

} // namespace

BOOST_AUTO_TEST_CASE(a_seed_has_one_trace)
{
    for (const auto& tested : worlds())
        for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
            std::uint64_t first_hash = 0;
            std::uint64_t second_hash = 0;
            const auto first = trace_of(tested, seed, first_hash);
            const auto second = trace_of(tested, seed, second_hash);
            BOOST_TEST_CONTEXT(tested.name << " seed " << seed)
            {
                BOOST_TEST(first_hash == second_hash);
                BOOST_TEST(first.size() > 50u);
                BOOST_TEST(first == second, boost::test_tools::per_element());
            }
        }
}

BOOST_AUTO_TEST_CASE(other_seeds_have_other_traces)
{
    for (const auto& tested : worlds()) {
        std::uint64_t one = 0;
        std::uint64_t other = 0;
        trace_of(tested, 1, one);
        trace_of(tested, 2, other);
        BOOST_TEST(one != other);
    }
}

BOOST_AUTO_TEST_SUITE_END()
