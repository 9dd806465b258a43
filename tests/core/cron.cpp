// Cron expressions: what is understood, what is refused and how it is said, and the slots that they
// give, also where clocks are changed.
#include "core/cron.hpp"
#include "pawl/codec.hpp"
#include "pawl/error.hpp"
#include "printing.hpp"
#include "temporary_folder.hpp"

#include <boost/test/unit_test.hpp>

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

BOOST_AUTO_TEST_SUITE(cron_expressions)

namespace {

using namespace std::chrono_literals;
using pawl::core::cron;

pawl::time_point at(const std::string& text)
{
    return pawl::codec<pawl::time_point>::decode('"' + text + '"');
}

std::string text_of(std::optional<pawl::time_point> slot)
{
    if (!slot)
        return "none";
    std::string text;
    pawl::codec<pawl::time_point>::encode(*slot, text);
    return text.substr(1, text.size() - 2);
}

void check_slots(const std::string& expression, const std::string& zone, const std::string& from,
                 const std::vector<std::string>& expected)
{
    BOOST_TEST_CONTEXT(expression << " in " << zone << " from " << from)
    {
        const cron when{expression, zone, at(from)};
        auto slot = at(from);
        std::vector<std::string> slots;
        for (std::size_t i = 0; i < expected.size(); ++i) {
            const auto next = when.next(slot);
            slots.push_back(text_of(next));
            if (!next)
                break;
            slot = *next;
        }
        BOOST_TEST(slots == expected, boost::test_tools::per_element());
    }
}

void check_utc(const std::string& expression, const std::string& from,
               const std::vector<std::string>& expected)
{
    check_slots(expression, "UTC", from, expected);
}

std::string refusal(const std::string& expression, const std::string& zone = "UTC")
{
    try {
        cron{expression, zone, {}};
    } catch (const pawl::error& e) {
        BOOST_TEST(e.code() == pawl::errc::invalid_argument);
        return e.detail();
    }
    return "accepted";
}

bool says(const std::string& text, const std::string& words)
{
    return text.find(words) != std::string::npos;
}

} // namespace

BOOST_AUTO_TEST_CASE(numbers_lists_ranges_steps_and_names)
{
    const std::string from = "2024-02-27T22:58:30Z"; // a Tuesday
    check_utc("* * * * *", from, {"2024-02-27T22:59:00Z", "2024-02-27T23:00:00Z"});
    check_utc("5 * * * *", from, {"2024-02-27T23:05:00Z", "2024-02-28T00:05:00Z"});
    check_utc("*/20 * * * *", from,
              {"2024-02-27T23:00:00Z", "2024-02-27T23:20:00Z", "2024-02-27T23:40:00Z"});
    check_utc("10-30/10,50 8 * * *", from,
              {"2024-02-28T08:10:00Z", "2024-02-28T08:20:00Z", "2024-02-28T08:30:00Z",
               "2024-02-28T08:50:00Z", "2024-02-29T08:10:00Z"});
    check_utc("40/10 0 * * *", from, {"2024-02-28T00:40:00Z", "2024-02-28T00:50:00Z"});
    check_utc("0 9-17/4 * * MON-FRI", "2024-03-01T18:00:00Z", // a Friday
              {"2024-03-04T09:00:00Z", "2024-03-04T13:00:00Z", "2024-03-04T17:00:00Z",
               "2024-03-05T09:00:00Z"});
    check_utc("0 0 ? JAN,dec *", from, {"2024-12-01T00:00:00Z", "2024-12-02T00:00:00Z"});
    check_utc("0 0 * * 7", from, {"2024-03-03T00:00:00Z", "2024-03-10T00:00:00Z"});
    check_utc("0 0 * * 0", from, {"2024-03-03T00:00:00Z", "2024-03-10T00:00:00Z"});
    check_utc("0 0 * * fri-7", from,
              {"2024-03-01T00:00:00Z", "2024-03-02T00:00:00Z", "2024-03-03T00:00:00Z",
               "2024-03-08T00:00:00Z"});
    check_utc("  0\t0  1 * *  ", from, {"2024-03-01T00:00:00Z"});
    check_utc("59 23 31 12 *", from, {"2024-12-31T23:59:00Z", "2025-12-31T23:59:00Z"});
}

