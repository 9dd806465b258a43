// Definitions that move on while runs are under way: an object's schema, statuses that are retired,
// and what a start says of it before it does it.
#include "engine/support.hpp"
#include "pawl/forwarding_store.hpp"
#include "printing.hpp"

#include <boost/json/value.hpp>

BOOST_AUTO_TEST_SUITE(versions)

using namespace engine_test;
using enum light;

namespace {

/// The lamp of a former program: `value` was called `watts`, and was a text.
struct old_lamp {
    std::string watts;
    std::vector<std::string> trail;
};
BOOST_DESCRIBE_STRUCT(old_lamp, (), (watts, trail))

pawl::step<green> go_on(lamp_run& run)
{
    run.object().trail.push_back("value " + std::to_string(run.object().value));
    co_return pawl::to<green>;
}

pawl::step<off> end_it(lamp_run&)
{
    co_return pawl::to<off>;
}

void rename_watts(boost::json::value& document)
{
    auto& object = document.as_object();
    object["number"] = std::stoi(std::string{object.at("watts").as_string()});
    object.erase("watts");
}

std::string rename_number(std::string document)
{
    const auto at = document.find("\"number\"");
    return at == std::string::npos ? document : document.replace(at, 8, "\"value\"");
}

lamp_builder of_now()
{
    lamp_builder b{"lamps"};
    b.callback<yellow>("go on", go_on).retry({.max_attempts = 1});
    b.callback<green>("end", end_it);
    b.start<yellow>();
    b.end<off>();
    return b;
}

lamp_builder upgrading()
{
    auto b = of_now();
    b.upgrade(1, rename_watts).upgrade(2, rename_number);
    return b;
}

/// Runs of the former program, which waits in yellow.
std::vector<pawl::run_id> runs_of_old(world& w, int count)
{
    pawl::builder<old_lamp, light> b{"lamps"};
    b.callback<yellow>("go on",
                       [](pawl::run<old_lamp>&) -> pawl::step<off> { co_return pawl::to<off>; });
    b.end<off>();
    w.options.store = w.store;
    w.options.clock = w.clock;
    w.engine.emplace(w.io.get_executor(), w.options);
    auto client = w.engine->add(std::move(b).build());
    w.wait_for(w.engine->async_start());
    std::vector<pawl::run_id> runs;
    for (int i = 0; i < count; ++i)
        runs.push_back(w.wait_for(client.async_trigger(std::to_string(i), old_lamp{"40", {}})));
    w.stop();
    return runs;
}

bool contains(const std::vector<std::string>& lines, const std::string& text)
{
    return std::ranges::any_of(
        lines, [&](const std::string& line) { return line.find(text) != std::string::npos; });
}

} // namespace

BOOST_AUTO_TEST_CASE(an_object_of_an_older_schema_is_upgraded_step_by_step_and_stored_as_new)
{
    world w;
    const auto run = runs_of_old(w, 1).front();
    auto client = w.start(upgrading().build());
    BOOST_TEST(w.state_of(client, run).object.value == 40); // readers see the present schema
    BOOST_TEST(w.wait_for(client.async_list({})).runs.front().object.value == 40);
    w.wait_for(client.async_call(run, "go on", 0));
    const auto stored = w.wait_for(w.store->find(run));
    BOOST_REQUIRE(stored.has_value());
    BOOST_TEST(stored->object_version == 3u);
    BOOST_TEST(stored->object == R"({"value":40,"trail":["value 40"]})");
}

