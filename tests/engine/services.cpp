// Services with different workflows on one store: whatever a workflow has is driven by an engine
// that has the workflow, in time, whoever else uses the store.
#include "engine/cluster.hpp"

#include "pawl/schedule.hpp"
#include "pawl/workflow_events.hpp"

#include <map>

BOOST_AUTO_TEST_SUITE(several_services)

using namespace engine_test;
using enum light;

namespace {

/// What the handlers of all members did.
struct work_log {
    std::vector<std::string> steps; ///< "workflow foreign id"
    std::map<std::string, int> hooks;
    std::map<std::string, std::set<member*>> drivers; ///< by workflow
};

struct noting_step {
    work_log* notes;
    member* self;

    pawl::step<off> operator()(lamp_run& run) const
    {
        notes->steps.push_back(run.workflow() + " " + run.foreign_id());
        notes->drivers[std::string{run.workflow()}].insert(self);
        co_return pawl::to<off>;
    }
};

struct noting_hook {
    work_log* notes;

    asio::awaitable<void> operator()(const pawl::snapshot<lamp, light>& run) const
    {
        ++notes->hooks[run.foreign_id];
        co_return;
    }
};

/// red → off; yellow waits for ever.
pawl::workflow<lamp, light> flow_of(const std::string& name, work_log& notes, member& self)
{
    lamp_builder b{name};
    b.step<red>(noting_step{&notes, &self});
    b.callback<yellow>("press", [](lamp_run&, int) -> pawl::step<off> { co_return pawl::to<off>; });
    b.start<red>().start<yellow>();
    b.end<off>();
    b.on_complete(noting_hook{&notes});
    return std::move(b).build();
}

struct services : cluster {
    work_log notes;
    std::map<member*, std::map<std::string, lamps>> clients;

    member& serve(const std::vector<std::string>& workflows, bool drive = true)
    {
        auto& added = add();
        added.options.client_only = !drive;
        start(added, [&](member& self) {
            for (const auto& name : workflows)
                clients[&self].emplace(name, self.engine->add(flow_of(name, notes, self)));
        });
        return added;
    }

    lamps& client(member& of, const std::string& workflow) { return clients[&of].at(workflow); }

    std::vector<pawl::run_id> trigger(member& by, const std::string& workflow,
                                      const std::string& prefix, int count, light start = red)
    {
        std::vector<pawl::run_id> runs;
        for (int i = 0; i < count; ++i)
            runs.push_back(wait_for(by, client(by, workflow)
                                            .async_trigger(prefix + std::to_string(i), lamp{},
                                                           {.start = start}, asio::use_awaitable)));
        return runs;
    }
};

} // namespace

BOOST_AUTO_TEST_CASE(each_run_is_driven_by_an_engine_that_has_its_workflow)
{
    services all;
    auto& a = all.serve({"invoices"});
    auto& b = all.serve({"mails"});
    all.advance(2s);
    BOOST_TEST(all.owned_by(a) == shard_count);
    BOOST_TEST(all.owned_by(b) == shard_count);
    all.trigger(a, "invoices", "i", 40);
    all.trigger(b, "mails", "m", 40);
    all.settle(); // by the news of the commits: no time goes on
    BOOST_TEST(all.notes.steps.size() == 80u);
    BOOST_TEST(all.notes.hooks.size() == 80u);
    BOOST_TEST((all.notes.drivers["invoices"] == std::set{&a}));
    BOOST_TEST((all.notes.drivers["mails"] == std::set{&b}));
}

BOOST_AUTO_TEST_CASE(every_schedule_fires_where_its_workflow_is)
{
    services all;
    auto& a = all.serve({"invoices"});
    all.serve({"mails"});
    all.advance(2s);
    pawl::schedules set{all.client(a, "invoices")};
    for (int i = 0; i < 12; ++i)
        all.wait_for(a, set.async_set("every second " + std::to_string(i), lamp{},
                                      {.when = "@every 1s"}, asio::use_awaitable));
    all.advance(5s);
    for (const auto& each : all.wait_for(a, set.async_list(asio::use_awaitable)))
        BOOST_TEST(each.fired >= 4u);
    BOOST_TEST(all.notes.steps.size() >= 48u);
    BOOST_TEST(!all.has_logged("does not have the workflow"));
}

