// Bulk changes: what operators change for all runs that match a filter.
#include "pawl/bulk.hpp"

#include "engine/cluster.hpp"
#include "pawl/attribute.hpp"
#include "pawl/schedule.hpp"
#include "printing.hpp"

#include <map>
#include <numeric>

BOOST_AUTO_TEST_SUITE(bulk)

using namespace engine_test;
using enum light;
using pawl::bulk_action;
using strings = std::vector<std::string>;

namespace {

/// What the steps of these tests call. While it is down, they fail.
struct service {
    bool is_up = false;
    std::map<std::string, int> calls; ///< that succeeded, by foreign id
};

/// Runs begin in red, call the service, and wait in yellow.
pawl::workflow<lamp, light> calling_lamps(service& called, std::string name = "lamps")
{
    lamp_builder b{std::move(name)};
    b.attribute(pawl::attribute<int>{"value"}, &lamp::value);
    b.step<red>([&called](lamp_run& run) -> pawl::step<yellow> {
         if (!called.is_up)
             throw std::runtime_error("the service is down");
         ++called.calls[std::string{run.foreign_id()}];
         co_return pawl::to<yellow>;
     }).retry({.initial = 10h, .max_interval = 10h, .jitter = 0, .max_attempts = 3});
    b.timeout<yellow>("expire", 1000h,
                      [](lamp_run&) -> pawl::step<off> { co_return pawl::to<off>; });
    b.end<off>();
    return std::move(b).build();
}

const pawl::requester ada{"ada", "token", "10.0.0.7"};

pawl::change_request asked(std::string key = {})
{
    return {.by = ada, .reason = "ticket 7", .idempotency_key = std::move(key)};
}

pawl::bulk_request failing(bulk_action action)
{
    return {.action = action,
            .filter = {.workflow = "lamps", .attention = pawl::attention_kind::failing}};
}

/// Does not find the runs that a test hides.
struct hiding_store : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;

    std::set<pawl::run_id> hidden;

    asio::awaitable<std::optional<pawl::record>> find(pawl::run_id id) override
    {
        if (hidden.contains(id))
            throw pawl::error(pawl::errc::store_unavailable, "hidden");
        auto found = co_await inner().find(id);
        co_return found;
    }
};

struct bulk_world : world {
    service called;
    std::shared_ptr<hiding_store> hiding = std::make_shared<hiding_store>(pawl::open_memory());
    std::optional<lamps> client;
    std::optional<pawl::operations> ops;
    std::vector<pawl::run_id> runs;

    explicit bulk_world(int failing_runs)
    {
        store = hiding;
        client = start(calling_lamps(called));
        ops = engine->operations();
        for (int i = 0; i < failing_runs; ++i)
            runs.push_back(
                wait_for(client->async_trigger("lamp-" + std::to_string(i), lamp{i, {}})));
        settle();
    }

    ~bulk_world() { client.reset(); }

    pawl::bulk_changes bulk() const { return pawl::bulk_changes{*ops}; }

    pawl::bulk_view begin(pawl::bulk_request request, std::string key = {})
    {
        return wait_for(bulk().async_start(std::move(request), asked(std::move(key))));
    }

    pawl::bulk_view view(pawl::run_id id) { return wait_for(bulk().async_read(id)).value(); }

    pawl::bulk_view finish(pawl::run_id id)
    {
        advance_until([&] { return view(id).state == pawl::run_state::completed; });
        return view(id);
    }

    pawl::bulk_view change(pawl::bulk_request request)
    {
        return finish(begin(std::move(request)).run);
    }

    std::vector<pawl::event> history(pawl::run_id run) { return wait_for(ops->async_history(run)); }

    strings audited()
    {
        strings entries;
        for (const auto& entry : wait_for(ops->async_audit()).entries)
            entries.push_back(entry.action + " " + entry.target + " " + to_string(entry.outcome));
        return entries;
    }
};

std::uint64_t refusals_of(const pawl::bulk_view& view)
{
    return std::accumulate(view.refused.begin(), view.refused.end(), std::uint64_t{0},
                           [](auto sum, const auto& refused) { return sum + refused.runs; });
}

} // namespace

