// Schedules: durable, each slot once, none drifting; what happens when runs overlap, when nobody
// was there, and when they are paused, changed and removed.
#include "engine/faulty_store.hpp"
#include "pawl/schedule.hpp"
#include "pawl/sqlite.hpp"
#include "printing.hpp"

#include <map>

BOOST_AUTO_TEST_SUITE(schedules_)

using namespace engine_test;
using enum light;
using pawl::catch_up_policy;
using pawl::overlap_policy;

namespace {

using options = pawl::schedule_options<light>;

pawl::step<off> shine(lamp_run&)
{
    co_return pawl::to<off>;
}

pawl::step<off> switch_off(lamp_run&)
{
    co_return pawl::to<off>;
}

/// Runs that start in yellow wait until they are told to end.
pawl::workflow<lamp, light> scheduled()
{
    lamp_builder b{"lamps"};
    b.step<red>(shine);
    b.callback<yellow>("end", switch_off);
    b.start<red, yellow>();
    b.end<off>();
    return std::move(b).build();
}

template <class World>
struct schedule_world : World {
    std::optional<lamps> client;
    std::optional<pawl::schedules<lamp, light>> schedules;

    void begin()
    {
        client = this->start(scheduled());
        schedules.emplace(*client);
    }

    void begin_again(pawl::duration later)
    {
        this->stop();
        this->clock->advance(later);
        begin();
    }

    void set(const std::string& name, options how, lamp object = {})
    {
        this->wait_for(schedules->async_set(name, object, std::move(how)));
    }

    pawl::schedule_info info(const std::string& name = "nightly")
    {
        for (auto& each : this->wait_for(schedules->async_list()))
            if (each.name == name)
                return each;
        BOOST_FAIL("there is no schedule " + name);
        return {};
    }

    std::vector<pawl::snapshot<lamp, light>> runs()
    {
        return this->wait_for(client->async_list({.limit = 1000})).runs;
    }

    /// When each run was started, from `t0` on.
    std::vector<pawl::duration> starts(pawl::time_point t0)
    {
        std::vector<pawl::duration> times;
        for (const auto& run : runs())
            times.push_back(run.created_at - t0);
        return times;
    }
};

using plain_world = schedule_world<world>;
using breaking_world = schedule_world<faulty_world>;

bool equal(const std::vector<pawl::duration>& got, const std::vector<pawl::duration>& wanted)
{
    return got == wanted;
}

} // namespace

BOOST_AUTO_TEST_CASE(fires_at_its_slots_and_not_before)
{
    plain_world w;
    w.clock = std::make_shared<pawl::testing::manual_clock>(
        pawl::time_point{std::chrono::sys_days{std::chrono::year{2024} / 4 / 9}});
    w.begin();
    w.set("monthly", {.when = "@monthly"}, lamp{.value = 7});
    w.advance(24h * 21 + 23h);
    BOOST_TEST(w.runs().empty());
    w.advance(1h);
    BOOST_REQUIRE(w.runs().size() == 1u);
    BOOST_TEST(w.runs().front().foreign_id == "monthly");
    BOOST_TEST(w.runs().front().object.value == 7);
    BOOST_TEST(w.runs().front().status == off);
    w.advance_until([&] { return w.runs().size() == 2u; }, 24h * 40);
    BOOST_TEST((w.clock->now() ==
                pawl::time_point{std::chrono::sys_days{std::chrono::year{2024} / 6 / 1}}));
    const auto info = w.info("monthly");
    BOOST_TEST(info.fired == 2u);
    BOOST_TEST((info.last_slot == w.clock->now()));
    BOOST_TEST((info.last_run == w.runs().back().id));
    BOOST_TEST((info.next_slot ==
                pawl::time_point{std::chrono::sys_days{std::chrono::year{2024} / 7 / 1}}));
}

