// What operators read and change by pawl::operations, without the types of a workflow.
#include "pawl/operations.hpp"

#include "engine/support.hpp"
#include "pawl/attribute.hpp"
#include "pawl/dead_letter.hpp"
#include "pawl/error.hpp"
#include "pawl/schedule.hpp"
#include "printing.hpp"

#include <algorithm>

BOOST_AUTO_TEST_SUITE(operations)

using namespace engine_test;
using enum light;

namespace {

pawl::step<off> finish(lamp_run& run, int value)
{
    if (value < 0)
        throw std::runtime_error("value " + std::to_string(value) + " is negative");
    run.object().value = value;
    co_return pawl::to<off>;
}

pawl::step<yellow> check(lamp_run& run)
{
    if (run.object().value < 0)
        throw std::runtime_error("value " + std::to_string(run.object().value) + " is negative");
    co_return pawl::to<yellow>;
}

/// Runs begin in red, are checked, and wait in yellow for their callback.
pawl::workflow<lamp, light> checked_lamps()
{
    lamp_builder b{"lamps"};
    b.attribute(pawl::attribute<int>{"value"}, &lamp::value);
    b.step<red>(check).retry(
        {.initial = 10min, .max_interval = 10min, .jitter = 0, .max_attempts = 2});
    b.callback<yellow>("finish", finish).retry({.max_attempts = 1});
    b.end<off>();
    return std::move(b).build();
}

struct operated_world : world {
    lamps client = start(checked_lamps());
    pawl::operations ops = engine->operations();

    pawl::run_id trigger(const std::string& name, int value)
    {
        const auto run = wait_for(client.async_trigger(name, {value, {}}));
        settle();
        return run;
    }

    std::vector<std::string> names_of(pawl::run_filter filter)
    {
        std::vector<std::string> names;
        for (const auto& run : wait_for(ops.async_list(std::move(filter))).runs)
            names.push_back(run.stored.foreign_id);
        return names;
    }

    std::string refusal_of(pawl::run_filter filter)
    {
        try {
            wait_for(ops.async_list(std::move(filter)));
        } catch (const pawl::error& e) {
            return e.detail();
        }
        return "nothing was refused";
    }

    /// Ends the workflow's engine and starts one without any workflow.
    void continue_as_client()
    {
        stop();
        options.client_only = true;
        options.store = store;
        options.clock = clock;
        engine.emplace(io.get_executor(), options);
        wait_for(engine->async_start());
        ops = engine->operations();
    }
};

using strings = std::vector<std::string>;

} // namespace

BOOST_AUTO_TEST_CASE(an_overview_counts_by_label_and_attention)
{
    operated_world w;
    w.trigger("good-1", 1);
    w.trigger("good-2", 2);
    w.trigger("bad", -1);
    const auto overview = w.wait_for(w.ops.async_overview());
    BOOST_TEST_REQUIRE(overview.size() == 1);
    BOOST_TEST(overview[0].workflow == "lamps");
    BOOST_TEST(overview[0].has_engine);
    BOOST_TEST_REQUIRE(overview[0].counts.size() == 2);
    BOOST_TEST(overview[0].counts[0].label == "red");
    BOOST_TEST(overview[0].counts[0].runs == 1);
    BOOST_TEST(overview[0].counts[1].label == "yellow");
    BOOST_TEST(overview[0].counts[1].runs == 2);
    BOOST_TEST(overview[0].failing.count == 1);
    BOOST_TEST(overview[0].paused == 0);
    BOOST_TEST(overview[0].unfinished == 3);
}

BOOST_AUTO_TEST_CASE(failing_and_paused_runs_are_listed)
{
    operated_world w;
    w.trigger("good", 1);
    const auto bad = w.trigger("bad", -1);
    BOOST_TEST(w.names_of({.attention = pawl::attention_kind::failing}) == strings{"bad"},
               boost::test_tools::per_element());
    BOOST_TEST(w.names_of({.attention = pawl::attention_kind::paused}).empty());
    w.advance(11min); // the last attempt
    BOOST_TEST(w.names_of({.attention = pawl::attention_kind::paused}) == strings{"bad"},
               boost::test_tools::per_element());
    w.wait_for(w.client.async_cancel(bad, "broken"));
    BOOST_TEST(w.names_of({.attention = pawl::attention_kind::failing}).empty());
}

BOOST_AUTO_TEST_CASE(runs_that_no_engine_drives_become_overdue)
{
    operated_world w;
    w.trigger("bad", -1);
    w.trigger("good", 1);
    w.continue_as_client();
    w.advance(10min + 30s);
    BOOST_TEST(w.names_of({.attention = pawl::attention_kind::overdue}).empty());
    w.advance(2min);
    const auto page = w.wait_for(w.ops.async_list({.attention = pawl::attention_kind::overdue}));
    BOOST_TEST_REQUIRE(page.runs.size() == 1);
    BOOST_TEST(page.runs[0].stored.foreign_id == "bad");
    BOOST_TEST(page.runs[0].status_label == "red");
    BOOST_TEST(!page.runs[0].has_engine);
    BOOST_TEST(page.complete);
    const auto overview = w.wait_for(w.ops.async_overview());
    BOOST_TEST(overview.at(0).overdue.count == 1);
    BOOST_TEST(!overview.at(0).has_engine);
}

