// Several engines on one store: each shard is driven by one of them, runs go on elsewhere when
// their engine is gone, and whatever comes too late is fenced. Clients use any of them.
#include "engine/cluster.hpp"
#include "printing.hpp"

BOOST_AUTO_TEST_SUITE(several_engines)

using namespace engine_test;
using enum light;

namespace {

/// Notes which engine ran it.
struct slow_step {
    cluster* all;
    member* self;
    pawl::duration takes;
    std::vector<member*>* ran;

    pawl::step<yellow> operator()(lamp_run& run) const
    {
        ran->push_back(self);
        if (takes > 0s)
            co_await wait_on(*all->clock, takes);
        run.object().value += 1;
        co_return pawl::to<yellow>;
    }
};

pawl::step<off> switch_off(lamp_run&)
{
    co_return pawl::to<off>;
}

pawl::step<green> press(lamp_run& run, std::string text)
{
    run.object().trail.push_back(text);
    co_return pawl::to<green>;
}

/// red → yellow after `takes` → off; pressed when yellow → green, which waits for ever.
auto lamps_that_take(cluster& all, pawl::duration takes, std::vector<member*>& ran,
                     pawl::duration yellow_time = 0s)
{
    return [&all, takes, &ran, yellow_time](member& self) {
        lamp_builder b{"lamps"};
        b.step<red>(slow_step{&all, &self, takes, &ran});
        b.step<yellow>(switch_off).start_delay(yellow_time);
        b.callback<yellow>("press", press);
        b.callback<green>("press", press);
        b.end<off>();
        return std::move(b).build();
    };
}

/// Answers reads of single runs late.
class late_finds final : public pawl::forwarding_store {
public:
    late_finds(std::shared_ptr<pawl::record_store> inner,
               std::shared_ptr<pawl::testing::manual_clock> clock)
        : forwarding_store(std::move(inner)), clock_(std::move(clock))
    {
    }

    asio::awaitable<std::optional<pawl::record>> find(pawl::run_id id) override
    {
        auto found = co_await inner().find(id);
        if (late_by > 0s)
            co_await wait_on(*clock_, late_by);
        co_return found;
    }

    pawl::duration late_by{};

private:
    const std::shared_ptr<pawl::testing::manual_clock> clock_;
};

/// Does what the test asks for late, or not at all.
class slow_store final : public pawl::forwarding_store {
public:
    slow_store(std::shared_ptr<pawl::record_store> inner,
               std::shared_ptr<pawl::testing::manual_clock> clock)
        : forwarding_store(std::move(inner)), clock_(std::move(clock))
    {
    }

    asio::awaitable<std::vector<pawl::lease>> claim(std::vector<std::uint32_t> shards,
                                                    std::string_view owner,
                                                    pawl::duration lease_duration) override
    {
        if (claims_nothing)
            throw pawl::error(pawl::errc::store_unavailable, "a claim");
        auto taken = co_await inner().claim(std::move(shards), owner, lease_duration);
        co_return taken;
    }

    asio::awaitable<std::optional<pawl::role_lease>>
    claim_role(std::string_view role, std::string_view owner,
               pawl::duration lease_duration) override
    {
        if (claims_nothing)
            throw pawl::error(pawl::errc::store_unavailable, "a claim");
        auto taken = co_await inner().claim_role(role, owner, lease_duration);
        co_return taken;
    }

    asio::awaitable<std::vector<pawl::apply_result>>
    apply(std::span<const pawl::change> batch) override
    {
        auto results = co_await inner().apply(batch);
        if (applies_late_by > 0s)
            co_await wait_on(*clock_, applies_late_by);
        co_return results;
    }

    asio::awaitable<std::vector<pawl::message>> inbox(pawl::run_id run, std::uint64_t after,
                                                      std::size_t limit) override
    {
        auto page = co_await inner().inbox(run, after, limit);
        if (reads_inboxes_late_by > 0s)
            co_await wait_on(*clock_, reads_inboxes_late_by);
        co_return page;
    }

    bool claims_nothing = false;
    pawl::duration applies_late_by{};
    pawl::duration reads_inboxes_late_by{};

private:
    const std::shared_ptr<pawl::testing::manual_clock> clock_;
};

/// Cannot read some runs: up to a thousand times, so that a test that fails ends.
struct damaged_runs final : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;
    std::set<pawl::run_id> runs;
    pawl::errc problem = pawl::errc::store_corrupt;
    int failures = 0;