BOOST_AUTO_TEST_CASE(a_slot_comes_after_its_time_never_at_it)
{
    check_utc("0 0 * * *", "2024-01-01T00:00:00Z", {"2024-01-02T00:00:00Z"});
    check_utc("0 0 * * *", "2023-12-31T23:59:59.999999Z", {"2024-01-01T00:00:00Z"});
}

BOOST_AUTO_TEST_CASE(of_two_kinds_of_days_either_is_enough)
{
    // The 13th and each Friday.
    check_utc("0 0 13 * 5", "2024-09-01T00:00:00Z",
              {"2024-09-06T00:00:00Z", "2024-09-13T00:00:00Z", "2024-09-20T00:00:00Z",
               "2024-09-27T00:00:00Z", "2024-10-04T00:00:00Z", "2024-10-11T00:00:00Z",
               "2024-10-13T00:00:00Z"});
}

BOOST_AUTO_TEST_CASE(days_that_not_every_month_or_year_has)
{
    check_utc("0 0 31 * *", "2024-01-31T00:00:00Z",
              {"2024-03-31T00:00:00Z", "2024-05-31T00:00:00Z"});
    check_utc("0 0 29 2 *", "2024-02-29T00:00:00Z",
              {"2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"});
    check_utc("0 0 29 2 *", "2096-02-29T00:00:00Z", {"2104-02-29T00:00:00Z"}); // not 2100
}

BOOST_AUTO_TEST_CASE(shorthands)
{
    const std::string from = "2024-04-09T10:30:00Z"; // a Tuesday
    check_utc("@yearly", from, {"2025-01-01T00:00:00Z"});
    check_utc("@annually", from, {"2025-01-01T00:00:00Z"});
    check_utc("@monthly", from, {"2024-05-01T00:00:00Z", "2024-06-01T00:00:00Z"});
    check_utc("@weekly", from, {"2024-04-14T00:00:00Z"});
    check_utc("@daily", from, {"2024-04-10T00:00:00Z"});
    check_utc("@Midnight", from, {"2024-04-10T00:00:00Z"});
    check_utc("@hourly", from, {"2024-04-09T11:00:00Z"});
}

BOOST_AUTO_TEST_CASE(an_interval_is_counted_from_its_anchor)
{
    check_utc("@every 90s", "2024-01-01T00:00:10Z",
              {"2024-01-01T00:01:40Z", "2024-01-01T00:03:10Z"});
    check_utc("@every 1h30m", "2024-01-01T00:00:00Z", {"2024-01-01T01:30:00Z"});
    check_utc("@every 1s500ms", "2024-01-01T00:00:00Z", {"2024-01-01T00:00:01.500Z"});
    const cron when{"@every 10s", "UTC", at("2024-01-01T00:00:00Z")};
    BOOST_TEST(text_of(when.next(at("2024-01-01T00:01:07Z"))) == "2024-01-01T00:01:10Z");
    BOOST_TEST(text_of(when.next(at("2024-01-01T00:01:10Z"))) == "2024-01-01T00:01:20Z");
}