BOOST_AUTO_TEST_CASE(an_engine_without_workflows_takes_no_shards)
{
    services all;
    auto& tool = all.serve({});
    all.advance(2s);
    auto& real = all.serve({"invoices"});
    all.advance(2s);
    BOOST_TEST(all.owned_by(tool) == 0u);
    BOOST_TEST(all.owned_by(real) == shard_count);
    BOOST_TEST(tool.engine->ready());
    all.trigger(real, "invoices", "i", 20);
    all.settle();
    BOOST_TEST(all.notes.steps.size() == 20u);
}

BOOST_AUTO_TEST_CASE(the_shards_of_each_workflow_are_shared_by_the_engines_that_have_it)
{
    services all;
    auto& a = all.serve({"invoices", "mails"});
    auto& b = all.serve({"mails", "letters"});
    auto& c = all.serve({"letters", "invoices", "mails"});
    all.advance(4s);
    // Of 8 invoices, 8 mails and 8 letters.
    const auto owned = std::multiset{all.owned_by(a), all.owned_by(b), all.owned_by(c)};
    BOOST_TEST(all.owned_by(a) + all.owned_by(b) + all.owned_by(c) == 24u);
    BOOST_TEST(*owned.begin() >= 6u);
    BOOST_TEST(*owned.rbegin() <= 11u);
    all.trigger(a, "invoices", "i", 40);
    all.trigger(b, "letters", "l", 40);
    all.trigger(c, "mails", "m", 40);
    all.settle();
    BOOST_TEST(all.notes.steps.size() == 120u);
    BOOST_TEST((all.notes.drivers["invoices"] == std::set{&a, &c}));
    BOOST_TEST((all.notes.drivers["letters"] == std::set{&b, &c}));
    BOOST_TEST((all.notes.drivers["mails"] == std::set{&a, &b, &c}));
}

BOOST_AUTO_TEST_CASE(a_deployment_that_adds_and_removes_workflows_delays_nothing)
{
    services all;
    std::deque<member*> old;
    for (int i = 0; i < 3; ++i)
        old.push_back(&all.serve({"invoices", "mails"}));
    all.advance(4s);
    std::size_t begun = 0;
    const auto go_on = [&](member& by, const std::vector<std::string>& workflows) {
        for (const auto& workflow : workflows) {
            all.trigger(by, workflow, std::to_string(begun) + "-", 10);
            begun += 10;
        }
        all.advance(2s);
        BOOST_TEST(all.notes.steps.size() == begun);
        BOOST_TEST(all.notes.hooks.size() == begun);
    };
    go_on(*old.front(), {"invoices", "mails"});
    for (; !old.empty(); old.pop_front()) {
        auto& fresh = all.serve({"mails", "letters"});
        go_on(fresh, {"mails", "letters"});
        go_on(*old.front(), {"invoices", "mails"});
        all.stop(*old.front());
        go_on(fresh, {"mails", "letters"});
    }
}

BOOST_AUTO_TEST_CASE(what_no_engine_has_is_reported_once)
{
    services all;
    auto& leaving = all.serve({"letters"});
    all.advance(2s);
    all.trigger(leaving, "letters", "l", 30, yellow);
    all.wait_for(leaving, pawl::schedules{all.client(leaving, "letters")}.async_set(
                              "monthly", lamp{}, {.when = "@monthly"}, asio::use_awaitable));
    auto& staying = all.serve({"mails"});
    all.advance(1min);
    BOOST_TEST(!all.has_logged("no engine has workflow"));
    const auto before =
        all.wait_for(staying, staying.engine->async_preview_start(asio::use_awaitable));
    BOOST_REQUIRE(!before.empty());
    for (const auto& each : before)
        if (each.workflow == "letters")
            BOOST_TEST((each.action == pawl::start_plan::action_kind::elsewhere));

    all.stop(leaving);
    all.advance(10min);
    BOOST_TEST(all.times_logged("no engine has workflow \"letters\"") == 1);
    BOOST_TEST(all.times_logged("30 unfinished runs and 1 schedules") == 1);
    BOOST_TEST(!all.has_logged("does not have"));
    BOOST_TEST(staying.engine->ready());
    const auto view = all.wait_for(staying, staying.engine->async_cluster(asio::use_awaitable));
    BOOST_REQUIRE(view.undriven.size() == 1u);
    BOOST_TEST(view.undriven.front().workflow == "letters");
    BOOST_TEST(view.undriven.front().runs == 30u);
    BOOST_TEST(view.undriven.front().schedules == 1u);
    for (const auto& each :
         all.wait_for(staying, staying.engine->async_preview_start(asio::use_awaitable)))
        if (each.workflow == "letters")
            BOOST_TEST((each.action == pawl::start_plan::action_kind::unknown_workflow));

    auto& back = all.serve({"letters"});
    all.advance(1min);
    BOOST_TEST(
        all.wait_for(back, back.engine->async_cluster(asio::use_awaitable)).undriven.empty());
    BOOST_TEST(all.times_logged("no engine has workflow") == 1);
}