BOOST_AUTO_TEST_CASE(an_upgrade_is_seen_by_hooks_and_scrubbers_and_at_used_up_attempts)
{
    world w;
    const auto run = runs_of_old(w, 1).front();
    std::vector<int> seen;
    auto b = upgrading();
    b.on_pause([&](const pawl::snapshot<lamp, light>& s) -> asio::awaitable<void> {
        seen.push_back(s.object.value);
        co_return;
    });
    b.scrub([&](lamp& object) { seen.push_back(object.value + 1); });
    auto client = w.start(std::move(b).build());
    w.wait_for(client.async_pause(run, ""));
    w.wait_for(client.async_cancel(run, ""));
    w.wait_for(client.async_delete_data(run, ""));
    w.settle();
    BOOST_TEST(seen == (std::vector<int>{40, 41}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(an_upgrade_that_fails_is_told_and_leaves_the_run_as_it_was)
{
    world w;
    const auto run = runs_of_old(w, 1).front();
    auto b = of_now();
    b.upgrade(1, [](boost::json::value&) { throw std::runtime_error("no such lamp"); });
    auto client = w.start(std::move(b).build());
    const auto settled = w.wait_for(client.async_send(run, "go on", 0, {}, asio::use_awaitable));
    w.settle();
    const auto outcome = w.wait_for(w.store->outcome(run, settled.sequence));
    BOOST_REQUIRE(outcome.has_value());
    BOOST_TEST(outcome->outcome == pawl::message_outcome::failed);
    BOOST_TEST(outcome->detail.find("no such lamp") != std::string::npos);
    BOOST_TEST(w.error_of(client.async_find(run)) == pawl::errc::decode_failed);
    // In a listing it hides no other run.
    w.advance(1s);
    w.wait_for(client.async_trigger("new", lamp{5, {}}));
    const auto page = w.wait_for(client.async_list({}));
    BOOST_REQUIRE(page.runs.size() == 2u);
    BOOST_TEST(page.runs[0].decode_error.find("no such lamp") != std::string::npos);
    BOOST_TEST(page.runs[1].decode_error == "");
    BOOST_TEST(page.runs[1].object.value == 5);
}

BOOST_AUTO_TEST_CASE(runs_of_a_retired_status_go_on_in_its_successor)
{
    world w;
    const auto runs = runs_of_old(w, 3);
    const auto definition = [](bool retires) {
        lamp_builder b{"lamps"};
        b.callback<broken>("go on", go_on);
        b.timeout<broken>(1h, go_on);
        b.callback<green>("end", end_it);
        b.end<off>();
        b.upgrade(1, rename_watts).upgrade(2, rename_number);
        if (retires)
            b.replace_status<broken>(static_cast<int>(yellow));
        return std::move(b).build();
    };
    {
        // What was not said to go on is refused, and the plan says so.
        w.engine.emplace(w.io.get_executor(), w.options);
        w.engine->add(definition(false));
        const auto plan = w.wait_for(w.engine->async_preview_start());
        BOOST_REQUIRE(plan.size() == 1u);
        BOOST_TEST((plan[0].action == pawl::start_plan::action_kind::unhandled));
        BOOST_TEST(plan[0].runs == 3u);
        BOOST_TEST((w.error_of(w.engine->async_preview_start()) == pawl::error_code{}));
        w.stop();
    }
    {
        w.engine.emplace(w.io.get_executor(), w.options);
        w.engine->add(definition(true));
        const auto plan = w.wait_for(w.engine->async_preview_start());
        BOOST_REQUIRE(plan.size() == 1u);
        BOOST_TEST((plan[0].action == pawl::start_plan::action_kind::moves));
        BOOST_TEST(plan[0].label == "2");
        BOOST_TEST((plan[0].successor == static_cast<int>(broken)));
        BOOST_TEST((w.wait_for(w.store->find(runs[0]))->status == static_cast<int>(yellow)));
        w.stop();
    }
    auto client = w.start(definition(true));
    BOOST_TEST(contains(w.log, "3 runs of \"lamps\" in status 2"));
    BOOST_TEST(w.state_of(client, runs[0]).status == broken);
    const auto moved = w.wait_for(client.async_history(runs[0])).back();
    BOOST_TEST(moved.kind == pawl::event_kind::moved);
    BOOST_TEST(moved.from == static_cast<int>(yellow));
    w.wait_for(client.async_call(runs[0], "go on", 0));
    BOOST_TEST(w.state_of(client, runs[0]).status == green);
    w.advance(1h); // armed as if they had just entered it
    BOOST_TEST(w.state_of(client, runs[1]).status == green);
}

BOOST_AUTO_TEST_CASE(a_paused_run_of_a_retired_status_stays_paused_in_its_successor)
{
    world w;
    lamp_builder b{"lamps"};
    b.callback<yellow>("go on", go_on);
    b.callback<green>("end", end_it);
    b.end<off>();
    auto before = w.start(std::move(b).build());
    const auto run = w.wait_for(before.async_trigger("a", lamp{}));
    w.wait_for(before.async_pause(run, {"hold on", "ada"}));
    w.stop();
    lamp_builder n{"lamps"};
    n.step<broken>(go_on);
    n.callback<green>("end", end_it);
    n.end<off>();
    n.replace_status<broken>(static_cast<int>(yellow));
    auto after = w.start(std::move(n).build());
    const auto held = w.state_of(after, run);
    BOOST_TEST(held.status == broken);
    BOOST_TEST(held.state == pawl::run_state::paused);
    BOOST_TEST(held.reason == "hold on");
    BOOST_TEST(held.requested_by == "ada");
    w.wait_for(after.async_resume(run));
    w.settle();
    BOOST_TEST(w.state_of(after, run).status == green);
}

BOOST_AUTO_TEST_CASE(a_run_that_cannot_be_moved_is_told_and_hinders_no_other)
{
    world w;
    const auto runs = runs_of_old(w, 3);
    lamp_builder b{"lamps"};
    b.callback<green>("end", end_it);
    b.timeout<broken>(
        [](const lamp_run& run) -> std::optional<pawl::time_point> {
            if (run.foreign_id() == "1")
                throw std::runtime_error("no such hour");
            return std::nullopt;
        },
        go_on);
    b.callback<broken>("go on", go_on);
    b.end<off>();
    b.upgrade(1, rename_watts).upgrade(2, rename_number);
    b.replace_status<broken>(static_cast<int>(yellow));
    auto client = w.start(std::move(b).build());
    BOOST_TEST(w.state_of(client, runs[0]).status == broken);
    BOOST_TEST(w.state_of(client, runs[1]).status == yellow);
    BOOST_TEST(w.state_of(client, runs[2]).status == broken);
    BOOST_TEST(contains(w.log, "no such hour"));
}

BOOST_AUTO_TEST_CASE(a_retired_status_may_end_its_runs)
{
    world w;
    const auto run = runs_of_old(w, 1).front();
    lamp_builder b{"lamps"};
    b.step<red>(end_it);
    b.end<off>();
    b.upgrade(1, rename_watts).upgrade(2, rename_number);
    b.replace_status<off>(static_cast<int>(yellow));
    auto client = w.start(std::move(b).build());
    const auto now = w.wait_for(client.async_await_finished(run));
    BOOST_TEST(now.status == off);
    BOOST_TEST(now.state == pawl::run_state::completed);
    w.wait_for(client.async_trigger("0", lamp{})); // the foreign id is free again
}

BOOST_AUTO_TEST_CASE(no_run_is_looked_at_when_none_is_in_a_retired_status)
{
    struct counting_store final : pawl::forwarding_store {
        using pawl::forwarding_store::forwarding_store;

        asio::awaitable<pawl::record_page> list(const pawl::record_query& query) override
        {
            listings += query.statuses ? 1 : 0;
            return inner().list(query);
        }

        int listings = 0;
    };
    world w;
    const auto counting = std::make_shared<counting_store>(w.store);
    w.store = counting;
    lamp_builder b{"lamps"};
    b.step<red>(end_it);
    b.end<off>();
    b.replace_status<off>(static_cast<int>(yellow));
    auto client = w.start(std::move(b).build());
    w.wait_for(client.async_trigger("0", lamp{}));
    BOOST_TEST(counting->listings == 0);
}

BOOST_AUTO_TEST_CASE(a_plan_names_the_workflows_that_nobody_has)
{
    world w;
    runs_of_old(w, 2);
    lamp_builder b{"others"};
    b.callback<yellow>("go on", go_on);
    b.callback<green>("end", end_it);
    b.end<off>();
    w.engine.emplace(w.io.get_executor(), w.options);
    w.engine->add(std::move(b).build());
    const auto plan = w.wait_for(w.engine->async_preview_start());
    BOOST_REQUIRE(plan.size() == 1u);
    BOOST_TEST((plan[0].action == pawl::start_plan::action_kind::unknown_workflow));
    BOOST_TEST(plan[0].workflow == "lamps");
    w.stop();
}

BOOST_AUTO_TEST_CASE(counts_say_where_runs_stand)
{
    world w;
    runs_of_old(w, 3);
    auto client = w.start(upgrading().build());
    w.wait_for(client.async_cancel("0", ""));
    const auto all = w.wait_for(client.async_count());
    BOOST_REQUIRE(all.size() == 2u);
    const auto unfinished = w.wait_for(client.async_count(true));
    BOOST_REQUIRE(unfinished.size() == 1u);
    BOOST_TEST(unfinished.front().runs == 2u);
}

BOOST_AUTO_TEST_SUITE_END()