    asio::awaitable<std::optional<pawl::record>> find(pawl::run_id id) override
    {
        if (runs.contains(id) && ++failures < 1000)
            throw pawl::error(problem, "run " + to_string(id));
        auto found = co_await inner().find(id);
        co_return found;
    }
};

struct deaf_store : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;
    std::shared_ptr<void> subscribe(pawl::change_handler) override { return nullptr; }
};

} // namespace

BOOST_AUTO_TEST_CASE(share_the_shards_evenly_as_they_come_and_go)
{
    cluster all;
    std::vector<member*> ran;
    const auto make = lamps_that_take(all, 0s, ran);
    auto& a = all.start(make);
    all.advance(2s);
    BOOST_TEST(all.owned_by(a) == 8u);
    auto& b = all.start(make);
    all.advance(4s);
    BOOST_TEST(all.owned_by(a) == 4u);
    BOOST_TEST(all.owned_by(b) == 4u);
    auto& c = all.start(make);
    all.advance(4s);
    BOOST_TEST(all.owned_by(a) + all.owned_by(b) + all.owned_by(c) == 8u);
    BOOST_TEST(all.owned_by(c) >= 2u);
    all.stop(b); // gives its shards back: nobody waits for a lease to lapse
    all.advance(2s);
    BOOST_TEST(all.owned_by(a) == 4u);
    BOOST_TEST(all.owned_by(c) == 4u);
    const auto view = all.wait_for(a, a.engine->async_cluster(asio::use_awaitable));
    BOOST_TEST(view.engines.size() == 2u);
    BOOST_TEST(view.shards.size() == 8u);
    for (const auto& each : view.shards)
        BOOST_TEST((each.owner == view.engines[0] || each.owner == view.engines[1]));
}

BOOST_AUTO_TEST_CASE(a_claim_that_was_not_answered_leaves_no_shard_without_an_engine)
{
    cluster all;
    std::vector<member*> ran;
    const auto make = lamps_that_take(all, 0s, ran);
    auto& a = all.start(make);
    all.advance(2s);
    auto& b = all.start(make);
    bool lost = false;
    b.door->fails = [&lost](const std::string& call) {
        return call == "claim" && !std::exchange(lost, true) ? fault::answer_lost : fault::none;
    };
    all.advance_until([&] { return lost; });
    // Now its part is smaller than what it claimed, and does not know of.
    auto& c = all.start(make);
    all.advance(10s);
    BOOST_TEST(all.owned_by(a) + all.owned_by(b) + all.owned_by(c) == shard_count);
}

BOOST_AUTO_TEST_CASE(take_each_others_triggers_and_tell_each_others_waits)
{
    cluster all;
    std::vector<member*> ran;
    const auto make = lamps_that_take(all, 0s, ran, 1h);
    auto& a = all.start(make);
    auto& b = all.start(make);
    all.advance(4s);
    const auto run = all.trigger(a, all.id_of(b));
    // By the news of the commit, without any time going on.
    all.settle();
    BOOST_TEST(all.state_of(a, run).status == yellow);
    BOOST_TEST(ran.size() == 1u);
    BOOST_TEST(ran.front() == &b);

    // The status that is awaited is passed at once: the wait sees it all the same.
    std::optional<pawl::error_code> passed;
    std::optional<pawl::error_code> ended;
    const auto next = all.id_of(b);
    b.frozen = true;
    const auto second = all.trigger(a, next);
    a.client->async_await(second, {yellow}, [&](auto code, auto) { passed = code; });
    a.client->async_await_finished(second, [&](auto code, auto) { ended = code; });
    all.settle();
    BOOST_TEST(!passed.has_value());
    b.frozen = false;
    all.settle();
    BOOST_REQUIRE(passed.has_value());
    BOOST_TEST(!*passed);
    BOOST_TEST(!ended.has_value());
    all.advance(1h + 1s);
    BOOST_REQUIRE(ended.has_value());
    BOOST_TEST(!*ended);

    // A callback through the one engine, handled by the other, answered to its sender.
    const auto third = all.trigger(a, all.id_of(b));
    all.settle();
    all.wait_for(
        a, a.client->async_call(third, "press", std::string{"hello"}, {}, asio::use_awaitable));
    BOOST_TEST(all.state_of(a, third).status == green);
}

