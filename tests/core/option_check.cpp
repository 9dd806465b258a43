#include "core/option_check.hpp"

#include "pawl/error.hpp"

#include <boost/test/unit_test.hpp>

#include <cstdint>
#include <functional>
#include <limits>
#include <string>

using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(option_check)

namespace {

std::string refusal_of(const std::function<void(const pawl::core::option_check&)>& check_field)
{
    try {
        check_field(pawl::core::option_check{"engine_options::"});
    } catch (const pawl::definition_error& error) {
        return error.what();
    }
    return "accepted";
}

} // namespace

BOOST_AUTO_TEST_CASE(a_refusal_names_field_value_and_range)
{
    BOOST_TEST(refusal_of([](const auto& check) {
                   check.at_least("max_batch", std::size_t{0}, 1);
               }) == "engine_options::max_batch is 0; it must be at least 1");
    BOOST_TEST(refusal_of([](const auto& check) { check.within("shards", 1'025u, 1, 1'024); }) ==
               "engine_options::shards is 1,025; it must be from 1 to 1,024");
    BOOST_TEST(refusal_of([](const auto& check) {
                   check.within("lease", pawl::duration{9ms}, 10ms, 24h);
               }) == "engine_options::lease is 9 ms; it must be from 10 ms to 86,400 s");
    BOOST_TEST(refusal_of([](const auto& check) { check.above_zero("poll_interval", -1us); }) ==
               "engine_options::poll_interval is -1 us; it must be above 0 s");
    BOOST_TEST(refusal_of([](const auto& check) { check.require(false, "store is required"); }) ==
               "engine_options::store is required");
}

BOOST_AUTO_TEST_CASE(the_ends_of_a_range_are_accepted)
{
    for (const auto value : {1, 1'000})
        BOOST_TEST(refusal_of([&](const auto& check) { check.within("n", value, 1, 1'000); }) ==
                   "accepted");
    BOOST_TEST(refusal_of([](const auto& check) { check.at_least("n", 0s, 0s); }) == "accepted");
    BOOST_TEST(refusal_of([](const auto& check) { check.above_zero("n", 1us); }) == "accepted");
}

BOOST_AUTO_TEST_CASE(numbers_and_times_are_written_for_people)
{
    using pawl::core::text_of;
    BOOST_TEST(text_of(0) == "0");
    BOOST_TEST(text_of(-999) == "-999");
    BOOST_TEST(text_of(-1'000) == "-1,000");
    BOOST_TEST(text_of(std::size_t{1'234'567}) == "1,234,567");
    BOOST_TEST(text_of(std::numeric_limits<std::int64_t>::min()) == "-9,223,372,036,854,775,808");
    BOOST_TEST(text_of(pawl::duration{0}) == "0 s");
    BOOST_TEST(text_of(pawl::duration{90min}) == "5,400 s");
    BOOST_TEST(text_of(pawl::duration{1'500ms}) == "1,500 ms");
    BOOST_TEST(text_of(pawl::duration{1'500us}) == "1,500 us");
}

BOOST_AUTO_TEST_SUITE_END()