BOOST_AUTO_TEST_CASE(overdue_runs_are_read_in_pages)
{
    operated_world w;
    strings expected;
    for (int i = 0; i < 20; ++i) {
        expected.push_back("bad-" + std::to_string(i));
        w.trigger(expected.back(), -1);
    }
    w.continue_as_client();
    w.advance(20min);
    strings found;
    pawl::run_filter filter{.attention = pawl::attention_kind::overdue, .limit = 3};
    bool complete = false;
    for (int pages = 0; !complete && pages < 20; ++pages) {
        const auto page = w.wait_for(w.ops.async_list(filter));
        for (const auto& run : page.runs)
            found.push_back(run.stored.foreign_id);
        BOOST_TEST(page.complete == page.next.empty());
        filter.after = page.next;
        complete = page.complete;
    }
    std::ranges::sort(found);
    std::ranges::sort(expected);
    BOOST_TEST(found == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(statuses_are_given_by_label_or_number)
{
    operated_world w;
    w.trigger("good", 1);
    w.trigger("bad", -1);
    BOOST_TEST(w.names_of({.workflow = "lamps", .statuses = strings{"yellow"}}) == strings{"good"},
               boost::test_tools::per_element());
    BOOST_TEST(w.names_of({.workflow = "lamps", .statuses = strings{"1"}}) == strings{"bad"},
               boost::test_tools::per_element());
    BOOST_TEST(w.refusal_of({.workflow = "lamps", .statuses = strings{"blue"}}) ==
               "\"blue\" is no status of workflow \"lamps\": give the label of one of its "
               "statuses, or a number");
    w.continue_as_client();
    BOOST_TEST(w.names_of({.workflow = "lamps", .statuses = strings{"yellow"}}) == strings{"good"},
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_page_ends_when_its_budget_is_used_up)
{
    operated_world w;
    for (int i = 0; i < 40; ++i) {
        w.trigger("run-" + std::to_string(i), i);
        w.advance(1s);
    }
    pawl::run_filter filter{.workflow = "lamps",
                            .statuses = strings{"red"},
                            .order = pawl::sort_order::oldest_first,
                            .max_examined = 25};
    auto page = w.wait_for(w.ops.async_list(filter));
    BOOST_TEST(page.runs.empty());
    BOOST_TEST(page.examined == 25);
    BOOST_TEST(!page.complete);
    BOOST_TEST(!page.next.empty());
    filter.after = page.next;
    page = w.wait_for(w.ops.async_list(filter));
    BOOST_TEST(page.examined == 15);
    BOOST_TEST(page.complete);
    page = w.wait_for(w.ops.async_list({.workflow = "lamps", .max_bytes = 1}));
    BOOST_TEST(page.runs.size() == 1);
    BOOST_TEST(!page.complete);
}

BOOST_AUTO_TEST_CASE(a_filter_out_of_range_is_named)
{
    operated_world w;
    BOOST_TEST(w.refusal_of({.limit = 0}) == "run_filter::limit is 0; it must be from 1 to 1000");
    BOOST_TEST(w.refusal_of({.max_examined = 0}) ==
               "run_filter::max_examined is 0; it must be from 1 to 1000000");
    BOOST_TEST(w.refusal_of({.after = "elsewhere"}) ==
               "run_filter::after is \"elsewhere\"; it must be run_page::next of the same list");
    BOOST_TEST(w.refusal_of({.attention = pawl::attention_kind::overdue, .after = "due-9"}) ==
               "run_filter::after is \"due-9\"; it must be run_page::next of the same list");
}

BOOST_AUTO_TEST_CASE(a_run_is_read_without_its_types)
{
    operated_world w;
    const auto run = w.trigger("good", 7);
    w.continue_as_client();
    const auto view = w.wait_for(w.ops.async_read(run));
    BOOST_TEST_REQUIRE(view.has_value());
    BOOST_TEST(view->status_label == "yellow");
    BOOST_TEST(view->stored.object == R"({"value":7,"trail":[]})");
    BOOST_TEST(w.wait_for(w.ops.async_history(run)).size() == 2);
    BOOST_TEST(!w.wait_for(w.ops.async_read(pawl::run_id{})).has_value());
}

BOOST_AUTO_TEST_CASE(messages_and_their_outcomes_are_read)
{
    operated_world w;
    const auto bad = w.trigger("bad", -1); // stays in red
    w.wait_for(w.client.async_send(bad, "finish", 5));
    const auto waiting = w.wait_for(w.ops.async_messages(bad));
    BOOST_TEST_REQUIRE(waiting.size() == 1);
    BOOST_TEST(waiting[0].name == "finish");
    BOOST_TEST(waiting[0].payload == "5");
    const auto outcome = w.wait_for(w.ops.async_outcome(bad, 1));
    BOOST_TEST_REQUIRE(outcome.has_value());
    BOOST_TEST((outcome->outcome == pawl::message_outcome::pending));
}

BOOST_AUTO_TEST_CASE(definitions_are_known_outside_their_program)
{
    operated_world w;
    w.continue_as_client();
    const auto known = w.wait_for(w.ops.async_definitions());
    BOOST_TEST_REQUIRE(known.size() == 1);
    BOOST_TEST(known[0].workflow == "lamps");
    BOOST_TEST_REQUIRE(known[0].definitions.size() == 1);
    const auto& definition = known[0].definitions[0];
    BOOST_TEST(!definition.is_own);
    BOOST_TEST_REQUIRE(definition.statuses.size() >= 2);
    BOOST_TEST(definition.statuses[0].label == "red");
    BOOST_TEST(definition.statuses[0].has_step);
    BOOST_TEST(definition.statuses[1].callbacks == strings{"finish"},
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(the_engine_of_a_store_of_its_own_is_listed)
{
    operated_world w;
    w.trigger("bad", -1);
    auto view = w.wait_for(w.ops.async_engines());
    BOOST_TEST_REQUIRE(view.engines.size() == 1);
    BOOST_TEST(view.engines[0].is_self);
    BOOST_TEST(view.engines[0].workflows == strings{"lamps"}, boost::test_tools::per_element());
    BOOST_TEST(view.engines[0].shards == view.shards.size());
    BOOST_TEST(view.undriven.empty());
    w.continue_as_client();
    view = w.wait_for(w.ops.async_engines());
    BOOST_TEST(view.engines.empty());
    BOOST_TEST(view.undriven == strings{"lamps"}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(the_engines_of_a_shared_store_are_listed_with_their_workflows)
{
    world w;
    w.store = pawl::open_memory({.shards = 8, .shared = true, .clock = w.clock});
    auto client = w.start(checked_lamps());
    w.advance(5s);
    w.wait_for(client.async_trigger("bad", {-1, {}}));
    pawl::engine_options options{.store = w.store, .clock = w.clock, .client_only = true};
    options.log = {};
    pawl::engine viewer{w.io.get_executor(), options};
    w.wait_for(viewer.async_start());
    auto ops = viewer.operations();
    const auto view = w.wait_for(ops.async_engines());
    BOOST_TEST_REQUIRE(view.engines.size() == 1);
    BOOST_TEST(!view.engines[0].is_self);
    BOOST_TEST(view.engines[0].workflows == strings{"lamps"}, boost::test_tools::per_element());
    BOOST_TEST(view.engines[0].shards == 8);
    BOOST_TEST_REQUIRE(!view.shards.empty());
    BOOST_TEST(view.shards[0].workflow == "lamps");
    BOOST_TEST(view.undriven.empty());
    BOOST_TEST(w.wait_for(ops.async_overview()).at(0).has_engine);
    BOOST_TEST(w.wait_for(ops.async_list({.workflow = "lamps"})).runs.at(0).has_engine);
    w.wait_for(viewer.async_stop(0s));
}

BOOST_AUTO_TEST_CASE(schedules_of_all_workflows_are_read)
{
    operated_world w;
    pawl::schedules<lamp, light> schedules{w.client};
    w.wait_for(schedules.async_set("hourly", lamp{1, {}}, {.when = "@hourly"}));
    w.continue_as_client();
    const auto found = w.wait_for(w.ops.async_schedules());
    BOOST_TEST_REQUIRE(found.size() == 1);
    BOOST_TEST(found[0].workflow == "lamps");
    BOOST_TEST(found[0].name == "hourly");
    BOOST_TEST(w.wait_for(w.ops.async_schedules("others")).empty());
}

BOOST_AUTO_TEST_CASE(dead_letters_are_read_in_pages)
{
    operated_world w;
    const auto run = w.trigger("good", 1);
    for (int i = 1; i <= 3; ++i)
        w.wait_for(w.client.async_send(run, "finish", -i));
    w.settle();
    const auto topics = w.wait_for(w.ops.async_dead_letter_topics());
    BOOST_TEST_REQUIRE(topics.size() == 1);
    BOOST_TEST(topics[0].topic == pawl::callback_dead_letter_topic("lamps"));
    BOOST_TEST(topics[0].letters.count == 3);
    auto page = w.wait_for(w.ops.async_dead_letters(topics[0].topic, 0, 2));
    BOOST_TEST(page.events.size() == 2);
    BOOST_TEST(!page.complete);
    page = w.wait_for(w.ops.async_dead_letters(topics[0].topic, page.next, 2));
    BOOST_TEST(page.events.size() == 1);
    BOOST_TEST(page.complete);
    BOOST_TEST(w.error_of(w.ops.async_dead_letters("orders")) == pawl::errc::invalid_argument);
}

BOOST_AUTO_TEST_SUITE_END()
