// Bulk changes while engines of a cluster die.
#include "engine/cluster.hpp"
#include "pawl/bulk.hpp"
#include "printing.hpp"

#include <algorithm>
#include <map>
#include <set>

BOOST_AUTO_TEST_SUITE(bulk_cluster)

using namespace engine_test;
using enum light;
using pawl::bulk_action;

namespace {

constexpr int run_count = 2'000;

struct bulk_members : cluster {
    bool is_up = false;
    std::map<std::string, int> calls; ///< of the service, by foreign id
    std::set<const member*> dead;

    /// Runs fail in red until the service is up, and then wait in yellow.
    pawl::workflow<lamp, light> calling_lamps()
    {
        lamp_builder b{"lamps"};
        b.step<red>([this](lamp_run& run) -> pawl::step<yellow> {
             if (!is_up)
                 throw std::runtime_error("the service is down");
             ++calls[std::string{run.foreign_id()}];
             co_return pawl::to<yellow>;
         }).retry({.initial = 10h, .max_interval = 10h, .jitter = 0, .max_attempts = 3});
        b.timeout<yellow>("expire", 1000h,
                          [](lamp_run&) -> pawl::step<off> { co_return pawl::to<off>; });
        b.end<off>();
        return std::move(b).build();
    }

    member& begin(bool drive = true)
    {
        return start([this](member&) { return calling_lamps(); }, drive);
    }

    /// An engine without workflows, that drives none.
    member& begin_console()
    {
        auto& added = add();
        added.options.client_only = true;
        start(added, [](member&) {});
        return added;
    }

    std::vector<pawl::run_id> trigger_all(member& by)
    {
        std::vector<pawl::run_id> runs;
        for (int i = 0; i < run_count; ++i)
            by.client->async_trigger("lamp-" + std::to_string(i), lamp{}, {},
                                     [&runs](pawl::error_code code, pawl::run_id run) {
                                         BOOST_TEST(!code);
                                         runs.push_back(run);
                                     });
        advance_until([&] { return runs.size() == run_count; });
        advance(2s);
        return runs;
    }

    /// A bulk change with the foreign id "lamps/incident".
    pawl::bulk_view begin_bulk(member& at, bulk_action action)
    {
        pawl::bulk_changes bulk{at.engine->operations()};
        const pawl::run_filter filter{.workflow = "lamps",
                                      .attention = pawl::attention_kind::failing};
        return wait_for(
            at,
            bulk.async_start({.action = action, .filter = filter},
                             {.by = {"ada"}, .reason = "ticket 7", .idempotency_key = "incident"}));
    }

    pawl::bulk_view view(member& at, pawl::run_id run)
    {
        pawl::bulk_changes bulk{at.engine->operations()};
        return wait_for(at, bulk.async_read(run)).value();
    }

    /// The engine that will drive the bulk change.
    member& driver()
    {
        const auto shard = pawl::shard_of("lamps/incident", shard_count);
        for (auto& each : members)
            if (!each.options.client_only)
                for (const auto& held : wait_for(each, statistics(each)).leases)
                    if (held.shard == shard)
                        return each;
        throw std::runtime_error("no engine drives it");
    }

    /// After it has read this many runs, nothing that the engine does reaches the store.
    void let_die_after(member& doomed, int reads)
    {
        doomed.door->fails = [this, &doomed, reads, count = 0](const std::string& call) mutable {
            if (call == "find" && ++count == reads)
                dead.insert(&doomed);
            return dead.contains(&doomed) ? fault::refused : fault::none;
        };
    }
};

} // namespace

BOOST_AUTO_TEST_CASE(each_run_is_retried_once_while_engines_die)
{
    bulk_members c;
    auto& console = c.begin_console();
    for (int i = 0; i < 5; ++i)
        c.begin();
    c.advance(20s);
    const auto runs = c.trigger_all(c.members[1]);
    c.is_up = true;
    c.let_die_after(c.driver(), 350);
    for (std::size_t i = 1, armed = 0; armed < 2; ++i)
        if (&c.members[i] != &c.driver()) {
            c.let_die_after(c.members[i], 850);
            ++armed;
        }
    const auto started = c.begin_bulk(console, bulk_action::retry);
    BOOST_TEST(c.dead.size() > 0);
    BOOST_TEST(c.view(console, started.run).done < run_count);
    c.advance_until(
        [&] { return c.view(console, started.run).state == pawl::run_state::completed; });
    const auto end = c.view(console, started.run);
    BOOST_TEST(end.selected == run_count);
    BOOST_TEST(end.done == run_count);
    BOOST_TEST(end.passed_over == 0);
    BOOST_TEST(end.pending == 0);
    BOOST_TEST(end.refused.empty());
    BOOST_TEST(c.calls.size() == run_count);
    auto ops = console.engine->operations();
    for (const auto run : runs) {
        const auto history = c.wait_for(console, ops.async_history(run));
        BOOST_TEST(std::ranges::count(history, pawl::event_kind::retried, &pawl::event::kind) == 1);
    }
    const auto audit = c.wait_for(console, ops.async_audit());
    BOOST_TEST(audit.entries.size() == 2);
}

BOOST_AUTO_TEST_CASE(a_bulk_change_waits_for_an_engine_of_its_workflow)
{
    bulk_members c;
    auto& console = c.begin_console();
    auto& first = c.begin();
    c.advance(20s);
    const auto run = c.trigger(first, "lamp");
    c.advance(1s);
    c.stop(first);
    c.advance(20s);
    c.is_up = true;
    const auto started = c.begin_bulk(console, bulk_action::retry);
    c.advance(1min);
    BOOST_TEST(!c.view(console, started.run).has_engine);
    BOOST_TEST(c.view(console, started.run).selected == 0);
    pawl::bulk_changes bulk{console.engine->operations()};
    pawl::error_code refused;
    bulk.async_start({.action = bulk_action::pause}, {},
                     [&](pawl::error_code code, pawl::bulk_view) { refused = code; });
    c.advance_until([&] { return bool(refused); });
    BOOST_TEST(refused == pawl::errc::missing_workflow);
    auto& second = c.begin();
    c.advance_until(
        [&] { return c.view(console, started.run).state == pawl::run_state::completed; });
    BOOST_TEST(c.view(console, started.run).done == 1);
    BOOST_TEST((c.state_of(second, run).status == yellow));
}

BOOST_AUTO_TEST_SUITE_END()