BOOST_AUTO_TEST_CASE(clients_need_not_drive_anything)
{
    cluster all;
    std::vector<member*> ran;
    const auto make = lamps_that_take(all, 0s, ran, 1h);
    auto& worker = all.start(make);
    auto& visitor = all.start(make, false);
    all.advance(2s);
    BOOST_TEST(all.owned_by(worker) == 8u);
    BOOST_TEST(all.owned_by(visitor) == 0u);
    const auto run = all.trigger(visitor, "visited");
    all.wait_for(visitor, visitor.client->async_call(run, "press", std::string{"hello"}, {},
                                                     asio::use_awaitable));
    all.wait_for(visitor, visitor.client->async_pause(run, {"lunch", "me"}, asio::use_awaitable));
    BOOST_TEST(all.state_of(visitor, run).state == pawl::run_state::paused);
    all.wait_for(visitor, visitor.client->async_cancel(run, {}, asio::use_awaitable));
    BOOST_TEST(ran.size() == 1u);
    BOOST_TEST(ran.front() == &worker);
}

BOOST_AUTO_TEST_CASE(hooks_hear_of_runs_that_others_have_started)
{
    for (const bool heard : {true, false}) {
        cluster all;
        if (!heard)
            all.store = std::make_shared<deaf_store>(all.store);
        int started = 0;
        const auto make = [&started](member&) {
            lamp_builder b{"lamps"};
            b.callback<red>("press", [](lamp_run&, std::string) -> pawl::step<yellow> {
                co_return pawl::to<yellow>;
            });
            b.end<yellow>();
            b.on_start([&started](const pawl::snapshot<lamp, light>&) -> asio::awaitable<void> {
                ++started;
                co_return;
            });
            return std::move(b).build();
        };
        auto& worker = all.start(make);
        auto& visitor = all.start(make, false);
        all.advance(2s);
        for (int i = 0; i < 20; ++i)
            all.trigger(visitor, "visited " + std::to_string(i));
        all.advance(heard ? pawl::duration{1s} : worker.options.poll_interval + 1s);
        BOOST_TEST(started == 20);
    }
}

BOOST_AUTO_TEST_CASE(runs_of_a_dead_engine_go_on_within_its_lease_and_two_seconds)
{
    cluster all;
    std::vector<member*> ran;
    const auto make = lamps_that_take(all, 1s, ran);
    auto& a = all.start(make);
    auto& b = all.start(make);
    all.advance(4s);
    std::vector<pawl::run_id> runs;
    for (int i = 0; i < 5; ++i)
        runs.push_back(all.trigger(a, all.id_of(b)));
    all.settle();
    cluster::cut_off(b);
    all.advance(lease_duration + 2s + 1s); // and the step's own time
    for (const auto& run : runs) {
        BOOST_TEST(all.state_of(a, run).status == off);
        BOOST_TEST(all.state_of(a, run).object.value == 1);
    }
    BOOST_TEST(all.owned_by(a) == 8u);
    BOOST_TEST(!b.engine->ready());
    BOOST_TEST(a.engine->ready());

    // When it is back it takes part again.
    cluster::reconnect(b);
    all.advance(4s);
    BOOST_TEST(b.engine->ready());
    BOOST_TEST(all.owned_by(b) == 4u);
    const auto after = all.trigger(b, all.id_of(b));
    all.advance(2s);
    BOOST_TEST(all.state_of(a, after).status == off);
}

BOOST_AUTO_TEST_CASE(the_time_of_a_lease_is_counted_whatever_the_wall_clock_says)
{
    cluster all;
    // The store has a clock of its own, which nobody sets.
    const auto stores_clock = std::make_shared<pawl::testing::manual_clock>();
    all.store = pawl::open_memory({.shards = shard_count, .shared = true, .clock = stores_clock});
    std::vector<member*> ran;
    auto& a = all.start(lamps_that_take(all, 0s, ran));
    all.advance(2s);
    BOOST_TEST(all.owned_by(a) == 8u);
    const auto has_lost = [&] {
        return std::ranges::any_of(all.log, [](const std::string& line) {
            return line.find("lost shards") != std::string::npos;
        });
    };
    all.clock->step(1h);
    all.advance(4s);
    BOOST_TEST(!has_lost());
    BOOST_TEST(a.engine->ready());
    cluster::cut_off(a);
    all.clock->step(-5s);
    all.advance(lease_duration);
    BOOST_TEST(has_lost());
    BOOST_TEST(!a.engine->ready());

    cluster::reconnect(a);
    all.advance(4s);
    BOOST_TEST(all.owned_by(a) == 8u);
    const auto run = all.trigger(a, "afterwards");
    all.advance(1s);
    BOOST_TEST(all.state_of(a, run).status == off);
}