BOOST_AUTO_TEST_CASE(events_of_another_services_workflow_reach_a_connector)
{
    services all;
    auto& mails = all.serve({"mails"});
    auto& other = all.add();
    std::set<std::string> seen;
    all.start(other, [&](member& self) {
        const auto flow = flow_of("invoices", all.notes, self);
        self.engine->add(flow);
        const auto note = [&seen](pawl::event_context<lamp, light>& in) -> asio::awaitable<void> {
            seen.insert(in.event().key);
            co_return;
        };
        self.engine->connect("mails-ended",
                             self.engine->events("mails", {.kinds = {pawl::event_kind::completed}}),
                             flow, note);
    });
    all.advance(4s);
    all.trigger(mails, "mails", "m", 20);
    all.advance(5s);
    BOOST_TEST(seen.size() == 20u);
}

BOOST_AUTO_TEST_CASE(a_client_that_drives_nothing_starts_runs_of_its_workflow_only)
{
    services all;
    all.serve({"invoices"});
    auto& mails = all.serve({"mails"});
    auto& visitor = all.serve({"mails"}, false);
    all.advance(2s);
    const auto runs = all.trigger(visitor, "mails", "v", 10, yellow);
    for (const auto run : runs)
        all.wait_for(
            visitor,
            all.client(visitor, "mails").async_call(run, "press", 1, {}, asio::use_awaitable));
    for (const auto run : runs)
        all.wait_for(visitor,
                     all.client(visitor, "mails").async_await_finished(run, asio::use_awaitable));
    BOOST_TEST(all.notes.hooks.size() == 10u);
    BOOST_TEST(all.owned_by(visitor) == 0u);
    BOOST_TEST(all.owned_by(mails) == shard_count);
}

BOOST_AUTO_TEST_CASE(a_store_that_is_not_shared_tells_of_a_removed_workflow_once)
{
    world w;
    {
        lamp_builder b{"letters"};
        b.step<red>([](lamp_run&) -> pawl::step<off> { co_return pawl::repeat_after(1s); });
        b.end<off>();
        auto client = w.start(std::move(b).build());
        for (int i = 0; i < 50; ++i)
            w.wait_for(client.async_trigger(std::to_string(i), lamp{}, {}, asio::use_awaitable));
        w.stop();
    }
    w.log.clear();
    lamp_builder b{"mails"};
    b.step<red>([](lamp_run&) -> pawl::step<off> { co_return pawl::to<off>; });
    b.end<off>();
    w.start(std::move(b).build());
    w.advance(1min);
    BOOST_TEST(std::ranges::count_if(w.log, [](const std::string& line) {
                   return line.find("letters") != std::string::npos;
               }) == 1);
}

BOOST_AUTO_TEST_CASE(engines_that_come_and_go_leave_no_roles_behind)
{
    services all;
    struct noting_store : pawl::forwarding_store {
        using pawl::forwarding_store::forwarding_store;
        std::set<std::string> names;
        asio::awaitable<std::optional<pawl::role_lease>>
        claim_role(std::string_view role, std::string_view owner,
                   pawl::duration lease_duration) override
        {
            names.emplace(role);
            return forwarding_store::claim_role(role, owner, lease_duration);
        }
    };
    const auto noting = std::make_shared<noting_store>(all.store);
    all.store = noting;
    for (int i = 0; i < 100; ++i) {
        auto& each = all.serve({"invoices"});
        if (i % 4 == 0)
            cluster::cut_off(each); // cannot say that it ends
        all.advance(lease_duration);
        bool stopped = false;
        each.engine->async_stop(0s, [&](pawl::error_code) { stopped = true; });
        all.advance_until([&] { return stopped; });
        each.engine.reset();
    }
    auto& last = all.serve({"invoices"});
    all.advance(lease_duration * 3);
    std::size_t remembered = 0;
    for (const auto& name : noting->names) {
        const auto taken =
            all.wait_for(last, noting->forwarding_store::claim_role(name, "test", 0s));
        remembered += !taken || taken->epoch > 1; // a role that was forgotten begins at 1 again
    }
    BOOST_TEST(noting->names.size() == 101u);
    BOOST_TEST(remembered == 1u); // of the last engine
}

BOOST_AUTO_TEST_SUITE_END()
