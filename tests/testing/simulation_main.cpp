// The arguments of simulation_main(): their order, their effect, and what is said of wrong ones.
#include "pawl/testing/explore.hpp"

#include <boost/test/unit_test.hpp>

#include <cstdio>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include <unistd.h>

BOOST_AUTO_TEST_SUITE(simulation_main_)

namespace {

using arguments = std::vector<const char*>;
using seed_set = std::set<std::uint64_t>;
using pawl::testing::simulation_options;
using pawl::testing::simulation_result;

constexpr std::uint64_t failing_seed = 6;

struct program_result {
    int code = 0;
    seed_set seeds; ///< that were simulated
};

/// Runs a program in whose simulation nothing happens, except that one seed breaks a check.
program_result run(arguments given)
{
    program_result result;
    given.insert(given.begin(), "simulate");
    result.code = pawl::testing::simulation_main(
        static_cast<int>(given.size()), given.data(), [&](const simulation_options& options) {
            result.seeds.insert(options.seed);
            simulation_result nothing;
            if (options.seed == failing_seed)
                nothing.violations.emplace_back("a check failed");
            return nothing;
        });
    return result;
}

/// Collects what is written to standard error while it exists.
class captured_errors {
public:
    captured_errors() : file_(std::tmpfile(), std::fclose), saved_(::dup(STDERR_FILENO))
    {
        if (!file_ || saved_ < 0)
            throw std::runtime_error("cannot capture standard error");
        std::fflush(stderr);
        ::dup2(::fileno(file_.get()), STDERR_FILENO);
    }

    ~captured_errors() { restore(); }

    std::string text()
    {
        restore();
        std::string all;
        std::rewind(file_.get());
        for (int byte = std::fgetc(file_.get()); byte != EOF; byte = std::fgetc(file_.get()))
            all += static_cast<char>(byte);
        return all;
    }

private:
    void restore()
    {
        if (saved_ < 0)
            return;
        std::fflush(stderr);
        ::dup2(saved_, STDERR_FILENO);
        ::close(saved_);
        saved_ = -1;
    }

    std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
    int saved_;
};

void expect_rejected(arguments given, const std::string& sentence)
{
    captured_errors errors;
    const auto result = run(std::move(given));
    const auto text = errors.text();
    BOOST_TEST(result.code == 2, sentence);
    BOOST_TEST(result.seeds.empty(), sentence);
    BOOST_TEST(text.find(sentence + "\nusage: simulate ") == 0u,
               "expected: " << sentence << "; printed: " << text);
    BOOST_TEST(text.find("--minutes M") != std::string::npos, text);
}

} // namespace

BOOST_AUTO_TEST_CASE(options_choose_the_seeds_in_any_order)
{
    for (const auto& given : std::vector<arguments>{{"--seed", "4", "--minutes", "1"},
                                                    {"--minutes", "1", "--seed", "4"}}) {
        const auto result = run(given);
        BOOST_TEST(result.code == 1); // a finding, at the failing seed
        BOOST_TEST(result.seeds == (seed_set{4, 5, 6}), boost::test_tools::per_element());
    }
    for (const auto& given : std::vector<arguments>{{"--seeds", "2..4", "--minutes", "1"},
                                                    {"--minutes", "1", "--seeds", "2..4"},
                                                    {"--threads", "1", "--seeds", "2..4"}}) {
        const auto result = run(given);
        BOOST_TEST(result.code == 0);
        BOOST_TEST(result.seeds == (seed_set{2, 3, 4}), boost::test_tools::per_element());
    }
    for (const auto& given :
         std::vector<arguments>{{"--seed", "3", "--trace"},
                                {"--trace", "--seed", "3"},
                                {"--only", "order-1", "--seed", "3", "--usual-faults"},
                                {"--matrix", "--seed", "3"}}) {
        const auto result = run(given);
        BOOST_TEST(result.code == 0);
        BOOST_TEST(result.seeds == seed_set{3}, boost::test_tools::per_element());
    }
}

BOOST_AUTO_TEST_CASE(the_largest_range_of_seeds_is_searched)
{
    const auto result = run({"--seeds", "0..18446744073709551615"});
    BOOST_TEST(result.code == 1);
    BOOST_TEST(result.seeds.size() == failing_seed + 1);
}

BOOST_AUTO_TEST_CASE(help_simulates_nothing)
{
    for (const auto& given :
         std::vector<arguments>{{"--help"}, {"--seed", "3", "--help"}, {"--help", "--trace"}}) {
        const auto result = run(given);
        BOOST_TEST(result.code == 0);
        BOOST_TEST(result.seeds.empty());
    }
}

BOOST_AUTO_TEST_CASE(wrong_arguments_are_named_with_their_value)
{
    expect_rejected({"--seed"}, "--seed needs a value");
    expect_rejected({"--seed", "x"}, "--seed is \"x\"; it must be a whole number from 0 to "
                                     "18446744073709551615");
    expect_rejected({"--seed", "-1"}, "--seed is \"-1\"; it must be a whole number from 0 to "
                                      "18446744073709551615");
    expect_rejected({"--seed", "18446744073709551616"},
                    "--seed is \"18446744073709551616\"; it must be a whole number from 0 to "
                    "18446744073709551615");
    for (const char* const range : {"3", "3..1", "..", "1..", "1..x", "1..2..3"})
        expect_rejected({"--seeds", range}, "--seeds is \"" + std::string{range} +
                                                "\"; it must be A..B, two whole numbers of which "
                                                "A does not exceed B");
    expect_rejected({"--minutes", "0"},
                    "--minutes is \"0\"; it must be a whole number from 1 to 1000000");
    expect_rejected({"--minutes", "1000001"},
                    "--minutes is \"1000001\"; it must be a whole number from 1 to 1000000");
    for (const char* const number : {"0", "257", "two", ""})
        expect_rejected({"--threads", number}, "--threads is \"" + std::string{number} +
                                                   "\"; it must be a whole number from 1 to 256");
    expect_rejected({"--sed", "3"}, "unknown option \"--sed\"");
    expect_rejected({"3"}, "unknown option \"3\"");
}

BOOST_AUTO_TEST_CASE(an_option_without_effect_is_rejected)
{
    const std::string one_seed = " requires one seed: --seed N without --minutes";
    expect_rejected({"--trace"}, "--trace" + one_seed);
    expect_rejected({"--only", "order-1"}, "--only" + one_seed);
    expect_rejected({"--trace", "--seeds", "1..3"}, "--trace" + one_seed);
    expect_rejected({"--seed", "1", "--minutes", "1", "--trace"}, "--trace" + one_seed);
    expect_rejected({"--seeds", "1..3", "--seed", "2"}, "--seed cannot be combined with --seeds");
    expect_rejected({"--matrix", "--seeds", "1..3"}, "--matrix cannot be combined with --seeds");
    expect_rejected({"--minutes", "1", "--matrix"}, "--matrix cannot be combined with --minutes");
    expect_rejected({"--matrix", "--threads", "2"}, "--matrix cannot be combined with --threads");
    expect_rejected({"--matrix", "--seed", "1", "--trace"},
                    "--matrix cannot be combined with --trace");
}

BOOST_AUTO_TEST_SUITE_END()