BOOST_AUTO_TEST_CASE(a_commit_of_an_engine_that_stood_still_is_fenced)
{
    cluster all;
    std::vector<member*> ran;
    const auto make = lamps_that_take(all, 5s, ran, 1h);
    auto& a = all.start(make);
    auto& b = all.start(make);
    all.advance(4s);
    std::vector<pawl::run_id> runs;
    for (int i = 0; i < 5; ++i)
        runs.push_back(all.trigger(a, all.id_of(b)));
    all.settle();
    BOOST_TEST(ran.size() == 5u);
    b.frozen = true; // as by SIGSTOP, in the midst of its steps
    all.advance(lease_duration + 2s + 5s);
    for (const auto& run : runs)
        BOOST_TEST(all.state_of(a, run).status == yellow);
    BOOST_TEST(ran.size() == 10u);

    // It goes on where it stood, and knows of nothing: its five steps end, its commits come late.
    b.frozen = false;
    all.settle();
    BOOST_TEST(b.counter->late == 5);
    for (const auto& run : runs) {
        BOOST_TEST(all.state_of(a, run).object.value == 1);
        const auto moves =
            std::ranges::count(all.history(a, run), pawl::event_kind::moved, &pawl::event::kind);
        BOOST_TEST(moves == 1);
    }
    all.advance(4s);
    BOOST_TEST(all.owned_by(b) == 4u);
    BOOST_TEST(ran.size() == 10u);
}

BOOST_AUTO_TEST_CASE(a_shard_is_given_away_between_two_commits_of_a_run)
{
    cluster all;
    std::vector<member*> ran;
    const auto make = lamps_that_take(all, 3s, ran, 1h);
    auto& a = all.start(make);
    all.advance(2s);
    std::vector<pawl::run_id> runs;
    for (int i = 0; i < 40; ++i)
        runs.push_back(all.trigger(a, "id " + std::to_string(i)));
    all.settle();
    all.start(make);
    all.advance(6s);
    // No step was interrupted or run twice for it.
    BOOST_TEST(ran.size() == 40u);
    for (const auto& run : runs)
        BOOST_TEST(all.state_of(a, run).status == yellow);
    BOOST_TEST(all.owned_by(a) == 4u);
}

BOOST_AUTO_TEST_CASE(news_that_are_lost_are_made_up_for)
{
    cluster all;
    std::vector<member*> ran;
    all.store = std::make_shared<deaf_store>(all.store);
    const auto make = lamps_that_take(all, 0s, ran);
    auto& a = all.start(make);
    auto& b = all.start(make);
    all.advance(4s);
    const auto run = all.trigger(a, all.id_of(b));
    std::optional<pawl::error_code> ended;
    a.client->async_await_finished(run, [&](auto code, auto) { ended = code; });
    all.advance(11s); // two looks: one of the owner, one of the waiting engine
    BOOST_REQUIRE(ended.has_value());
    BOOST_TEST(!*ended);
}

BOOST_AUTO_TEST_CASE(hooks_run_once_also_when_their_shard_moves)
{
    cluster all;
    std::vector<member*> ran;
    std::map<std::string, int> hooked;
    const auto make = [&](member& self) {
        lamp_builder b{"lamps"};
        b.step<red>(slow_step{&all, &self, 0s, &ran});
        b.end<yellow>();
        b.on_complete([&hooked](const pawl::snapshot<lamp, light>& run) -> asio::awaitable<void> {
            ++hooked[run.foreign_id];
            co_return;
        });
        return std::move(b).build();
    };
    auto& a = all.start(make);
    all.advance(2s);
    for (int i = 0; i < 20; ++i)
        all.trigger(a, "before " + std::to_string(i));
    all.settle();
    auto& b = all.start(make);
    all.advance(4s);
    for (int i = 0; i < 20; ++i)
        all.trigger(i % 2 ? a : b, "between " + std::to_string(i));
    all.settle();
    all.stop(a);
    all.advance(2s);
    for (int i = 0; i < 20; ++i)
        all.trigger(b, "after " + std::to_string(i));
    all.settle();
    BOOST_TEST(hooked.size() == 60u);
    for (const auto& [id, times] : hooked)
        BOOST_TEST(times == 1);
}

