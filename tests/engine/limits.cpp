// What is limited stays within its limit, and whatever does not fit waits without being forgotten:
// runs in memory, attempts of a step at a time, calls that wait for their commit.
#include "engine/faulty_store.hpp"
#include "engine/support.hpp"
#include "printing.hpp"

#include <algorithm>
#include <map>

BOOST_AUTO_TEST_SUITE(limits)

using namespace engine_test;
using enum light;

namespace {

/// How many are inside at a time, and how many were at most.
struct occupancy {
    int now = 0;
    int most = 0;

    void enter() { most = std::max(most, ++now); }
    void leave() { --now; }
};

pawl::step<off> take_a_second(lamp_run&, pawl::clock* clock, occupancy* inside)
{
    inside->enter();
    co_await wait_on(*clock, 1s);
    inside->leave();
    co_return pawl::to<off>;
}

pawl::workflow<lamp, light> slow(world& w, occupancy& inside, std::size_t parallel,
                                 std::string name = "lamps")
{
    lamp_builder b{std::move(name)};
    b.step<red>([clock = w.clock.get(), &inside](lamp_run& run) {
         return take_a_second(run, clock, &inside);
     }).max_concurrency(parallel);
    b.end<off>();
    return std::move(b).build();
}

pawl::step<off> hang(lamp_run&, pawl::clock* clock)
{
    co_await wait_on(*clock, 10000h);
    co_return pawl::to<off>;
}

/// Its only step never ends, and only one may run at a time.
pawl::workflow<lamp, light> hanging(world& w)
{
    lamp_builder b{"hanging"};
    b.step<red>([clock = w.clock.get()](lamp_run& run) {
         return hang(run, clock);
     }).max_concurrency(1);
    b.end<off>();
    return std::move(b).build();
}

/// Counts the starts that come to it.
class start_counter final : public pawl::forwarding_store {
public:
    using pawl::forwarding_store::forwarding_store;

    int starts = 0;

    asio::awaitable<std::vector<pawl::apply_result>>
    apply(std::span<const pawl::change> batch) override
    {
        for (const auto& each : batch) {
            const auto* made = std::get_if<pawl::transition>(&each);
            starts += made && made->expected_version == 0;
        }
        auto results = co_await inner().apply(batch);
        co_return results;
    }
};

std::vector<pawl::run_id> trigger(world& w, lamps& client, int count)
{
    std::vector<pawl::run_id> runs;
    for (int i = 0; i < count; ++i)
        client.async_trigger("run " + std::to_string(i), lamp{}, {},
                             [&runs](pawl::error_code code, pawl::run_id run) {
                                 BOOST_TEST(!code);
                                 runs.push_back(run);
                             });
    w.settle();
    BOOST_REQUIRE(runs.size() == static_cast<std::size_t>(count));
    return runs;
}

int finished(world& w, lamps& client)
{
    pawl::record_query query;
    query.states = {pawl::run_state::completed};
    query.limit = 1000;
    return static_cast<int>(w.wait_for(client.async_list(query, asio::use_awaitable)).runs.size());
}

} // namespace

BOOST_AUTO_TEST_CASE(a_handler_that_throws_keeps_nobody_else_of_its_batch_from_being_told)
{
    for (const bool on_strand : {false, true}) { // where Asio lets it through to the caller
        int answered = 0;
        int thrown = 0;
        occupancy inside;
        faulty_world w;
        w.options.store = w.store;
        w.options.clock = w.clock;
        if (on_strand)
            w.engine.emplace(asio::make_strand(w.io), w.options);
        else
            w.engine.emplace(w.io.get_executor(), w.options);
        auto client = w.engine->add(slow(w, inside, 0));
        w.wait_for(w.engine->async_start(asio::use_awaitable));
        for (int i = 0; i < 100; ++i)
            client.async_trigger(std::to_string(i), lamp{}, {},
                                 [&](pawl::error_code, pawl::run_id) {
                                     if (++answered % 10 == 0)
                                         throw std::runtime_error("not for Pawl");
                                 });
        for (bool again = true; again;) {
            try {
                w.settle();
                again = false;
            } catch (const std::exception&) { // several may come as one
                ++thrown;
            }
        }
        BOOST_TEST(answered == 100);
        BOOST_TEST(thrown > 0);
        BOOST_TEST(inside.now == 100);
        w.advance(1s);
        BOOST_TEST(inside.now == 0);
    }
}

BOOST_AUTO_TEST_CASE(many_runs_end_at_once_and_as_many_begin)
{
    constexpr int runs = 3'000; // more than coroutines that are kept for further runs
    occupancy inside;
    world w;
    auto client = w.start(slow(w, inside, 0));
    for (int round = 0; round < 2; ++round) {
        int finished = 0;
        for (int i = 0; i < runs; ++i)
            client.async_trigger(
                std::to_string(i), lamp{}, {}, [&](pawl::error_code, pawl::run_id run) {
                    client.async_await_finished(
                        run, [&](pawl::error_code code, const auto&) { finished += !code; });
                });
        w.settle();
        BOOST_TEST(inside.now == runs);
        w.advance(1s);
        BOOST_TEST(inside.now == 0);
        BOOST_TEST(finished == runs);
    }
}