BOOST_AUTO_TEST_CASE(what_is_wrong_is_said_with_its_field)
{
    const std::vector<std::pair<std::string, std::string>> wrong{
        {"", "0 fields instead of 5"},
        {"* * * *", "4 fields instead of 5"},
        {"* * * * * *", "6 fields instead of 5"},
        {"60 * * * *", "minute: \"60\" is not from 0 to 59"},
        {"-1 * * * *", "minute: "},
        {"x * * * *", "minute: \"x\""},
        {"* 24 * * *", "hour: \"24\" is not from 0 to 23"},
        {"* * 0 * *", "day of month: \"0\" is not from 1 to 31"},
        {"* * * 13 *", "month: \"13\" is not from 1 to 12, nor a name"},
        {"* * * foo *", "month: \"foo\""},
        {"* * * * 8", "day of week: \"8\" is not from 0 to 7"},
        {"5-1 * * * *", "minute: \"5-1\" ends before it begins"},
        {"1-2-3 * * * *", "minute: \"1-2-3\" has more than two ends"},
        {"*/0 * * * *", "minute: \"*/0\" has a step"},
        {"*/5/5 * * * *", "minute: \"*/5/5\" has more than one step"},
        {"1,,2 * * * *", "minute: \"\""},
        {"? * * * *", "minute: \"?\""},
        {"0 0 30 2 *", "day of month: 30 never comes in month 2"},
        {"0 0 31 4,6,9,11 *", "never comes"},
        {"@fortnightly", "@fortnightly"},
        {"@every", "@every"},
        {"@every 5", "@every: \"5\""},
        {"@every 0s", "@every: \"0s\""},
        {"@every -5s", "@every: \"-5s\""},
        {"@every 20000h", "@every: \"20000h\""},
        {"@every 1h junk", "@every"},
        {"99999999999999999999 * * * *", "minute: "},
    };
    for (const auto& [expression, words] : wrong)
        BOOST_TEST(says(refusal(expression), words), expression << ": " << refusal(expression));
    for (const std::string zone :
         {"Mars/Olympus", "", "/usr/share/zoneinfo/Europe/Berlin", "../zoneinfo/Europe/Berlin",
          "file:Europe/Berlin", "localtime", "Europe", "zone.tab", "EuropeEurope/Berlin\n"})
        BOOST_TEST(says(refusal("* * * * *", zone), "zone: \"" + zone + "\""));
    BOOST_TEST(refusal("0 0 30 2 MON") == "accepted"); // each Monday in February
}

BOOST_AUTO_TEST_CASE(in_spring_a_skipped_time_fires_when_the_clocks_have_been_changed)
{
    // Berlin, 31 March 2024: 02:00 becomes 03:00, at 01:00 UTC.
    check_slots("30 2 * * *", "Europe/Berlin", "2024-03-29T12:00:00Z",
                {"2024-03-30T01:30:00Z", "2024-03-31T01:00:00Z", "2024-04-01T00:30:00Z"});
    check_slots("0 3 * * *", "Europe/Berlin", "2024-03-30T12:00:00Z",
                {"2024-03-31T01:00:00Z", "2024-04-01T01:00:00Z"});
    check_slots("0,30 2,3 * * *", "Europe/Berlin", "2024-03-31T00:00:00Z",
                {"2024-03-31T01:00:00Z", "2024-03-31T01:30:00Z", "2024-04-01T00:00:00Z"});
    // New York, 10 March 2024.
    check_slots("15 2 * * *", "America/New_York", "2024-03-09T12:00:00Z",
                {"2024-03-10T07:00:00Z", "2024-03-11T06:15:00Z"});
    // Lord Howe, 6 October 2024: half an hour, from 02:00 to 02:30.
    check_slots("10 2 * * *", "Australia/Lord_Howe", "2024-10-05T00:00:00Z",
                {"2024-10-05T15:30:00Z", "2024-10-06T15:10:00Z"});
}

BOOST_AUTO_TEST_CASE(in_autumn_a_time_that_comes_twice_fires_the_first_time)
{
    // Berlin, 27 October 2024: 03:00 becomes 02:00, at 01:00 UTC.
    check_slots("30 2 * * *", "Europe/Berlin", "2024-10-26T12:00:00Z",
                {"2024-10-27T00:30:00Z", "2024-10-28T01:30:00Z"});
    check_slots("0 3 * * *", "Europe/Berlin", "2024-10-26T12:00:00Z",
                {"2024-10-27T02:00:00Z", "2024-10-28T02:00:00Z"});
    check_slots("*/30 1,2 * * *", "America/New_York", "2024-11-03T04:00:00Z",
                {"2024-11-03T05:00:00Z", "2024-11-03T05:30:00Z", "2024-11-03T07:00:00Z",
                 "2024-11-03T07:30:00Z"});
    check_slots("45 1 * * *", "Australia/Lord_Howe", "2024-04-06T00:00:00Z",
                {"2024-04-06T14:45:00Z", "2024-04-07T15:15:00Z"});
}