namespace {

/// Answers claims late.
class late_store final : public pawl::forwarding_store {
public:
    late_store(std::shared_ptr<pawl::record_store> inner,
               std::shared_ptr<pawl::testing::manual_clock> clock)
        : forwarding_store(std::move(inner)), clock_(std::move(clock))
    {
    }

    asio::awaitable<std::vector<pawl::lease>> claim(std::vector<std::uint32_t> shards,
                                                    std::string_view owner,
                                                    pawl::duration lease_duration) override
    {
        ++claims;
        const auto lateness = late_by;
        auto taken = co_await inner().claim(std::move(shards), owner, lease_duration);
        if (lateness > 0s)
            co_await wait_on(*clock_, lateness);
        co_return taken;
    }

    pawl::duration late_by{};
    int claims = 0;

private:
    const std::shared_ptr<pawl::testing::manual_clock> clock_;
};

/// Ends only when `takes` has passed, whatever it is told.
asio::awaitable<void> sit_out(std::shared_ptr<pawl::testing::manual_clock> clock,
                              pawl::duration takes)
{
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    co_await wait_on(*clock, takes);
}

/// red → off, whose step does not end when it is cancelled.
auto lamps_that_ignore_cancellation(cluster& all, pawl::duration takes, std::vector<member*>& ran)
{
    return [&all, takes, &ran](member& self) {
        lamp_builder b{"lamps"};
        b.step<red>([&all, takes, &ran, &self](lamp_run&) -> pawl::step<off> {
            ran.push_back(&self);
            co_await sit_out(all.clock, takes);
            co_return pawl::to<off>;
        });
        b.end<off>();
        return std::move(b).build();
    };
}

} // namespace

BOOST_AUTO_TEST_CASE(a_status_that_was_left_before_the_wait_began_does_not_end_it)
{
    bool ended = false; // the waits end with the engines
    std::optional<pawl::error_code> passed;
    cluster all;
    std::vector<member*> ran;
    const auto make = lamps_that_take(all, 10s, ran, 1h);
    auto& a = all.add();
    const auto late = std::make_shared<late_finds>(all.store, all.clock);
    a.options.store = late;
    all.start(a, [&](member& self) { self.client = self.engine->add(make(self)); });
    auto& b = all.start(make);
    all.advance(4s);
    const auto run = all.trigger(b, all.id_of(b));
    a.client->async_await_finished(run, [&](auto, auto) { ended = true; });
    all.settle(); // the wait follows the run from here

    // Engine a reads the commit that made the run yellow, and then the run, which takes a second.
    late->late_by = 1s;
    all.advance(10s);
    all.wait_for(b, b.client->async_call(run, "press", std::string{"1"}, {}, asio::use_awaitable));
    BOOST_TEST(all.state_of(b, run).status == green);
    a.client->async_await(run, {yellow}, [&](auto code, auto) { passed = code; });
    all.advance(10s);
    BOOST_TEST(!passed.has_value());
    BOOST_TEST(!ended);
}

BOOST_AUTO_TEST_CASE(a_commit_between_the_two_reads_of_a_wait_ends_the_wait)
{
    std::optional<pawl::error_code> reached;
    cluster all;
    std::vector<member*> ran;
    const auto make = lamps_that_take(all, 10s, ran, 1h);
    auto& a = all.add();
    const auto late = std::make_shared<late_finds>(all.store, all.clock);
    a.options.store = late;
    all.start(a, [&](member& self) { self.client = self.engine->add(make(self)); });
    auto& b = all.start(make);
    all.advance(4s);
    const auto run = all.trigger(b, all.id_of(b));
    a.client->async_await_finished(run, [](auto, auto) {});
    all.advance(9s + 500ms); // the engine follows the run for the first wait

    // The second wait reads that the run is red. Before it gets to know that, the engine reads the
    // commit that makes the run yellow.
    late->late_by = 1s;
    a.client->async_await(run, {yellow}, [&](auto code, auto) { reached = code; });
    all.settle();
    late->late_by = 0s;
    all.advance(10s);
    BOOST_TEST(all.state_of(b, run).status == yellow);
    BOOST_REQUIRE(reached.has_value());
    BOOST_TEST(!*reached);
}

