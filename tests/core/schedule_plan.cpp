// Which slots of a schedule fire, after a short while and after a long one.
#include "core/schedule_plan.hpp"

#include <boost/test/unit_test.hpp>

BOOST_AUTO_TEST_SUITE(schedule_plans)

namespace {

using namespace std::chrono_literals;
using pawl::catch_up_policy;
using pawl::core::cron;
using pawl::core::plan_schedule;

constexpr pawl::time_point t0{std::chrono::hours{24 * 365 * 50}}; // some midnight

const cron hourly{"0 * * * *", "UTC", t0};

std::vector<int> hours_of(const std::vector<pawl::time_point>& slots)
{
    std::vector<int> hours;
    for (const auto slot : slots)
        hours.push_back(static_cast<int>((slot - t0) / 1h));
    return hours;
}

} // namespace

BOOST_AUTO_TEST_CASE(nothing_is_due_before_the_first_slot)
{
    const auto plan = plan_schedule(hourly, catch_up_policy::all, 10, t0, t0 + 59min);
    BOOST_TEST(plan.due.empty());
    BOOST_TEST((plan.next == t0 + 1h));
    BOOST_TEST((plan.considered == t0));
}

BOOST_AUTO_TEST_CASE(a_slot_on_time_is_due_whatever_the_policy)
{
    for (const auto policy : {catch_up_policy::none, catch_up_policy::last, catch_up_policy::all})
        for (const auto late : {0s, 1s, 59s}) {
            const auto plan = plan_schedule(hourly, policy, 10, t0, t0 + 1h + late);
            BOOST_TEST(hours_of(plan.due) == std::vector<int>{1});
            BOOST_TEST((plan.next == t0 + 2h));
        }
}

BOOST_AUTO_TEST_CASE(late_ones_are_made_up_for_by_the_policy)
{
    const auto now = t0 + 5h + 30min;
    const auto due = [&](catch_up_policy policy, std::size_t limit) {
        const auto plan = plan_schedule(hourly, policy, limit, t0, now);
        BOOST_TEST((plan.next == t0 + 6h));
        BOOST_TEST((plan.considered == now));
        return hours_of(plan.due);
    };
    BOOST_TEST(due(catch_up_policy::none, 10) == std::vector<int>{});
    BOOST_TEST(due(catch_up_policy::last, 10) == std::vector<int>{5});
    BOOST_TEST(due(catch_up_policy::all, 10) == (std::vector<int>{1, 2, 3, 4, 5}));
    BOOST_TEST(due(catch_up_policy::all, 2) == (std::vector<int>{4, 5}));
}

BOOST_AUTO_TEST_CASE(a_late_one_comes_before_one_on_time)
{
    const auto now = t0 + 3h + 10s;
    BOOST_TEST(hours_of(plan_schedule(hourly, catch_up_policy::none, 9, t0, now).due) ==
               std::vector<int>{3});
    BOOST_TEST(hours_of(plan_schedule(hourly, catch_up_policy::last, 9, t0, now).due) ==
               (std::vector<int>{2, 3}));
    BOOST_TEST(hours_of(plan_schedule(hourly, catch_up_policy::all, 9, t0, now).due) ==
               (std::vector<int>{1, 2, 3}));
}

BOOST_AUTO_TEST_CASE(a_long_absence_costs_no_more_than_what_is_made_up_for)
{
    const cron often{"@every 1s", "UTC", t0};
    const auto now = t0 + std::chrono::hours{24 * 365 * 20};
    const auto plan = plan_schedule(often, catch_up_policy::all, 1000, t0, now);
    BOOST_TEST(plan.due.size() == 1060u);
    BOOST_TEST((plan.due.back() == now));
    BOOST_TEST((plan.due.front() == now - 1059s));
    const cron rare{"0 0 29 2 *", "UTC", t0};
    const auto years = plan_schedule(rare, catch_up_policy::all, 1000, t0, now);
    BOOST_TEST(years.due.size() == 5u);
}

BOOST_AUTO_TEST_SUITE_END()