BOOST_AUTO_TEST_CASE(a_schedule_for_every_hour_keeps_to_the_hours_that_really_pass)
{
    check_slots("30 * * * *", "Europe/Berlin", "2024-03-30T23:45:00Z",
                {"2024-03-31T00:30:00Z", "2024-03-31T01:30:00Z", "2024-03-31T02:30:00Z"});
    check_slots("30 * * * *", "Europe/Berlin", "2024-10-26T23:45:00Z",
                {"2024-10-27T00:30:00Z", "2024-10-27T01:30:00Z", "2024-10-27T02:30:00Z"});
    check_slots("0 * * * *", "Australia/Lord_Howe", "2024-10-05T14:00:00Z",
                {"2024-10-05T14:30:00Z", "2024-10-05T16:00:00Z"});
}

BOOST_AUTO_TEST_CASE(zones_of_all_kinds)
{
    check_slots("0 9 * * *", "Asia/Kolkata", "2024-01-01T00:00:00Z", {"2024-01-01T03:30:00Z"});
    check_slots("0 0 29 2 *", "Pacific/Apia", "2024-03-01T12:00:00Z", {"2028-02-28T11:00:00Z"});
    check_slots("0 12 * * *", "Etc/UTC", "2024-01-01T00:00:00Z", {"2024-01-01T12:00:00Z"});
}

BOOST_AUTO_TEST_CASE(the_rules_of_a_zone_hold_in_any_year)
{
    for (const std::string year :
         {"2026", "2037", "2038", "2100", "2399", "2400", "2437", "9000"}) {
        check_slots("0 9 * * *", "America/New_York", year + "-07-01T12:00:00Z",
                    {year + "-07-01T13:00:00Z"});
        check_slots("0 9 * * *", "America/New_York", year + "-01-10T12:00:00Z",
                    {year + "-01-10T14:00:00Z"});
        check_slots("0 9 * * *", "Australia/Sydney", year + "-12-30T23:00:00Z",
                    {year + "-12-31T22:00:00Z"});
    }
    // Berlin, 28 March 2038 and 31 October 2038.
    check_slots("30 2 * * *", "Europe/Berlin", "2038-03-27T12:00:00Z",
                {"2038-03-28T01:00:00Z", "2038-03-29T00:30:00Z"});
    check_slots("30 2 * * *", "Europe/Berlin", "2038-10-30T12:00:00Z",
                {"2038-10-31T00:30:00Z", "2038-11-01T01:30:00Z"});
}

BOOST_AUTO_TEST_CASE(zone_files_that_end_with_a_rule_are_read_to_their_end)
{
    const temporary_folder folder;
    const auto rules = folder.file("rules");
    const auto zones = folder.file("zones");
    std::ofstream{rules} << "Rule T 1996 max - Mar lastSun 1:00u 1:00 S\n"
                            "Rule T 1996 max - Oct lastSun 1:00u 0 -\n"
                            "Zone Test/Slim 1:00 T CE%sT\n"
                            "Zone Test/Fixed 5:30 - IST\n";
    const auto compile = "/usr/sbin/zic -b slim -d " + zones + " " + rules;
    BOOST_REQUIRE(std::system(compile.c_str()) == 0);
    BOOST_REQUIRE(::setenv("TZDIR", zones.c_str(), 1) == 0);
    check_slots("30 2 * * *", "Test/Slim", "2026-03-28T12:00:00Z",
                {"2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"});
    check_slots("30 2 * * *", "Test/Slim", "2026-03-27T12:00:00Z", {"2026-03-28T01:30:00Z"});
    check_slots("30 2 * * *", "Test/Slim", "2038-10-30T12:00:00Z",
                {"2038-10-31T00:30:00Z", "2038-11-01T01:30:00Z"});
    check_slots("0 12 * * *", "Test/Fixed", "2050-01-01T00:00:00Z", {"2050-01-01T06:30:00Z"});
    BOOST_TEST(::unsetenv("TZDIR") == 0);
}

BOOST_AUTO_TEST_SUITE_END()