namespace {

/// Two engines, of which the first loses its shards while its store is slow.
struct engine_that_loses_its_shards {
    std::optional<pawl::error_code> passed; // the wait ends with the engines
    cluster all;
    std::vector<member*> ran;
    std::shared_ptr<slow_store> slow = std::make_shared<slow_store>(all.store, all.clock);
    member& a = all.add();
    member& b;

    engine_that_loses_its_shards() : b(start_both()) {}

    member& start_both()
    {
        const auto make = lamps_that_take(all, 10s, ran, 1h);
        a.options.store = slow;
        all.start(a, [&](member& self) { self.client = self.engine->add(make(self)); });
        auto& second = all.start(make);
        all.advance(4s);
        return second;
    }

    /// The other engine has made the run green. A wait for yellow that begins now does not end.
    void check_wait_for_yellow(pawl::run_id run)
    {
        BOOST_TEST(all.state_of(b, run).status == green);
        a.client->async_await(run, {yellow}, [&](auto code, auto) { passed = code; });
        all.advance(2min);
        BOOST_TEST(!passed.has_value());
        slow->claims_nothing = false;
        all.advance(lease_duration);
        BOOST_TEST(!passed.has_value());
    }
};

} // namespace

BOOST_AUTO_TEST_CASE(a_commit_that_is_answered_after_the_run_went_on_ends_no_wait)
{
    engine_that_loses_its_shards test;
    const auto run = test.all.trigger(test.a, test.all.id_of(test.a));
    test.all.advance(9s);
    test.slow->claims_nothing = true;
    test.slow->applies_late_by = 1min; // of the commit that makes the run yellow
    test.all.advance(20s);
    auto press = test.b.client->async_call(run, "press", std::string{"1"}, {}, asio::use_awaitable);
    test.all.wait_for(test.b, std::move(press));
    test.slow->applies_late_by = 0s;
    test.check_wait_for_yellow(run);
}

BOOST_AUTO_TEST_CASE(a_record_that_was_read_before_the_shard_was_lost_ends_no_wait)
{
    engine_that_loses_its_shards test;
    const auto run = test.all.trigger(test.a, test.all.id_of(test.a));
    test.all.advance(15s);
    BOOST_TEST(test.all.state_of(test.b, run).status == yellow);
    test.slow->claims_nothing = true;
    test.slow->reads_inboxes_late_by = 1min;
    auto press = test.b.client->async_call(run, "press", std::string{"1"}, {}, asio::use_awaitable);
    test.all.wait_for(test.b, std::move(press));
    test.check_wait_for_yellow(run);
}

BOOST_AUTO_TEST_CASE(a_command_that_comes_while_the_inbox_is_read_interrupts_the_step)
{
    std::optional<pawl::error_code> cancelled;
    cluster all;
    std::vector<member*> ran;
    const auto make = lamps_that_take(all, 10h, ran);
    auto& a = all.add();
    const auto slow = std::make_shared<slow_store>(all.store, all.clock);
    a.options.store = slow;
    a.options.poll_interval = 1h;
    all.start(a, [&](member& self) { self.client = self.engine->add(make(self)); });
    auto& b = all.start(make, false);
    all.advance(2s);
    const auto run = all.trigger(b, "id");
    all.settle();
    BOOST_TEST(ran.size() == 1u);
    slow->reads_inboxes_late_by = 1s;
    all.wait_for(b, b.client->async_send(run, "press", std::string{"1"}, {}, asio::use_awaitable));
    all.settle(); // the engine reads the inbox, without the command
    b.client->async_cancel(run, {"enough"}, [&](pawl::error_code code) { cancelled = code; });
    all.advance(4s);
    BOOST_REQUIRE(cancelled.has_value());
    BOOST_TEST(!*cancelled);
}

BOOST_AUTO_TEST_CASE(a_command_behind_many_callbacks_interrupts_the_step_at_once)
{
    std::optional<pawl::error_code> cancelled;
    cluster all;
    std::vector<member*> ran;
    const auto make = lamps_that_take(all, 10h, ran);
    auto& a = all.start(make);
    auto& b = all.start(make, false);
    all.advance(2s);
    const auto run = all.trigger(b, "id");
    all.settle();
    BOOST_TEST(ran.size() == 1u);
    a.frozen = true;
    for (int i = 0; i < 300; ++i)
        all.wait_for(b,
                     b.client->async_send(run, "press", std::string{"1"}, {}, asio::use_awaitable));
    b.client->async_cancel(run, {"enough"}, [&](pawl::error_code code) { cancelled = code; });
    all.settle();
    BOOST_TEST(!cancelled.has_value());
    a.frozen = false;
    all.settle(); // no time has passed
    BOOST_REQUIRE(cancelled.has_value());
    BOOST_TEST(!*cancelled);
}

