// Limits of steps in one engine: what they count, who waits, and what waiting costs.
#include "engine/support.hpp"
#include "printing.hpp"

#include "pawl/forwarding_store.hpp"
#include "pawl/limits.hpp"

#include <algorithm>
#include <map>
#include <set>

BOOST_AUTO_TEST_SUITE(step_limits)

using namespace engine_test;
using enum light;

namespace {

constexpr pawl::limit ten_a_second{"api", {.rate = 10, .burst = 1}};
constexpr pawl::limit one_at_a_time{"api", {.concurrency = 1}};
constexpr pawl::limit two_an_hour{"api", {.rate = 2, .per = 1h, .burst = 2}};

/// Counts the reads of due runs, the records in them, and the reads of single runs.
class read_counter final : public pawl::forwarding_store {
public:
    using pawl::forwarding_store::forwarding_store;

    std::size_t calls = 0;
    std::size_t read = 0;
    std::size_t found = 0;

    asio::awaitable<pawl::due_page> due(std::uint32_t shard, pawl::due_position from,
                                        pawl::time_point until, std::size_t limit) override
    {
        auto page = co_await inner().due(shard, from, until, limit);
        ++calls;
        read += page.runs.size();
        co_return page;
    }

    asio::awaitable<std::optional<pawl::record>> find(pawl::run_id run) override
    {
        ++found;
        auto record = co_await inner().find(run);
        co_return record;
    }
};

/// What the handlers of a test do, and what they have done.
struct journal {
    std::vector<std::string> begun;
    std::vector<pawl::time_point> times;
    int running = 0;
    int most = 0;
    std::map<std::string, pawl::duration> takes; ///< by foreign id; others take no time
};

pawl::step<off> work(lamp_run& run, journal* notes, pawl::clock* clock, pawl::duration span)
{
    notes->begun.push_back(run.foreign_id());
    notes->times.push_back(clock->now());
    notes->most = std::max(notes->most, ++notes->running);
    if (span > 0us)
        co_await wait_on(*clock, span);
    --notes->running;
    co_return pawl::to<off>;
}

auto worker(world& w, journal& notes, pawl::duration span = 0us)
{
    return [&notes, clock = w.clock.get(), span](lamp_run& run) {
        return work(run, &notes, clock, span);
    };
}

pawl::step<off> switch_off(lamp_run&)
{
    co_return pawl::to<off>;
}

pawl::step<off> called_off(lamp_run&, int)
{
    co_return pawl::to<off>;
}

pawl::run_id trigger(world& w, lamps& client, std::string id, int value = 0)
{
    const auto run =
        w.wait_for(client.async_trigger(std::move(id), lamp{value, {}}, {}, asio::use_awaitable));
    w.settle();
    return run;
}

void trigger_many(world& w, lamps& client, const std::string& prefix, int count, int value = 0)
{
    int begun = 0;
    for (int i = 0; i < count; ++i)
        client.async_trigger(prefix + std::to_string(i), lamp{value, {}}, {},
                             [&begun](pawl::error_code code, pawl::run_id) { begun += !code; });
    w.settle();
    BOOST_REQUIRE(begun == count);
}

std::size_t active(world& w)
{
    return w.wait_for(w.engine->async_statistics(asio::use_awaitable)).active_runs;
}

} // namespace

BOOST_AUTO_TEST_CASE(attempts_begin_at_the_rate)
{
    journal notes;
    world w;
    lamp_builder b{"lamps"};
    b.step<red>(worker(w, notes)).within(ten_a_second);
    b.end<off>();
    auto client = w.start(std::move(b).build());
    trigger_many(w, client, "run-", 101);
    w.advance_until([&] { return notes.begun.size() == 101; });
    const auto took = notes.times.back() - notes.times.front();
    BOOST_TEST(took.count() >= 10'000'000);
    BOOST_TEST(took.count() <= 10'010'000);
}