BOOST_AUTO_TEST_CASE(all_failing_runs_are_retried_with_reason_and_requester)
{
    bulk_world w{250};
    w.called.is_up = true;
    const auto healthy = w.wait_for(w.client->async_trigger("healthy", lamp{1, {}}));
    const auto view = w.change(failing(bulk_action::retry));
    BOOST_TEST(view.selected == 250);
    BOOST_TEST(view.done == 250);
    BOOST_TEST(view.passed_over == 0);
    BOOST_TEST(view.refused.empty());
    BOOST_TEST(view.by.name == "ada");
    BOOST_TEST(view.reason == "ticket 7");
    BOOST_TEST(view.has_engine);
    BOOST_TEST(view.ended_at.has_value());
    BOOST_TEST(w.called.calls.size() == 251);
    for (const auto run : w.runs)
        BOOST_TEST((w.state_of(*w.client, run).status == yellow));
    const auto retried = w.history(w.runs[0]).at(2);
    BOOST_TEST((retried.kind == pawl::event_kind::retried));
    BOOST_TEST(retried.requested_by == "ada");
    BOOST_TEST(retried.error == "pawl.bulk/" + to_string(view.run) + ": ticket 7");
    BOOST_TEST(w.kinds_of(*w.client, healthy) == (strings{"started", "moved"}),
               boost::test_tools::per_element());
    BOOST_TEST(w.audited() == (strings{"bulk retry requested", "bulk retry done"}),
               boost::test_tools::per_element());
    const auto entries = w.wait_for(w.ops->async_audit()).entries;
    BOOST_TEST(entries[1].id == view.audit_id);
    BOOST_TEST(entries[1].run == view.run);
    BOOST_TEST(entries[1].detail == "250 runs selected, 250 done, 0 passed over, 0 pending");
}

BOOST_AUTO_TEST_CASE(a_run_that_was_fixed_meanwhile_is_passed_over)
{
    for (const bool by_attribute : {false, true}) {
        bulk_world w{20};
        w.hiding->hidden = {w.runs.begin(), w.runs.end()};
        auto request = failing(bulk_action::cancel);
        if (by_attribute)
            request.filter.attributes = {{"value", std::int64_t{-1}}};
        if (by_attribute)
            request.filter.attributes[0].comparison = pawl::attribute_comparison::greater;
        const auto started = w.begin(request);
        w.settle(); // the runs are selected, and not yet read again
        BOOST_TEST(w.view(started.run).selected == 20);
        w.hiding->hidden.clear();
        w.called.is_up = true;
        w.wait_for(w.ops->async_retry("lamps", w.runs[7], asked()));
        const auto view = w.finish(started.run);
        BOOST_TEST(view.done == 19);
        BOOST_TEST(view.passed_over == 1);
        BOOST_TEST((w.state_of(*w.client, w.runs[7]).state == pawl::run_state::running));
        BOOST_TEST((w.state_of(*w.client, w.runs[8]).state == pawl::run_state::cancelled));
    }
}

BOOST_AUTO_TEST_CASE(runs_that_are_created_later_are_not_changed)
{
    bulk_world w{3};
    w.hiding->hidden = {w.runs.begin(), w.runs.end()};
    const auto started = w.begin(failing(bulk_action::cancel));
    w.advance(1ms);
    const auto later = w.wait_for(w.client->async_trigger("later", lamp{}));
    w.settle();
    w.hiding->hidden.clear();
    BOOST_TEST(w.finish(started.run).done == 3);
    BOOST_TEST((w.state_of(*w.client, later).state == pawl::run_state::running));
}