BOOST_AUTO_TEST_CASE(shards_are_dropped_in_time_after_a_late_renewal)
{
    cluster all;
    std::vector<member*> ran;
    const auto make = lamps_that_take(all, 0s, ran);
    auto& a = all.add();
    const auto late = std::make_shared<late_store>(all.store, all.clock);
    a.options.store = late;
    all.start(a, [&](member& self) { self.client = self.engine->add(make(self)); });
    all.advance(2s);
    BOOST_TEST(all.owned_by(a) == shard_count);
    const auto claims = late->claims;
    late->late_by = lease_duration + 1s;
    all.advance_until([&] { return late->claims > claims; });
    late->late_by = 0s;
    all.advance(lease_duration + 500ms); // nothing is claimed before the renewal is answered
    BOOST_TEST(all.owned_by(a) == 0u);
    all.advance(1s);
    late->late_by = 1min; // of the next renewal
    all.advance(lease_duration + 1s);
    BOOST_TEST(all.owned_by(a) == 0u);
    late->late_by = 0s;
    all.advance(2min);
    BOOST_TEST(all.owned_by(a) == shard_count);
}

namespace {

/// Three waits of an engine for the ends of runs that another engine drives, one of which the
/// engine cannot read after a while.
struct waits_with_a_damaged_run {
    std::map<pawl::run_id, pawl::error_code> ended;
    cluster all;
    std::vector<member*> ran;
    std::shared_ptr<damaged_runs> damaged = std::make_shared<damaged_runs>(all.store);
    member& a = all.add();
    std::vector<pawl::run_id> runs;

    explicit waits_with_a_damaged_run(pawl::errc problem)
    {
        const auto make = lamps_that_take(all, 10s, ran, 10s);
        a.options.store = damaged;
        all.start(a, [&](member& self) { self.client = self.engine->add(make(self)); });
        auto& b = all.start(make);
        all.advance(4s);
        for (int i = 0; i < 3; ++i) {
            runs.push_back(all.trigger(b, all.id_of(b)));
            a.client->async_await_finished(
                runs.back(), [this, run = runs.back()](auto code, auto) { ended[run] = code; });
        }
        all.settle();
        damaged->runs.insert(runs[1]);
        damaged->problem = problem;
    }
};

} // namespace

BOOST_AUTO_TEST_CASE(a_damaged_run_delays_no_wait_for_another_run)
{
    waits_with_a_damaged_run test{pawl::errc::store_corrupt};
    test.all.advance(30s);
    BOOST_TEST(test.ended.size() == 3u);
    BOOST_TEST(!test.ended[test.runs[0]]);
    BOOST_TEST(test.ended[test.runs[1]] == pawl::errc::store_corrupt);
    BOOST_TEST(!test.ended[test.runs[2]]);
    BOOST_TEST(test.a.engine->ready());
}

BOOST_AUTO_TEST_CASE(a_store_that_fails_is_read_again_for_waits_after_a_pause)
{
    waits_with_a_damaged_run test{pawl::errc::store_unavailable};
    test.all.advance(30s);
    BOOST_TEST(test.damaged->failures > 0);
    BOOST_TEST(test.damaged->failures < 100);
    test.damaged->runs.clear();
    test.all.advance(10s);
    BOOST_TEST(test.ended.size() == 3u);
    for (const auto& [run, code] : test.ended)
        BOOST_TEST(!code);
}

namespace {

struct store_without_notifications final : pawl::forwarding_store {
    using pawl::forwarding_store::forwarding_store;

    std::shared_ptr<void> subscribe(pawl::change_handler) override
    {
        throw pawl::error(pawl::errc::store_unavailable, "a subscription");
    }
};

} // namespace