BOOST_AUTO_TEST_CASE(attempts_begin_at_the_rate_within_a_concurrency)
{
    for (const auto span : {0ms, 1ms, 40ms, 60ms}) { // with 5 at a time, 125 or 83 a second at most
        journal notes;
        world w;
        lamp_builder b{"lamps"};
        b.step<red>(worker(w, notes, span))
            .within(pawl::limit{"api", {.rate = 100, .burst = 20, .concurrency = 5}});
        b.end<off>();
        auto client = w.start(std::move(b).build());
        trigger_many(w, client, "run-", 500);
        w.advance_until([&] { return notes.begun.size() == 500; }, 7s);
        const auto took = notes.times.back() - notes.times.front();
        BOOST_TEST(took.count() >= 4'700'000);
        BOOST_TEST(notes.most <= 5);
    }
}

BOOST_AUTO_TEST_CASE(waiting_runs_take_no_place_and_are_served)
{
    journal notes;
    world w;
    w.options.max_active_runs = 2;
    lamp_builder b{"lamps"};
    b.step<red>(worker(w, notes, 10h)).within(one_at_a_time);
    b.callback<red>("end", called_off);
    b.timeout<red>(
        [](const lamp_run& run) -> std::optional<pawl::time_point> {
            if (run.foreign_id() != "late")
                return std::nullopt;
            return run.now() + 5min;
        },
        switch_off);
    b.end<off>();
    auto client = w.start(std::move(b).build());
    trigger(w, client, "holder");
    const auto called = trigger(w, client, "called");
    const auto late = trigger(w, client, "late");
    const auto cancelled = trigger(w, client, "cancelled");
    BOOST_TEST(active(w) == 1u);
    w.wait_for(client.async_call(called, "end", 1, {}, asio::use_awaitable));
    BOOST_TEST(w.state_of(client, called).status == off);
    w.wait_for(client.async_cancel(cancelled, {}, asio::use_awaitable));
    BOOST_TEST(w.state_of(client, cancelled).state == pawl::run_state::cancelled);
    w.advance(5min);
    BOOST_TEST(w.state_of(client, late).status == off);
    BOOST_TEST(notes.begun.size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_paused_run_counts_in_no_limit)
{
    journal notes;
    world w;
    lamp_builder b{"lamps"};
    b.step<red>(worker(w, notes)).within(two_an_hour);
    b.end<off>();
    auto client = w.start(std::move(b).build());
    trigger_many(w, client, "first-", 2);
    std::vector<pawl::run_id> paused;
    for (const auto* id : {"a", "b"})
        paused.push_back(trigger(w, client, id));
    const auto last = trigger(w, client, "last");
    for (const auto run : paused)
        w.wait_for(client.async_pause(run, {}, asio::use_awaitable));
    w.advance(29min);
    BOOST_TEST(notes.begun.size() == 2u);
    w.advance(1min); // the token that the paused runs would have had
    BOOST_TEST(w.state_of(client, last).status == off);
    BOOST_TEST(notes.begun.back() == "last");
}

BOOST_AUTO_TEST_CASE(a_retry_counts_and_its_wait_does_not)
{
    int attempts = 0;
    journal notes;
    world w;
    lamp_builder b{"lamps"};
    b.step<red>([&](lamp_run& run) -> pawl::step<off> {
         ++attempts;
         if (run.foreign_id() == "fails")
             throw std::runtime_error("no");
         return work(run, &notes, w.clock.get(), 0us);
     })
        .within(one_at_a_time)
        .retry({.initial = 1h, .multiplier = 1, .jitter = 0, .max_attempts = 2});
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto fails = trigger(w, client, "fails");
    const auto other = trigger(w, client, "other"); // while the other one backs off
    BOOST_TEST(w.state_of(client, other).status == off);
    w.advance(1h);
    BOOST_TEST(attempts == 3);
    BOOST_TEST(w.state_of(client, fails).state == pawl::run_state::paused);
}

BOOST_AUTO_TEST_CASE(a_hung_handler_counts_until_it_is_abandoned)
{
    journal notes;
    bool released = false;
    world w;
    lamp_builder b{"lamps"};
    b.step<red>([&](lamp_run& run) -> pawl::step<off> {
         if (run.foreign_id() == "hung") {
             const auto timer = w.clock->make_timer(w.io.get_executor());
             while (!released) // ignores its cancellation
                 co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(
                     [](auto handler, pawl::timer* t) { t->wait(1s, std::move(handler)); },
                     asio::use_awaitable, timer.get());
         }
         notes.begun.push_back(run.foreign_id());
         co_return pawl::to<off>;
     })
        .within(one_at_a_time)
        .attempt_timeout(1min)
        .retry({.max_attempts = 1});
    b.end<off>();
    auto client = w.start(std::move(b).build());
    trigger(w, client, "hung");
    const auto other = trigger(w, client, "other");
    w.advance_until([&] { return w.state_of(client, other).status == off; }, 2min);
    BOOST_TEST(notes.begun.size() == 1u);
    released = true;
    w.advance(2s);
}

BOOST_AUTO_TEST_CASE(each_key_of_a_limit_has_a_pool)
{
    journal notes;
    world w;
    lamp_builder b{"lamps"};
    b.step<red>(worker(w, notes, 1min)).within(one_at_a_time, &lamp::value);
    b.end<off>();
    auto client = w.start(std::move(b).build());
    for (int key = 0; key < 5; ++key)
        trigger_many(w, client, std::to_string(key) + "-", 3, key);
    BOOST_TEST(notes.running == 5);
    w.advance_until([&] { return notes.begun.size() == 15; });
    BOOST_TEST(notes.most == 5);
    std::set<std::string> first_round{notes.begun.begin(), notes.begun.begin() + 5};
    BOOST_TEST(first_round.contains("4-0"));
}

BOOST_AUTO_TEST_CASE(a_field_that_throws_fails_the_attempt)
{
    journal notes;
    world w;
    bool throws = true;
    lamp_builder b{"lamps"};
    b.step<red>(worker(w, notes, 1s))
        .within(one_at_a_time,
                [&throws](const lamp& l) {
                    if (throws)
                        throw std::runtime_error("no key");
                    return l.value;
                })
        .retry({.initial = 1min, .max_attempts = 2});
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto run = trigger(w, client, "run");
    const auto other = trigger(w, client, "other");
    BOOST_TEST(w.state_of(client, run).last_error == "no key");
    BOOST_TEST(notes.begun.empty()); // else without its limit
    throws = false;
    w.advance_until([&] { return w.state_of(client, other).status == off; });
    w.advance_until([&] { return w.state_of(client, run).status == off; });
    BOOST_TEST(notes.most == 1);
}

BOOST_AUTO_TEST_CASE(a_run_waits_by_the_key_that_its_object_has_now)
{
    journal notes;
    world w;
    lamp_builder b{"lamps"};
    b.step<red>(worker(w, notes, 1min)).within(one_at_a_time, &lamp::value);
    b.callback<red>("key", [](lamp_run& run, int value) -> pawl::step<red> {
        run.object().value = value;
        co_return pawl::to<red>;
    });
    b.end<off>();
    auto client = w.start(std::move(b).build());
    trigger(w, client, "holder", 1);
    const auto moved = trigger(w, client, "moved", 1);
    BOOST_TEST(notes.begun.size() == 1u);
    w.wait_for(client.async_call(moved, "key", 2, {}, asio::use_awaitable));
    w.settle();
    BOOST_TEST(notes.begun.size() == 2u);
    BOOST_TEST(notes.running == 2);
}

BOOST_AUTO_TEST_CASE(a_large_backlog_delays_a_small_key_by_a_turn_each)
{
    constexpr int big = 3'000;
    journal notes;
    world w;
    lamp_builder b{"lamps"};
    b.step<red>(worker(w, notes, 1s)).within(one_at_a_time).fair_by(&lamp::value);
    b.end<off>();
    auto client = w.start(std::move(b).build());
    trigger_many(w, client, "big-", big, 1);
    trigger_many(w, client, "small-", 10, 2);
    w.advance_until([&] { return notes.begun.size() >= 22; });
    const auto small = std::ranges::count_if(
        notes.begun, [](const std::string& id) { return id.starts_with("small"); });
    BOOST_TEST(small == 10);
}

BOOST_AUTO_TEST_CASE(a_backlog_costs_an_idle_engine_nothing)
{
    constexpr int backlog = 2'000;
    journal notes;
    world w;
    const auto counted = std::make_shared<read_counter>(w.store);
    w.store = counted;
    w.options.max_active_runs = 100; // so many ids are in memory; the others wait in the store
    lamp_builder b{"lamps"};
    b.step<red>(worker(w, notes, 10000h)).within(one_at_a_time);
    b.end<off>();
    auto client = w.start(std::move(b).build());
    trigger_many(w, client, "run-", backlog);
    w.advance(1h);
    const auto read = counted->read;
    const auto found = counted->found;
    for (int i = 0; i < 100; ++i)
        w.advance(1h);
    BOOST_TEST(counted->read == read);
    BOOST_TEST(counted->found == found);
}

BOOST_AUTO_TEST_CASE(a_long_backlog_is_read_once_and_in_order)
{
    constexpr int backlog = 4'000;
    for (const std::uint32_t shards : {1U, 64U}) {
        journal notes;
        world w;
        const auto counted = std::make_shared<read_counter>(pawl::open_memory({.shards = shards}));
        w.store = counted;
        w.options.max_active_runs = 1'000;
        lamp_builder b{"lamps"};
        b.step<red>(worker(w, notes)).within(ten_a_second);
        b.end<off>();
        auto client = w.start(std::move(b).build());
        for (int i = 0; i < backlog; ++i) {
            trigger_many(w, client, std::to_string(i) + "/", 1);
            w.clock->advance(1us);
        }
        w.advance_until([&] { return notes.begun.size() == backlog; });
        BOOST_TEST(counted->calls < backlog / 4u);
        BOOST_TEST(counted->read < 4u * backlog);
        std::vector<std::string> expected;
        for (int i = 0; i < backlog; ++i)
            expected.push_back(std::to_string(i) + "/0");
        BOOST_TEST(notes.begun == expected, boost::test_tools::per_element());
    }
}

BOOST_AUTO_TEST_CASE(runs_with_a_rate_obey_max_active_runs)
{
    journal notes;
    world w;
    w.options.max_active_runs = 3;
    lamp_builder b{"lamps"};
    b.step<red>(worker(w, notes, 10s)).within(ten_a_second);
    b.end<off>();
    auto client = w.start(std::move(b).build());
    trigger_many(w, client, "run-", 30);
    w.advance_until([&] { return notes.begun.size() == 30; });
    BOOST_TEST(notes.most == 3);
    const auto took = notes.times.back() - notes.times.front();
    BOOST_TEST(took < 10 * 11s);
}

BOOST_AUTO_TEST_CASE(a_clock_that_is_set_back_delays_no_token)
{
    journal notes;
    world w;
    lamp_builder b{"lamps"};
    b.step<red>(worker(w, notes)).within(ten_a_second);
    b.end<off>();
    auto client = w.start(std::move(b).build());
    trigger_many(w, client, "run-", 10);
    w.advance(100ms);
    const auto before = notes.begun.size();
    w.clock->step(-1h);
    for (int i = 0; i < 5; ++i)
        w.advance(100ms);
    BOOST_TEST(notes.begun.size() == before + 5);
}

BOOST_AUTO_TEST_CASE(an_operator_sees_what_waits)
{
    journal notes;
    world w;
    lamp_builder b{"lamps"};
    b.step<red>(worker(w, notes, 1h)).within(one_at_a_time, &lamp::value);
    b.end<off>();
    auto client = w.start(std::move(b).build());
    trigger_many(w, client, "run-", 42, 9);
    const auto last = trigger(w, client, "last", 9);
    pawl::limits limits{*w.engine};
    const auto wait = w.wait_for(limits.async_explain(last, asio::use_awaitable));
    BOOST_REQUIRE(wait.has_value());
    BOOST_TEST(to_string(*wait) == "api (9): 41 before it");
    const auto all = w.wait_for(limits.async_list(asio::use_awaitable));
    BOOST_REQUIRE(all.size() == 1u);
    BOOST_TEST(all.front().running == 1u);
    BOOST_TEST(all.front().waiting == 42u);
    BOOST_REQUIRE(all.front().pools.size() == 1u);
    BOOST_TEST(all.front().pools.front().key == "9");
}

BOOST_AUTO_TEST_CASE(numbers_that_an_operator_sets_are_in_force_at_once_and_after_a_restart)
{
    journal notes;
    world w;
    const auto make = [&] {
        lamp_builder b{"lamps"};
        b.step<red>(worker(w, notes, 1min)).within(one_at_a_time);
        b.end<off>();
        return std::move(b).build();
    };
    auto client = w.start(make());
    trigger_many(w, client, "run-", 100);
    BOOST_TEST(notes.running == 1);
    {
        pawl::limits limits{*w.engine};
        w.wait_for(limits.async_set("api", {.concurrency = 3}, asio::use_awaitable));
        w.settle();
        BOOST_TEST(notes.running == 3);
        w.wait_for(limits.async_set("api", {.concurrency = 2}, asio::use_awaitable));
        w.advance_until([&] { return notes.running == 2; });
    }
    w.stop();
    notes.running = 0;
    client = w.start(make());
    w.settle();
    BOOST_TEST(notes.running == 2);
    pawl::limits limits{*w.engine};
    auto all = w.wait_for(limits.async_list(asio::use_awaitable));
    BOOST_REQUIRE(all.size() == 1u);
    BOOST_TEST(all.front().overridden);
    BOOST_TEST(all.front().numbers.concurrency.value() == 2);
    BOOST_TEST(all.front().declared.concurrency.value() == 1);
    w.wait_for(limits.async_reset("api", asio::use_awaitable));
    w.advance_until([&] { return notes.running == 1; });
    all = w.wait_for(limits.async_list(asio::use_awaitable));
    BOOST_TEST(!all.front().overridden);
    BOOST_TEST(all.front().numbers.concurrency.value() == 1);
}

BOOST_AUTO_TEST_CASE(wrong_numbers_and_unknown_limits_are_refused)
{
    journal notes;
    world w;
    lamp_builder b{"lamps"};
    b.step<red>(worker(w, notes)).within(one_at_a_time);
    b.end<off>();
    auto client = w.start(std::move(b).build());
    pawl::limits limits{*w.engine};
    BOOST_TEST(w.error_of(limits.async_set("api", {.rate = 0}, asio::use_awaitable)) ==
               pawl::errc::invalid_argument);
    BOOST_TEST(w.error_of(limits.async_set("other", {.rate = 1}, asio::use_awaitable)) ==
               pawl::errc::not_found);
    BOOST_TEST(w.error_of(limits.async_reset("api", asio::use_awaitable)) == pawl::errc::not_found);
}

BOOST_AUTO_TEST_CASE(workflows_of_an_engine_share_a_limit)
{
    journal notes;
    world w;
    const auto make = [&](const char* name) {
        lamp_builder b{name};
        b.step<red>(worker(w, notes, 1s)).within(one_at_a_time);
        b.end<off>();
        return std::move(b).build();
    };
    w.options.store = w.store;
    w.options.clock = w.clock;
    w.engine.emplace(w.io.get_executor(), w.options);
    auto first = w.engine->add(make("first"));
    auto second = w.engine->add(make("second"));
    lamp_builder other{"other"};
    other.step<red>(switch_off).within(ten_a_second);
    other.end<off>();
    BOOST_CHECK_EXCEPTION(w.engine->add(std::move(other).build()), pawl::definition_error,
                          [](const pawl::definition_error& e) {
                              BOOST_TEST(std::string{e.what()}.find("\"api\" has other numbers") !=
                                         std::string::npos);
                              return true;
                          });
    w.wait_for(w.engine->async_start(asio::use_awaitable));
    trigger_many(w, first, "a-", 5);
    trigger_many(w, second, "b-", 5);
    w.advance_until([&] { return notes.begun.size() == 10 && notes.running == 0; });
    BOOST_TEST(notes.most == 1);
}

BOOST_AUTO_TEST_SUITE_END()
