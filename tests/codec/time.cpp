// Times as ISO 8601 in UTC: what is written, which forms are read, and which are refused.
#include "codec/support.hpp"

#include <chrono>

BOOST_AUTO_TEST_SUITE(codec_time)

using namespace codec_test;
using namespace std::chrono_literals;
using pawl::time_point;

namespace {

time_point at(std::string_view text)
{
    return decode<time_point>('"' + std::string{text} + '"');
}

std::string text_of(time_point time)
{
    const auto quoted = encode(time);
    return quoted.substr(1, quoted.size() - 2);
}

constexpr time_point sample{1'795'393'098'123'456us}; // 2026-11-23T00:18:18.123456Z

} // namespace

BOOST_AUTO_TEST_CASE(writes_fractions_of_none_three_or_six_digits)
{
    BOOST_TEST(text_of(time_point{}) == "1970-01-01T00:00:00Z");
    BOOST_TEST(text_of(sample) == "2026-11-23T00:18:18.123456Z");
    BOOST_TEST(text_of(time_point{120'000us}) == "1970-01-01T00:00:00.120Z");
    BOOST_TEST(text_of(time_point{1us}) == "1970-01-01T00:00:00.000001Z");
    BOOST_TEST(text_of(time_point{-1us}) == "1969-12-31T23:59:59.999999Z");
    BOOST_TEST(encode(std::chrono::sys_time<std::chrono::nanoseconds>{1ns}) ==
               "\"1970-01-01T00:00:00.000000001Z\"");
    BOOST_TEST(encode(std::chrono::sys_days{std::chrono::year{2024} / 2 / 29}) ==
               "\"2024-02-29T00:00:00Z\"");
}

BOOST_AUTO_TEST_CASE(every_day_from_year_0_to_9999_comes_back)
{
    using std::chrono::sys_days;
    const sys_days first{std::chrono::year{0} / 1 / 1};
    const sys_days last{std::chrono::year{9999} / 12 / 31};
    // 97 days is prime to weeks, months and leap years, so the walk meets all kinds of days.
    for (auto day = first; day <= last; day += std::chrono::days{97}) {
        const time_point time = day + 86'399s + 999'999us;
        BOOST_REQUIRE((at(text_of(time)) == time));
    }
    BOOST_TEST(text_of(first) == "0000-01-01T00:00:00Z");
    BOOST_TEST(text_of(last + 86'399s + 999'999us) == "9999-12-31T23:59:59.999999Z");
}

BOOST_AUTO_TEST_CASE(reads_fractions_of_any_length_to_nine)
{
    BOOST_TEST((at("2026-11-23T00:18:18Z") == std::chrono::floor<std::chrono::seconds>(sample)));
    BOOST_TEST((at("2026-11-23T00:18:18.1Z") == sample - 23'456us));
    BOOST_TEST((at("2026-11-23T00:18:18.123456999Z") == sample));
    using nano_time = std::chrono::sys_time<std::chrono::nanoseconds>;
    BOOST_TEST(
        (decode<nano_time>("\"1970-01-01T00:00:00.123456789Z\"") == nano_time{123'456'789ns}));
    BOOST_TEST((decode<std::chrono::sys_days>("\"2024-02-29T13:00:00Z\"") ==
                std::chrono::sys_days{std::chrono::year{2024} / 2 / 29}));
}

BOOST_AUTO_TEST_CASE(converts_offsets)
{
    BOOST_TEST((at("2026-11-23T02:18:18.123456+02:00") == sample));
    BOOST_TEST((at("2026-11-22T18:48:18.123456-05:30") == sample));
    BOOST_TEST((at("2026-11-23T00:18:18.123456-00:00") == sample));
}

BOOST_AUTO_TEST_CASE(refuses_what_is_no_time)
{
    for (const char* text : {"",
                             "2026",
                             "2026-11-23",
                             "2026-11-23T00:18:18",
                             "2026-11-23 00:18:18Z",
                             "2026-11-23T00:18Z",
                             "2026-02-29T00:00:00Z",
                             "1900-02-29T00:00:00Z",
                             "2026-04-31T00:00:00Z",
                             "2026-00-10T00:00:00Z",
                             "2026-13-10T00:00:00Z",
                             "2026-10-00T00:00:00Z",
                             "2026-10-32T00:00:00Z",
                             "2026-11-23T24:00:00Z",
                             "2026-11-23T23:60:00Z",
                             "2026-11-23T23:59:60Z",
                             "2026-11-23T00:18:18.1234567890Z",
                             "2026-11-23T00:18:18.Z",
                             "2026-11-23T00:18:18+0200",
                             "2026-11-23T00:18:18+24:00",
                             "2026-11-23T00:18:18+02:60",
                             "2026-11-23T00:18:18Z ",
                             "26-11-23T00:18:18Z",
                             "12026-11-23T00:18:18Z",
                             "-026-11-23T00:18:18Z",
                             "0000-01-01T00:00:00+00:01",
                             "9999-12-31T23:59:59-00:01",
                             "now"}) {
        BOOST_TEST_CONTEXT(text)
        BOOST_TEST(contains(decode_failure<time_point>('"' + std::string{text} + '"', ""),
                            "expected a time"));
    }
    BOOST_TEST(
        (at("2000-02-29T00:00:00Z") == std::chrono::sys_days{std::chrono::year{2000} / 2 / 29}));
    BOOST_TEST(contains(decode_failure<time_point>("1795393098", ""), "expected a string"));
}

BOOST_AUTO_TEST_CASE(a_time_outside_its_type_or_the_calendar_is_refused)
{
    using nano_time = std::chrono::sys_time<std::chrono::nanoseconds>;
    BOOST_TEST(contains(decode_failure<nano_time>("\"2300-01-01T00:00:00Z\"", ""), "range"));
    BOOST_TEST(contains(decode_failure<nano_time>("\"1600-01-01T00:00:00Z\"", ""), "range"));
    BOOST_TEST((round_trip(nano_time::min() + 1s) == nano_time::min() + 1s));
    BOOST_TEST((round_trip(nano_time::max() - 1s) == nano_time::max() - 1s));
    BOOST_TEST(contains(encode_failure(std::chrono::sys_days::max(), ""), "years 0000 to 9999"));
    BOOST_TEST(contains(encode_failure(time_point::max(), ""), "years 0000 to 9999"));
    BOOST_TEST(contains(encode_failure(time_point::min(), ""), "years 0000 to 9999"));
}

BOOST_AUTO_TEST_SUITE_END()