BOOST_AUTO_TEST_CASE(an_interval_does_not_drift_when_wake_ups_are_late)
{
    plain_world w;
    w.begin();
    const auto t0 = w.clock->now();
    w.set("often", {.when = "@every 10s"});
    for (int i = 0; i < 4; ++i)
        w.advance(13s); // 13, 26, 39, 52
    const std::vector<pawl::duration> wanted{13s, 26s, 39s, 52s, 52s};
    BOOST_TEST(equal(w.starts(t0), wanted));
    BOOST_TEST((w.info("often").next_slot == t0 + 60s));
}

BOOST_AUTO_TEST_CASE(a_waiting_schedule_takes_no_timer_and_survives_a_restart)
{
    plain_world w;
    w.begin();
    const auto t0 = w.clock->now();
    w.set("nightly", {.when = "0 2 * * *"});
    w.begin_again(1h);
    w.advance(1h);
    BOOST_TEST(equal(w.starts(t0), {2h}));
}

BOOST_AUTO_TEST_CASE(each_slot_starts_one_run_wherever_the_store_fails)
{
    for (const auto what : {fault::refused, fault::answer_lost})
        for (std::size_t position = 0; position < 6; ++position) {
            breaking_world w;
            w.begin();
            w.set("nightly", {.when = "0 2 * * *"});
            w.faults->next_applies.assign(position, fault::none);
            w.faults->next_applies.push_back(what);
            w.advance_until([&] { return w.info().fired == 1; });
            w.advance(1h);
            BOOST_TEST(w.runs().size() == 1u, "position " << position);
            w.advance_until([&] { return w.info().fired == 2; });
            BOOST_TEST(w.runs().size() == 2u, "position " << position);
        }
}

BOOST_AUTO_TEST_CASE(a_slot_that_cannot_be_fired_is_repeated_and_says_why)
{
    plain_world w;
    w.begin();
    w.set("nightly", {.when = "0 2 * * *"});
    w.stop();
    { // an engine that does not have the workflow
        lamp_builder b{"others"};
        b.step<red>(shine);
        b.end<off>();
        auto other = w.start(std::move(b).build());
        w.advance(2h);
        const auto schedule = w.wait_for(w.store->latest("pawl.schedules", "lamps/nightly"));
        BOOST_REQUIRE(schedule.has_value());
        BOOST_TEST(schedule->last_error.find("\"lamps\"") != std::string::npos);
        w.stop();
    }
    w.begin();
    w.advance_until([&] { return w.info().fired == 1; });
    BOOST_TEST(w.info().last_error == "");
}

BOOST_AUTO_TEST_CASE(an_unfinished_run_is_passed_over)
{
    plain_world w;
    w.begin();
    w.set("nightly", {.when = "0 * * * *", .start = yellow});
    w.advance(1h);
    w.advance(1h);
    w.advance(1h);
    BOOST_TEST(w.runs().size() == 1u);
    BOOST_TEST(w.info().fired == 1u);
    BOOST_TEST(w.info().skipped == 2u);
    w.wait_for(w.client->async_call("nightly", "end", 0));
    w.advance(1h);
    BOOST_TEST(w.runs().size() == 2u);
}

BOOST_AUTO_TEST_CASE(an_unfinished_run_is_waited_for)
{
    plain_world w;
    w.begin();
    w.set("nightly", {.when = "0 * * * *", .overlap = overlap_policy::queue, .start = yellow});
    w.advance(1h);
    w.advance(1h);
    w.advance(30min);
    BOOST_TEST(w.runs().size() == 1u);
    BOOST_TEST((w.info().next_slot == w.info().last_slot.value() + 1h)); // it waits
    w.wait_for(w.client->async_call("nightly", "end", 0));
    const auto ended = w.clock->now();
    w.advance_until([&] { return w.runs().size() == 2u; });
    BOOST_TEST((w.clock->now() - ended <= 30s));
    // A queue can be paused while it waits.
    w.advance(1h);
    w.wait_for(w.schedules->async_pause("nightly"));
    w.wait_for(w.client->async_call("nightly", "end", 0));
    w.advance(3h);
    BOOST_TEST(w.runs().size() == 2u);
}

