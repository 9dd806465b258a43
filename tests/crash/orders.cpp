// An order with a crash beside each call that it makes, to the store or to a service: it ends as it
// does without, and each effect is in the ledgers once.
#include "simulation/worlds.hpp"

#include <boost/test/unit_test.hpp>

#include <string>
#include <vector>

BOOST_AUTO_TEST_SUITE(orders)

using namespace simulation_test;

namespace {

void try_every_crash(const order_case& drawn, const std::vector<std::string>& wanted)
{
    std::vector<std::string> effects;
    std::vector<std::string> differences;
    const auto result = pawl::testing::run_crash_matrix([&](simulation_options options) {
        auto made = run_one_order(std::move(options), drawn, effects);
        if (effects != wanted) {
            std::string text = "the ledgers have";
            for (const auto& each : effects)
                text += " [" + each + "]";
            made.violations.push_back(text);
        }
        return made;
    });
    BOOST_TEST_MESSAGE(result.calls << " calls, " << result.simulations << " lives");
    BOOST_TEST(result.calls > 20u);
    BOOST_TEST(result.simulations == 2 * result.calls + 1);
    for (const auto& sentence : result.violations)
        BOOST_TEST(false, sentence);
}

} // namespace

BOOST_AUTO_TEST_CASE(an_order_that_is_fulfilled)
{
    try_every_crash({}, {"charge 19.99", "reserve", "shipment"});
}

BOOST_AUTO_TEST_CASE(an_order_of_which_a_part_is_in_stock)
{
    try_every_crash({.quantity = 3}, {"charge 59.97", "reserve", "refund 19.99", "shipment"});
}

BOOST_AUTO_TEST_CASE(an_order_that_is_not_in_stock_and_refunded)
{
    try_every_crash({.quantity = 3, .allow_partial = false}, {"charge 59.97", "refund 59.97"});
}

BOOST_AUTO_TEST_CASE(an_order_that_cannot_be_shipped)
{
    try_every_crash({.country = "Nowhere"}, {"charge 19.99", "reserve", "refund 19.99", "release"});
}

BOOST_AUTO_TEST_CASE(an_order_whose_first_card_is_refused)
{
    try_every_crash({.payment_method = "invalid_card"}, {"charge 19.99", "reserve", "shipment"});
}

BOOST_AUTO_TEST_CASE(a_payment_that_is_captured_later)
{
    try_every_crash({.payment_method = "debit_card", .pending_polls = 2},
                    {"authorize 19.99", "capture 19.99", "reserve", "shipment"});
}

BOOST_AUTO_TEST_CASE(a_customer_who_changes_his_mind)
{
    try_every_crash({.payment_method = "stuck_card", .cancels = true},
                    {"authorize 19.99", "void 19.99"});
}

BOOST_AUTO_TEST_SUITE_END()