BOOST_AUTO_TEST_CASE(an_engine_that_cannot_subscribe_starts_and_polls)
{
    cluster all;
    std::vector<member*> ran;
    const auto make = lamps_that_take(all, 0s, ran);
    auto& a = all.add();
    a.options.store = std::make_shared<store_without_notifications>(all.store);
    all.start(a, [&](member& self) { self.client = self.engine->add(make(self)); });
    auto& b = all.start(make, false);
    all.advance(2s);
    BOOST_TEST(all.has_logged("cannot subscribe"));
    const auto run = all.trigger(b, "id");
    all.advance(a.options.poll_interval + 1s);
    BOOST_TEST(all.state_of(b, run).status == off);
}

BOOST_AUTO_TEST_CASE(a_claim_that_is_answered_after_its_lapse_is_not_trusted)
{
    cluster all;
    std::vector<member*> ran;
    const auto make = lamps_that_take(all, 0s, ran);
    auto& a = all.add();
    const auto late = std::make_shared<late_store>(all.store, all.clock);
    late->late_by = lease_duration + 1s;
    a.options.store = late;
    all.start(a, [&](member& self) { self.client = self.engine->add(make(self)); });
    all.advance(lease_duration / 2);
    auto& b = all.start(make, false);
    const auto run = all.trigger(b, "id");
    all.advance(lease_duration * 3);
    BOOST_TEST(ran.empty());
    BOOST_TEST(all.owned_by(a) == 0u);
    late->late_by = 0s;
    all.advance(lease_duration * 2);
    BOOST_TEST(all.owned_by(a) == shard_count);
    BOOST_TEST(all.state_of(b, run).status == off);
}

BOOST_AUTO_TEST_CASE(a_handler_that_ignores_cancellation_does_not_keep_its_shard)
{
    cluster all;
    std::vector<member*> ran;
    const auto make = lamps_that_ignore_cancellation(all, 1h, ran);
    auto& a = all.start(make);
    all.advance(2s);
    for (int i = 0; i < 40; ++i)
        all.trigger(a, "id " + std::to_string(i));
    all.settle();
    BOOST_TEST(ran.size() == 40u);
    auto& b = all.start(make);
    all.advance(5s + 4s); // the grace, and some looks
    BOOST_TEST(all.owned_by(a) == shard_count / 2);
    BOOST_TEST(all.owned_by(b) == shard_count / 2);
    BOOST_TEST(std::ranges::count(ran, &b) > 0);
    // Where another engine goes on, this one does not say that it does.
    all.advance(30s);
    BOOST_TEST(!all.has_logged("continues without it"));
    all.advance(2h);
}

BOOST_AUTO_TEST_CASE(a_run_goes_on_whose_shard_is_lost_and_taken_again_while_it_is_active)
{
    cluster all;
    std::vector<member*> ran;
    const auto make = lamps_that_ignore_cancellation(all, lease_duration * 3, ran);
    auto& a = all.add();
    a.options.poll_interval = 10h; // nothing else finds the run
    a.options.cancellation_grace = 10h;
    all.start(a, [&](member& self) { self.client = self.engine->add(make(self)); });
    all.advance(2s);
    const auto run = all.trigger(a, "id");
    all.settle();
    BOOST_TEST(ran.size() == 1u);
    cluster::cut_off(a);
    all.advance(lease_duration + 1s);
    BOOST_TEST(all.has_logged("lost shards"));
    cluster::reconnect(a);
    all.advance(4s);
    BOOST_TEST(all.owned_by(a) == shard_count);
    all.advance(lease_duration * 2); // the first handler ends
    BOOST_TEST(ran.size() == 2u);
    all.advance(lease_duration * 3);
    BOOST_TEST(all.state_of(a, run).status == off);
}

BOOST_AUTO_TEST_CASE(a_fenced_commit_makes_the_engine_look_at_its_leases_at_once)
{
    cluster all;
    std::vector<member*> ran;
    const auto make = lamps_that_take(all, 100ms, ran);
    auto& a = all.start(make);
    all.advance(2s);
    const auto id = all.id_of(a);
    all.trigger(a, id);
    all.settle();
    // Behind its back, just after a look.
    const auto shard = pawl::shard_of(id, shard_count);
    const auto held = all.wait_for(a, all.store->leases()).at(shard);
    all.wait_for(a, all.store->release({held}));
    all.wait_for(a, all.store->claim({shard}, "thief", 1h));
    all.advance(100ms);
    BOOST_TEST(all.has_logged("lost shards"));
    BOOST_TEST(a.counter->late == 1);
}

BOOST_AUTO_TEST_SUITE_END()