BOOST_AUTO_TEST_CASE(runs_may_stand_beside_each_other)
{
    plain_world w;
    w.begin();
    w.set("nightly", {.when = "0 * * * *", .overlap = overlap_policy::allow, .start = yellow});
    w.advance(1h);
    w.advance(1h);
    const auto runs = w.runs();
    BOOST_REQUIRE(runs.size() == 2u);
    BOOST_TEST(runs[0].foreign_id == "nightly/2024-01-01T01:00:00Z");
    BOOST_TEST(runs[1].foreign_id == "nightly/2024-01-01T02:00:00Z");
}

BOOST_AUTO_TEST_CASE(slots_of_a_downtime_are_caught_up_with_by_the_policy)
{
    const auto after_downtime = [](catch_up_policy policy, std::size_t limit) {
        plain_world w;
        w.begin();
        w.set("hourly", {.when = "0 * * * *", .catch_up = policy, .catch_up_limit = limit});
        w.advance(1h);
        w.begin_again(5h + 30min);
        w.settle();
        return w.runs().size() - 1;
    };
    BOOST_TEST(after_downtime(catch_up_policy::none, 100) == 0u);
    BOOST_TEST(after_downtime(catch_up_policy::last, 100) == 1u);
    BOOST_TEST(after_downtime(catch_up_policy::all, 100) == 5u);
    BOOST_TEST(after_downtime(catch_up_policy::all, 3) == 3u);
}

