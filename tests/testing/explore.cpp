// The search for defects in a user's workflow: a payment with one mistake at a time, each of which
// is found without a check of the user's own, and the same payment without a mistake.
#include "pawl/testing/explore.hpp"
#include "payments.hpp"

#include <boost/test/unit_test.hpp>

#include <atomic>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>

BOOST_AUTO_TEST_SUITE(exploring)

using namespace payment_test;

namespace {

void expect_found(mistake made, const std::string& words)
{
    const auto result = pawl::testing::explore(life_with(made), seeds(200));
    BOOST_REQUIRE_MESSAGE(result.found.has_value(), words);
    BOOST_TEST_MESSAGE("seed " << result.found->seed << ": " << result.found->sentences.front());
    BOOST_TEST(result.found->sentences.front().find(words) != std::string::npos,
               result.found->sentences.front());
    // The finding is repeated from its seed.
    const auto again = live_with(made, options_of(seeds(1), result.found->seed));
    BOOST_TEST(again.violations == result.found->sentences, boost::test_tools::per_element());
}

} // namespace

BOOST_AUTO_TEST_CASE(a_correct_workflow_is_clean)
{
    const auto result = pawl::testing::explore(life_with(mistake::none), seeds(100));
    BOOST_TEST(!result.found.has_value(),
               (result.found ? result.found->sentences.front() : std::string{}));
    BOOST_TEST(result.seeds == 100u);
    BOOST_TEST(result.runs == 300u);
    BOOST_TEST(result.crashes > 0u);
}

BOOST_AUTO_TEST_CASE(effects_without_a_key_are_found)
{
    expect_found(mistake::charge_without_key, "bank: charge of order-");
    expect_found(mistake::shipment_without_key, "depot: ship of order-");
    expect_found(mistake::receipt_without_key, "mail: receipt of order-");
}

BOOST_AUTO_TEST_CASE(an_effect_that_is_made_twice_is_found)
{
    expect_found(mistake::key_of_the_attempt, " was made twice, under the keys ");
    // A message that has failed for good is sent again, and has another key.
    expect_found(mistake::key_of_the_message, " was made twice, under the keys ");
}

BOOST_AUTO_TEST_CASE(a_repeated_request_with_other_arguments_is_found)
{
    expect_found(mistake::price_not_recorded, " was requested under the key ");
}

BOOST_AUTO_TEST_CASE(a_run_that_is_left_is_found)
{
    expect_found(mistake::unknown_charge_held, "it waits for an event from outside");
}

BOOST_AUTO_TEST_CASE(a_program_that_is_not_repeatable_is_found)
{
    const auto lives = std::make_shared<std::atomic<int>>(0);
    const auto result = pawl::testing::explore(
        [lives](simulation_options options) {
            options.fault_duration = std::chrono::minutes{++*lives};
            return live_with(mistake::none, std::move(options));
        },
        seeds(10));
    BOOST_REQUIRE(result.found.has_value());
    BOOST_TEST(result.found->sentences.front().find("two simulations of seed 1 differ") == 0u);
}

BOOST_AUTO_TEST_CASE(what_a_life_throws_is_a_finding)
{
    const auto result = pawl::testing::explore([](simulation_options options) -> simulation_result {
        if (options.seed == 7)
            throw std::runtime_error("no such seed");
        return {};
    });
    BOOST_REQUIRE(result.found.has_value());
    BOOST_TEST(result.found->seed == 7u);
    BOOST_TEST(result.found->sentences.front() == "the simulation threw: no such seed");
}

BOOST_AUTO_TEST_CASE(several_threads_find_the_lowest_seed_that_fails)
{
    auto options = seeds(50);
    options.repeat_every = 0;
    const auto alone = pawl::testing::explore(life_with(mistake::key_of_the_attempt), options);
    options.threads = 4;
    const auto together = pawl::testing::explore(life_with(mistake::key_of_the_attempt), options);
    BOOST_REQUIRE((alone.found && together.found));
    BOOST_TEST(together.found->seed == alone.found->seed);
    BOOST_TEST(together.found->sentences.front().find(" was made twice") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(fault_rates_follow_from_the_seed_and_vary)
{
    std::set<std::uint32_t> rates;
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
        const auto drawn = pawl::testing::draw_faults(seed);
        BOOST_TEST(drawn.call_lost == pawl::testing::draw_faults(seed).call_lost);
        rates.insert(drawn.call_lost);
    }
    BOOST_TEST(rates.size() == 4u); // none, the default, and two that are higher
}

BOOST_AUTO_TEST_CASE(options_out_of_range_are_refused)
{
    auto options = seeds(1);
    options.threads = 0;
    BOOST_CHECK_THROW(pawl::testing::explore(life_with(mistake::none), options),
                      pawl::definition_error);
    options = seeds(0);
    BOOST_CHECK_THROW(pawl::testing::explore(life_with(mistake::none), options),
                      pawl::definition_error);
}

BOOST_AUTO_TEST_SUITE_END()