BOOST_AUTO_TEST_CASE(runs_past_the_places_in_memory_wait_in_the_store)
{
    occupancy inside;
    world w;
    w.options.max_active_runs = 2;
    auto client = w.start(slow(w, inside, 0));
    trigger(w, client, 10);
    for (int second = 1; second <= 5; ++second) {
        w.advance(1s);
        BOOST_TEST(finished(w, client) == 2 * second);
    }
    BOOST_TEST(inside.most == 2);
}

BOOST_AUTO_TEST_CASE(attempts_of_a_step_stay_within_parallel_and_all_runs_finish)
{
    for (const std::size_t parallel : {1u, 3u})
        for (const std::size_t places : {3u, 5u, 1000u}) {
            occupancy inside;
            world w;
            w.options.max_active_runs = places;
            auto client = w.start(slow(w, inside, parallel));
            trigger(w, client, 20);
            w.advance_until([&] { return finished(w, client) == 20; }, 1min);
            BOOST_TEST(inside.most == static_cast<int>(parallel));
        }
}

BOOST_AUTO_TEST_CASE(a_permit_is_free_again_after_a_failure_a_repeat_and_an_interruption)
{
    occupancy inside;
    world w;
    lamp_builder b{"lamps"};
    b.step<red>([clock = w.clock.get(), &inside](lamp_run& run) -> pawl::step<off> {
         inside.enter();
         const auto what = run.attempt() == 1 ? run.foreign_id() : "";
         if (what == "run 0") {
             inside.leave();
             throw std::runtime_error("the first attempt");
         }
         if (what == "run 1" && run.object().value++ == 0) {
             inside.leave();
             co_return pawl::repeat_after(1s);
         }
         if (what == "run 2") {
             try {
                 co_await wait_on(*clock, 1h);
                 co_await wait_on(*clock, 1h);
             } catch (const pawl::system_error&) {
                 inside.leave();
                 throw;
             }
         }
         inside.leave();
         co_return pawl::to<off>;
     })
        .max_concurrency(1)
        .retry({.initial = 1s, .jitter = 0});
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto runs = trigger(w, client, 6);
    w.wait_for(client.async_cancel(runs[2], "too slow", asio::use_awaitable));
    w.advance_until([&] { return finished(w, client) == 5; }, 1min);
    BOOST_TEST(inside.most == 1);
    BOOST_TEST(inside.now == 0);
}

BOOST_AUTO_TEST_CASE(a_step_that_hangs_keeps_no_other_workflow_from_finishing)
{
    for (const std::size_t places : {2u, 3u}) {
        occupancy inside;
        world w;
        w.options.max_active_runs = places;
        w.options.store = w.store;
        w.options.clock = w.clock;
        w.engine.emplace(w.io.get_executor(), w.options);
        auto stuck = w.engine->add(hanging(w));
        auto client = w.engine->add(slow(w, inside, 0));
        w.wait_for(w.engine->async_start(asio::use_awaitable));
        trigger(w, stuck, 20);
        trigger(w, client, 20);
        w.advance_until([&] { return finished(w, client) == 20; }, 1min);
        BOOST_TEST(finished(w, stuck) == 0);
    }
}

BOOST_AUTO_TEST_CASE(a_run_that_waits_for_a_permit_takes_its_commands)
{
    world w;
    auto client = w.start(hanging(w));
    const auto runs = trigger(w, client, 3);
    w.wait_for(client.async_cancel(runs[1], "not needed", asio::use_awaitable));
    BOOST_TEST(w.state_of(client, runs[1]).state == pawl::run_state::cancelled);
    w.wait_for(client.async_pause(runs[2], "hold on", asio::use_awaitable));
    w.wait_for(client.async_resume(runs[2], {}, asio::use_awaitable));
    BOOST_TEST(w.state_of(client, runs[2]).state == pawl::run_state::running);
}

BOOST_AUTO_TEST_CASE(a_command_to_a_run_in_line_is_carried_out_by_a_full_engine)
{
    occupancy inside;
    world w;
    w.options.max_active_runs = 2;
    w.options.store = w.store;
    w.options.clock = w.clock;
    w.engine.emplace(w.io.get_executor(), w.options);
    auto stuck = w.engine->add(hanging(w));
    auto client = w.engine->add(slow(w, inside, 0));
    w.wait_for(w.engine->async_start(asio::use_awaitable));
    const auto runs = trigger(w, stuck, 2); // the second waits for the first's permit
    w.advance(1s);
    trigger(w, client, 1);
    std::optional<pawl::error_code> cancelled;
    stuck.async_cancel(runs[1], "not needed", [&](pawl::error_code code) { cancelled = code; });
    w.settle();
    BOOST_REQUIRE(cancelled.has_value());
    BOOST_TEST(w.state_of(stuck, runs[1]).state == pawl::run_state::cancelled);
}

