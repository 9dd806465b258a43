// Amounts of money: exact in both directions, refused when they cannot be, checked in arithmetic.
#include "money.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <boost/test/unit_test.hpp>

#include <limits>
#include <string>

BOOST_AUTO_TEST_SUITE(money_amounts)

using order_processing::money;
using order_processing::money_error;

namespace {

money read(const std::string& json)
{
    return money::from_json(boost::json::parse(json));
}

bool says(const money_error& error, std::string_view word)
{
    return std::string_view{error.what()}.find(word) != std::string_view::npos;
}

} // namespace

BOOST_AUTO_TEST_CASE(reads_json_numbers_of_every_kind)
{
    BOOST_TEST(read("99.99").minor() == 9'999);
    BOOST_TEST(read("1500.00").minor() == 150'000);
    BOOST_TEST(read("1500").minor() == 150'000);
    BOOST_TEST(read("1.5e3").minor() == 150'000);
    BOOST_TEST(read("0").minor() == 0);
    BOOST_TEST(read("-0.0").minor() == 0);
    BOOST_TEST(read("-0.05").minor() == -5);
    BOOST_TEST(read("1000000000000").minor() == money::max_minor);
    BOOST_TEST(read("999999999999.99").minor() == money::max_minor - 1);
}

BOOST_AUTO_TEST_CASE(each_cent_survives_text_and_back)
{
    for (std::int64_t base : {0LL, 100'000LL, 123'456'789'00LL, 99'999'999'990'000LL})
        for (std::int64_t cents = base; cents < base + 10'000; ++cents) {
            const auto amount = money::from_minor(cents);
            BOOST_REQUIRE(read(to_string(amount)).minor() == cents);
            BOOST_REQUIRE(read("-" + to_string(amount)).minor() == -cents);
        }
}

BOOST_AUTO_TEST_CASE(writes_two_decimals)
{
    BOOST_TEST(to_string(money::from_minor(9'999)) == "99.99");
    BOOST_TEST(to_string(money::from_major(1'500)) == "1500.00");
    BOOST_TEST(to_string(money::from_minor(5)) == "0.05");
    BOOST_TEST(to_string(money::from_minor(-5)) == "-0.05");
    BOOST_TEST(to_string(money{}) == "0.00");
}

BOOST_AUTO_TEST_CASE(refuses_more_than_two_decimals)
{
    for (const char* text : {"0.001", "99.999", "1e-3", "100000000000.001", "999999999999.999",
                             "-0.005", "33.333333333"})
        BOOST_CHECK_EXCEPTION(read(text), money_error,
                              [](const auto& e) { return says(e, "two decimals"); });
}

BOOST_AUTO_TEST_CASE(refuses_what_is_out_of_range_or_no_number)
{
    using limits = std::numeric_limits<double>;
    BOOST_CHECK_THROW(money::from_double(limits::quiet_NaN()), money_error);
    BOOST_CHECK_THROW(money::from_double(limits::infinity()), money_error);
    BOOST_CHECK_THROW(money::from_double(-limits::infinity()), money_error);
    for (const char* text : {"1000000000000.01", "1000000000001", "-1000000000001", "1e300",
                             "9223372036854775807", "18446744073709551615"})
        BOOST_CHECK_EXCEPTION(read(text), money_error,
                              [](const auto& e) { return says(e, "10^12"); });
    for (const char* text : {"\"99.99\"", "null", "true", "[1]", "{}"})
        BOOST_CHECK_EXCEPTION(read(text), money_error,
                              [](const auto& e) { return says(e, "number"); });
}

BOOST_AUTO_TEST_CASE(arithmetic_is_checked)
{
    const auto largest = money::from_minor(money::max_minor);
    const auto cent = money::from_minor(1);
    BOOST_TEST((money::from_minor(9'999) + cent).minor() == 10'000);
    BOOST_TEST((cent - money::from_minor(9'999)).minor() == -9'998);
    BOOST_TEST((money::from_minor(9'999) * 3).minor() == 29'997);
    BOOST_CHECK_THROW(largest + cent, money_error);
    BOOST_CHECK_THROW(money{} - largest - cent, money_error);
    BOOST_CHECK_THROW(largest * 2, money_error);
    BOOST_CHECK_THROW(cent * std::numeric_limits<std::int64_t>::max(), money_error);
    BOOST_CHECK_THROW(largest * std::numeric_limits<std::int64_t>::max(), money_error);
    BOOST_CHECK_THROW(money::from_major(std::numeric_limits<std::int64_t>::min()), money_error);
}

BOOST_AUTO_TEST_CASE(compares_by_value)
{
    BOOST_TEST((money::from_major(1'000) < read("1000.01")));
    BOOST_TEST((read("0.30") == read("0.1") + read("0.2")));
}

BOOST_AUTO_TEST_SUITE_END()