BOOST_AUTO_TEST_CASE(the_slots_of_a_pause_are_gone)
{
    plain_world w;
    w.begin();
    w.set("nightly", {.when = "0 * * * *", .catch_up = catch_up_policy::all});
    w.wait_for(w.schedules->async_pause("nightly"));
    BOOST_TEST(w.info().paused);
    BOOST_TEST(!w.info().next_slot.has_value());
    BOOST_TEST((w.error_of(w.schedules->async_list()) == pawl::error_code{}));
    const auto refused = [&](asio::awaitable<void> command) {
        try {
            w.wait_for(std::move(command));
        } catch (const pawl::system_error& e) {
            return e.code();
        }
        return pawl::error_code{};
    };
    BOOST_TEST(refused(w.schedules->async_pause("nightly")) == pawl::errc::already_paused);
    w.begin_again(5h + 30min);
    w.settle();
    w.wait_for(w.schedules->async_resume("nightly"));
    BOOST_TEST(refused(w.schedules->async_resume("nightly")) == pawl::errc::not_paused);
    w.settle();
    BOOST_TEST(w.runs().empty());
    w.advance(30min);
    BOOST_TEST(w.runs().size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_removed_one_fires_no_more_and_its_name_is_free)
{
    plain_world w;
    w.begin();
    w.set("nightly", {.when = "0 * * * *"});
    w.advance(1h);
    w.wait_for(w.schedules->async_remove("nightly"));
    BOOST_TEST(w.wait_for(w.schedules->async_list()).empty());
    w.advance(24h);
    BOOST_TEST(w.runs().size() == 1u);
    try {
        w.wait_for(w.schedules->async_remove("nightly"));
        BOOST_ERROR("removed twice");
    } catch (const pawl::system_error& e) {
        BOOST_TEST(e.code() == pawl::errc::not_found);
    }
    w.set("nightly", {.when = "30 * * * *"});
    w.advance(30min);
    BOOST_TEST(w.runs().size() == 2u);
}

BOOST_AUTO_TEST_CASE(setting_it_again_changes_it_only_if_it_is_another)
{
    plain_world w;
    w.begin();
    const auto t0 = w.clock->now();
    w.set("often", {.when = "@every 10m"});
    w.advance(7min);
    w.set("often", {.when = "@every 10m"}); // as at each start of a program
    w.advance(3min);
    BOOST_TEST(equal(w.starts(t0), {10min}));
    w.set("often", {.when = "@every 4m"}, lamp{.value = 9});
    w.advance(4min);
    BOOST_TEST(equal(w.starts(t0), {10min, 14min}));
    BOOST_TEST(w.runs().back().object.value == 9);
    BOOST_TEST(w.info("often").when == "@every 4m");
    // Also while it is paused, which it stays.
    w.wait_for(w.schedules->async_pause("often"));
    w.set("often", {.when = "@every 1m"});
    w.advance(10min);
    BOOST_TEST(w.runs().size() == 2u);
    w.wait_for(w.schedules->async_resume("often"));
    w.advance(1min);
    BOOST_TEST(w.runs().size() == 3u);
}

BOOST_AUTO_TEST_CASE(other_runs_of_the_foreign_id_do_not_move_it)
{
    plain_world w;
    w.begin();
    const auto t0 = w.clock->now();
    w.set("nightly", {.when = "@every 1h"});
    w.advance(30min);
    w.wait_for(w.client->async_trigger("nightly", lamp{}));
    w.advance(30min);
    BOOST_TEST(equal(w.starts(t0), {30min, 1h}));
}

BOOST_AUTO_TEST_CASE(several_are_apart)
{
    plain_world w;
    w.begin();
    const auto t0 = w.clock->now();
    w.set("b", {.when = "@every 2h"});
    w.set("a", {.when = "@every 3h", .foreign_id = "other"});
    const auto all = w.wait_for(w.schedules->async_list());
    BOOST_REQUIRE(all.size() == 2u);
    BOOST_TEST(all[0].name == "a");
    BOOST_TEST(all[0].foreign_id == "other");
    BOOST_TEST(all[1].foreign_id == "b");
    for (int i = 0; i < 4; ++i)
        w.advance(1h);
    BOOST_TEST(equal(w.starts(t0), {2h, 3h, 4h}));
}

BOOST_AUTO_TEST_CASE(what_makes_no_sense_is_refused_by_name)
{
    plain_world w;
    w.begin();
    const auto refusal = [&](const std::string& name, options how) {
        try {
            w.wait_for(w.schedules->async_set(name, lamp{}, std::move(how)));
        } catch (const pawl::system_error& e) {
            BOOST_TEST(e.code() == pawl::errc::invalid_argument);
            return w.log.empty() ? std::string{} : w.log.back();
        }
        return std::string{"accepted"};
    };
    const auto says = [](const std::string& text, const std::string& words) {
        return text.find(words) != std::string::npos;
    };
    BOOST_TEST(says(refusal("x", {.when = "61 * * * *"}), "minute: \"61\""));
    BOOST_TEST(says(refusal("x", {.when = "* * * * *", .zone = "Nowhere"}), "zone: \"Nowhere\""));
    BOOST_TEST(says(refusal("x", {.when = "* * * * *", .catch_up_limit = 0}), "catch_up_limit"));
    BOOST_TEST(says(refusal("x", {.when = "* * * * *", .catch_up_limit = 1001}), "catch_up_limit"));
    BOOST_TEST(says(refusal("", {.when = "* * * * *"}), "name"));
    BOOST_TEST(says(refusal(std::string(129, 'x'), {.when = "* * * * *"}), "name"));
    try {
        w.set("x", {.when = "* * * * *", .start = off});
        BOOST_ERROR("a schedule that starts at an end");
    } catch (const pawl::system_error& e) {
        BOOST_TEST(e.code() == pawl::errc::invalid_status);
    }
    BOOST_TEST(w.wait_for(w.schedules->async_list()).empty());
    BOOST_CHECK_EXCEPTION(
        [&] {
            w.stop();
            lamp_builder b{"pawl.mine"};
            b.step<red>(shine);
            b.end<off>();
            w.start(std::move(b).build());
        }(),
        pawl::definition_error,
        [&](const pawl::definition_error& e) { return says(e.what(), "pawl.mine"); });
}

BOOST_AUTO_TEST_SUITE_END()
