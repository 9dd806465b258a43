// Numbers as JSON: every integer type to its limits, doubles to the last bit, durations.
#include "codec/support.hpp"

#include <bit>
#include <chrono>
#include <cstdint>
#include <limits>
#include <random>

BOOST_AUTO_TEST_SUITE(codec_numbers)

using namespace codec_test;

template <class T>
void check_limits()
{
    using limits = std::numeric_limits<T>;
    for (const T value : {limits::min(), T{0}, T{1}, limits::max()})
        BOOST_TEST(round_trip(value) == value);
    BOOST_TEST(encode(limits::max()) == std::to_string(limits::max()));
}

BOOST_AUTO_TEST_CASE(integers_keep_their_limits)
{
    check_limits<std::int8_t>();
    check_limits<std::uint8_t>();
    check_limits<std::int16_t>();
    check_limits<std::uint16_t>();
    check_limits<std::int32_t>();
    check_limits<std::uint32_t>();
    check_limits<std::int64_t>();
    check_limits<std::uint64_t>();
    check_limits<long long>();
    check_limits<unsigned long>();
}

BOOST_AUTO_TEST_CASE(an_integer_past_its_range_is_refused)
{
    BOOST_TEST(contains(decode_failure<std::uint8_t>("256", ""), "from 0 to 255, found 256"));
    BOOST_TEST(contains(decode_failure<std::uint8_t>("-1", ""), "found -1"));
    BOOST_TEST(contains(decode_failure<std::int8_t>("-129", ""), "from -128 to 127"));
    BOOST_TEST(contains(decode_failure<std::int64_t>("9223372036854775808", ""), "found 9223372"));
    BOOST_TEST(contains(decode_failure<std::int64_t>("-9223372036854775809", ""), "an integer"));
    BOOST_TEST(contains(decode_failure<std::uint64_t>("18446744073709551616", ""), "an integer"));
    BOOST_TEST(contains(decode_failure<std::int32_t>("1e300", ""), "found 1e+300"));
}

BOOST_AUTO_TEST_CASE(a_whole_number_with_a_fraction_part_is_an_integer)
{
    BOOST_TEST(decode<int>("1.0") == 1);
    BOOST_TEST(decode<int>("-2.5e1") == -25);
    BOOST_TEST(decode<std::uint64_t>("1e3") == 1000u);
    BOOST_TEST(decode<int>("-0") == 0);
    BOOST_TEST(decode<std::int64_t>("9007199254740991.0") == 9007199254740991);
    // Doubles from 2^53 on are not exact, so this could be the rounding of another integer.
    BOOST_TEST(contains(decode_failure<std::int64_t>("9007199254740993.0", ""), "an integer"));
    BOOST_TEST(contains(decode_failure<int>("1.5", ""), "found 1.5"));
    BOOST_TEST(contains(decode_failure<unsigned>("1.5", ""), "found 1.5"));
    BOOST_TEST(contains(decode_failure<int>("\"1\"", ""), "expected an integer, found a string"));
    BOOST_TEST(contains(decode_failure<unsigned>("true", ""), "expected an integer, found true"));
}

BOOST_AUTO_TEST_CASE(doubles_take_the_shortest_form_that_reads_back)
{
    BOOST_TEST(encode(99.99) == "99.99");
    BOOST_TEST(encode(1.0) == "1");
    BOOST_TEST(encode(0.1f) == "0.1");
    BOOST_TEST(encode(-0.0) == "-0.0");
    BOOST_TEST(std::signbit(round_trip(-0.0)));
    BOOST_TEST(decode<double>("3") == 3.0);
    BOOST_TEST(decode<double>("18446744073709551615") == 18446744073709551615.0);
}

BOOST_AUTO_TEST_CASE(every_double_and_float_comes_back_bit_for_bit)
{
    std::mt19937_64 random{2026};
    for (int i = 0; i < 20'000; ++i) {
        const auto real = std::bit_cast<double>(random());
        if (std::isfinite(real))
            BOOST_REQUIRE_EQUAL(std::bit_cast<std::uint64_t>(round_trip(real)),
                                std::bit_cast<std::uint64_t>(real));
        const auto small = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
        if (std::isfinite(small))
            BOOST_REQUIRE_EQUAL(std::bit_cast<std::uint32_t>(round_trip(small)),
                                std::bit_cast<std::uint32_t>(small));
    }
    using limits = std::numeric_limits<double>;
    for (const double value :
         {limits::max(), limits::lowest(), limits::min(), limits::denorm_min()})
        BOOST_TEST(round_trip(value) == value);
}

BOOST_AUTO_TEST_CASE(numbers_that_json_lacks_are_refused)
{
    BOOST_TEST(contains(encode_failure(std::numeric_limits<double>::quiet_NaN(), ""), "not-a-num"));
    BOOST_TEST(contains(encode_failure(std::numeric_limits<double>::infinity(), ""), "infinity"));
    BOOST_TEST(contains(encode_failure(-std::numeric_limits<float>::infinity(), ""), "infinity"));
    BOOST_TEST(contains(decode_failure<double>("1e400", ""), "larger"));
    BOOST_TEST(contains(decode_failure<float>("1e39", ""), "larger"));
    BOOST_TEST(decode<double>("1e-400") == 0.0);
    BOOST_TEST(contains(decode_failure<double>("null", ""), "expected a number, found null"));
}

BOOST_AUTO_TEST_CASE(booleans)
{
    BOOST_TEST(encode(true) == "true");
    BOOST_TEST(decode<bool>("false") == false);
    BOOST_TEST(contains(decode_failure<bool>("0", ""), "expected true or false, found a number"));
}

BOOST_AUTO_TEST_CASE(durations_are_microseconds)
{
    using namespace std::chrono;
    BOOST_TEST(encode(1500ms) == "1500000");
    BOOST_TEST(encode(-2min) == "-120000000");
    BOOST_TEST(encode(1999ns) == "1");
    BOOST_TEST(encode(hours{2}) == "7200000000");
    BOOST_TEST((decode<milliseconds>("1500000") == 1500ms));
    BOOST_TEST((decode<nanoseconds>("3") == 3000ns));
    BOOST_TEST((decode<seconds>("1999999") == 1s));
    BOOST_TEST(contains(encode_failure(seconds::max(), ""), "too long"));
    BOOST_TEST(contains(decode_failure<nanoseconds>("9223372036854775807", ""), "range"));
    BOOST_TEST(contains(decode_failure<duration<std::int8_t>>("128000000", ""), "range"));
}

BOOST_AUTO_TEST_SUITE_END()