BOOST_AUTO_TEST_CASE(a_long_line_of_runs_that_need_no_permit_any_more_is_passed_by)
{
    world w;
    auto client = w.start(hanging(w));
    const auto runs = trigger(w, client, 2000);
    // Cancelled behind the engine's back, so that they are still in line.
    std::vector<pawl::change> cancels;
    for (std::size_t i = 1; i + 1 < runs.size(); ++i) {
        const auto current = w.wait_for(w.store->find(runs[i]));
        BOOST_REQUIRE(current.has_value());
        pawl::transition cancel;
        cancel.next = *current;
        cancel.expected_version = current->version;
        ++cancel.next.version;
        cancel.next.state = pawl::run_state::cancelled;
        cancel.next.wake_at.reset();
        cancel.kind = pawl::event_kind::cancelled;
        cancels.emplace_back(std::move(cancel));
    }
    w.wait_for(w.store->apply(cancels));
    w.wait_for(client.async_cancel(runs.front(), "enough", asio::use_awaitable));
    w.settle();
    w.wait_for(client.async_cancel(runs.back(), "it has the permit now", asio::use_awaitable));
    BOOST_TEST(w.state_of(client, runs.back()).state == pawl::run_state::cancelled);
}

BOOST_AUTO_TEST_CASE(runs_that_the_line_turned_away_come_back)
{
    occupancy inside;
    world w;
    w.options.max_active_runs = 1; // and so of the line
    auto client = w.start(slow(w, inside, 1));
    trigger(w, client, 30);
    w.advance_until([&] { return finished(w, client) == 30; }, 5min);
    BOOST_TEST(inside.most == 1);
}

BOOST_AUTO_TEST_CASE(calls_past_their_limit_are_refused_and_others_are_as_before)
{
    occupancy inside;
    world w;
    w.options.max_waiting_calls = 3;
    w.store = std::make_shared<faulty_store>(w.store); // never fails; one that commits in batches
    auto client = w.start(slow(w, inside, 0));
    int accepted = 0;
    int overloaded = 0;
    for (int i = 0; i < 10; ++i)
        client.async_trigger("run " + std::to_string(i), lamp{}, {},
                             [&](pawl::error_code code, pawl::run_id) {
                                 accepted += !code;
                                 overloaded += code == pawl::errc::overloaded;
                             });
    w.settle();
    BOOST_TEST(accepted == 3);
    BOOST_TEST(overloaded == 7);
    w.advance(1s);
    BOOST_TEST(finished(w, client) == 3);
    // Nothing of the refused ones counts any more.
    w.wait_for(client.async_trigger("later", lamp{}, {}, asio::use_awaitable));
}

BOOST_AUTO_TEST_CASE(starts_of_a_foreign_id_that_wait_together_are_one_change_of_the_store)
{
    world w;
    const auto counter = std::make_shared<start_counter>(w.store);
    w.store = counter;
    auto client = w.start(hanging(w));
    std::map<pawl::error_code, int> answers;
    std::map<std::string, std::vector<pawl::run_id>> begun;
    const auto start = [&](const std::string& id, int times,
                           pawl::trigger_options<light> how = {}) {
        for (int i = 0; i < times; ++i)
            client.async_trigger(id, lamp{}, how, [&, id](pawl::error_code code, pawl::run_id run) {
                ++answers[code];
                if (!code)
                    begun[id].push_back(run);
            });
    };
    start("a", 100);
    start("b", 1, {.id_reuse = pawl::id_reuse_policy::reject_duplicate});
    start("b", 20);
    start("c", 3, {.idempotency_key = "key"});
    start("a", 100);
    w.settle();

    BOOST_TEST(answers[pawl::error_code{}] == 1 + 1 + 3);
    BOOST_TEST(answers[pawl::errc::already_running] == 199 + 20);
    BOOST_TEST(begun["a"].size() == 1u);
    BOOST_TEST(begun["b"].size() == 1u);
    BOOST_TEST(std::ranges::count(begun["c"], begun["c"].front()) == 3);
    // Two rules are two decisions, and a key is one of its own.
    BOOST_TEST(counter->starts == 1 + 2 + 3);

    start("a", 50);
    w.settle();
    BOOST_TEST(answers[pawl::errc::already_running] == 199 + 20 + 50);
    BOOST_TEST(counter->starts == 1 + 2 + 3 + 1);
}

BOOST_AUTO_TEST_SUITE_END()