BOOST_AUTO_TEST_CASE(a_bulk_change_of_no_run_ends)
{
    bulk_world w{0};
    const auto view = w.change(failing(bulk_action::retry));
    BOOST_TEST(view.selected == 0);
    BOOST_TEST(view.done == 0);
    BOOST_TEST(w.audited() == (strings{"bulk retry requested", "bulk retry done"}),
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_filter_without_conditions_spares_runs_of_pawl)
{
    bulk_world w{150};
    pawl::schedules plan{*w.client};
    w.wait_for(plan.async_set("nightly", lamp{}, {.when = "0 3 * * *"}));
    const auto view = w.change({.action = bulk_action::pause});
    BOOST_TEST(view.done == 150);
    BOOST_TEST(refusals_of(view) == 0);
    for (const auto run : w.runs)
        BOOST_TEST((w.state_of(*w.client, run).state == pawl::run_state::paused));
    const auto schedule = w.wait_for(w.store->latest("pawl.schedules", "lamps/nightly"));
    BOOST_TEST((schedule.value().state == pawl::run_state::running));
}

BOOST_AUTO_TEST_CASE(a_preview_counts_and_changes_nothing)
{
    bulk_world w{30};
    const auto preview = w.wait_for(w.bulk().async_preview(failing(bulk_action::cancel)));
    BOOST_TEST(preview.runs.count == 30);
    BOOST_TEST(!preview.runs.is_capped);
    BOOST_TEST(preview.samples.size() == 20);
    BOOST_TEST(preview.samples[0].status_label == "red");
    BOOST_TEST(w.audited().empty());
    BOOST_TEST((w.state_of(*w.client, w.runs[0]).state == pawl::run_state::running));
    BOOST_TEST(w.wait_for(w.bulk().async_list()).changes.empty());
}

BOOST_AUTO_TEST_CASE(runs_that_refuse_are_counted_by_code_and_named)
{
    bulk_world w{120};
    const auto view = w.change({.action = bulk_action::resume, .filter = {.workflow = "lamps"}});
    BOOST_TEST(view.done == 0);
    BOOST_TEST_REQUIRE(view.refused.size() == 1);
    BOOST_TEST(view.refused[0].code == pawl::errc::not_paused);
    BOOST_TEST(view.refused[0].runs == 120);
    BOOST_TEST(view.problems.size() == 100);
    BOOST_TEST(view.problems[0].code == pawl::errc::not_paused);
    BOOST_TEST(view.problems[0].detail == "cannot resume: the run is Running");
    BOOST_TEST(view.problems[0].workflow == "lamps");
}

BOOST_AUTO_TEST_CASE(paused_runs_are_moved_and_finished_runs_lose_their_data)
{
    bulk_world w{5};
    w.change({.action = bulk_action::pause, .filter = {.workflow = "lamps"}});
    pawl::bulk_request move{.action = bulk_action::move, .filter = {.workflow = "lamps"}};
    move.filter.attention = pawl::attention_kind::paused;
    move.status = "off";
    const auto moved = w.change(move);
    BOOST_TEST(moved.done == 5);
    BOOST_TEST(moved.status == "off");
    BOOST_TEST((w.state_of(*w.client, w.runs[4]).status == off));
    BOOST_TEST(w.change({.action = bulk_action::delete_data}).done == 5);
    BOOST_TEST((w.state_of(*w.client, w.runs[4]).state == pawl::run_state::data_deleted));
}

BOOST_AUTO_TEST_CASE(a_bulk_change_is_paused_resumed_and_cancelled)
{
    for (const bool cancel : {false, true}) {
        bulk_world w{10};
        w.hiding->hidden = {w.runs.begin(), w.runs.end()};
        const auto started = w.begin(failing(bulk_action::cancel));
        w.wait_for(w.ops->async_pause("pawl.bulk", started.run, asked()));
        w.hiding->hidden.clear();
        w.advance(1h);
        BOOST_TEST((w.view(started.run).state == pawl::run_state::paused));
        BOOST_TEST(w.view(started.run).done == 0);
        if (cancel) {
            w.wait_for(w.ops->async_cancel("pawl.bulk", started.run, asked()));
            BOOST_TEST((w.view(started.run).state == pawl::run_state::cancelled));
            BOOST_TEST(w.view(started.run).ended_at.has_value());
            BOOST_TEST((w.state_of(*w.client, w.runs[0]).state == pawl::run_state::running));
        } else {
            w.wait_for(w.ops->async_resume("pawl.bulk", started.run, asked()));
            BOOST_TEST(w.finish(started.run).done == 10);
        }
    }
}

BOOST_AUTO_TEST_CASE(a_repeated_start_is_one_bulk_change)
{
    bulk_world w{1};
    const auto first = w.begin(failing(bulk_action::cancel), "incident-12");
    w.finish(first.run);
    const auto second = w.begin(failing(bulk_action::cancel), "incident-12");
    BOOST_TEST(first.run == second.run);
    w.advance(1s);
    w.change(failing(bulk_action::cancel));
    const auto page = w.wait_for(w.bulk().async_list({}, 1));
    BOOST_TEST_REQUIRE(page.changes.size() == 1);
    BOOST_TEST(page.changes[0].run != first.run); // the newest one
    const auto rest = w.wait_for(w.bulk().async_list(page.next, 10));
    BOOST_TEST_REQUIRE(rest.changes.size() == 1);
    BOOST_TEST(rest.changes[0].run == first.run);
    BOOST_TEST(rest.next == "");
}

BOOST_AUTO_TEST_CASE(a_request_out_of_range_is_refused_and_recorded)
{
    bulk_world w{1};
    const auto code_of = [&](pawl::bulk_request request) {
        return w.error_of(w.bulk().async_start(std::move(request), asked()));
    };
    BOOST_TEST(code_of({.action = bulk_action::move}) == pawl::errc::invalid_argument);
    BOOST_TEST(code_of({.action = bulk_action::move, .filter = {.workflow = "lamps"}}) ==
               pawl::errc::invalid_argument);
    BOOST_TEST(code_of({.filter = {}, .status = "off"}) == pawl::errc::invalid_argument);
    BOOST_TEST(code_of({.filter = {.after = "x"}}) == pawl::errc::invalid_argument);
    BOOST_TEST(code_of({.filter = {.workflow = "pawl.bulk"}}) == pawl::errc::invalid_argument);
    BOOST_TEST(code_of({.filter = {.workflow = "others"}}) == pawl::errc::not_found);
    BOOST_TEST(w.audited().size() == 6);
    BOOST_TEST(w.audited().back() == "bulk retry refused");
    w.options.store = w.store;
    w.options.max_bulk_commands = 0;
    BOOST_CHECK_THROW((pawl::engine{w.io.get_executor(), w.options}), pawl::definition_error);
}

BOOST_AUTO_TEST_SUITE_END()
