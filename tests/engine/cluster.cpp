// Several engines on one store: each shard is driven by one of them, runs go on elsewhere when
// their engine is gone, and whatever comes too late is fenced. Clients use any of them.
#include "engine/faulty_store.hpp"

#include "pawl/observer.hpp"

#include <deque>

using namespace engine_test;
using enum light;

namespace {

constexpr std::uint32_t shard_count = 8;
constexpr auto lease_time = 10s;

struct late_counter : pawl::observer {
    int late = 0;

    void skipped(std::string_view, std::string_view, pawl::skip_reason why) noexcept override
    {
        if (why == pawl::skip_reason::not_owner)
            ++late;
    }
};

/// An engine with a thread of its own, as it were: its context runs only when the test lets it.
struct member {
    asio::io_context io;
    std::shared_ptr<faulty_store> door;
    std::shared_ptr<late_counter> counter = std::make_shared<late_counter>();
    std::optional<pawl::engine> engine;
    std::optional<lamps> client;
    bool frozen = false;
};

struct cluster {
    std::shared_ptr<pawl::testing::manual_clock> clock =
        std::make_shared<pawl::testing::manual_clock>();
    std::shared_ptr<pawl::record_store> store =
        pawl::open_memory({.shards = shard_count, .shared = true, .clock = clock});
    std::deque<member> members;
    std::vector<std::string> log;

    ~cluster()
    {
        for (auto& each : members)
            if (each.engine)
                stop(each);
    }

    member& start(const std::function<pawl::workflow<lamp, light>(member&)>& make,
                  bool drive = true)
    {
        auto& added = members.emplace_back();
        added.door = std::make_shared<faulty_store>(store);
        pawl::engine_options options;
        options.store = added.door;
        options.clock = clock;
        options.name = std::string(1, static_cast<char>('a' + members.size() - 1));
        options.drive = drive;
        options.lease_time = lease_time;
        options.observer = added.counter;
        options.log = [this](const pawl::log_entry& entry) {
            log.push_back(to_string(entry));
        };
        added.engine.emplace(added.io.get_executor(), options);
        added.client = added.engine->add(make(added));
        wait_for(added, added.engine->async_start(asio::use_awaitable));
        return added;
    }

    void stop(member& leaving, pawl::duration drain = 0s)
    {
        leaving.frozen = false;
        leaving.door->fails = [](const std::string&) {
            return fault::none;
        };
        bool stopped = false;
        leaving.engine->async_stop(drain, [&](pawl::error_code) { stopped = true; });
        advance_until([&] { return stopped; });
        leaving.engine.reset();
    }

    /// From now on nothing that it does reaches the store.
    static void cut_off(member& dead)
    {
        dead.door->fails = [](const std::string&) {
            return fault::refused;
        };
    }

    static void reconnect(member& back)
    {
        back.door->fails = [](const std::string&) {
            return fault::none;
        };
    }

    void settle()
    {
        std::size_t ran = 1;
        while (ran > 0) {
            ran = 0;
            for (auto& each : members) {
                if (each.frozen)
                    continue;
                each.io.restart();
                ran += each.io.poll();
            }
        }
    }

    void advance(pawl::duration span)
    {
        const auto end = clock->now() + span;
        settle();
        while (clock->now() < end) {
            const auto next = clock->next_wait().value_or(end);
            clock->advance(
                std::clamp<pawl::duration>(next - clock->now(), 1us, end - clock->now()));
            settle();
        }
    }

    void advance_until(const std::function<bool()>& done, pawl::duration limit = 1h)
    {
        const auto end = clock->now() + limit;
        settle();
        while (!done()) {
            BOOST_REQUIRE(clock->now() < end);
            advance(100ms);
        }
    }

    template <class T>
    T wait_for(member& of, asio::awaitable<T> operation)
    {
        std::optional<T> result;
        std::exception_ptr failure;
        asio::co_spawn(of.io, std::move(operation), [&](std::exception_ptr e, T value) {
            failure = e;
            result.emplace(std::move(value));
        });
        advance_until([&] { return result.has_value(); });
        if (failure)
            std::rethrow_exception(failure);
        return std::move(*result);
    }

    void wait_for(member& of, asio::awaitable<void> operation)
    {
        std::optional<std::exception_ptr> result;
        asio::co_spawn(of.io, std::move(operation), [&](std::exception_ptr e) { result = e; });
        advance_until([&] { return result.has_value(); });
        if (*result)
            std::rethrow_exception(*result);
    }

    std::size_t owned_by(const member& of)
    {
        return wait_for(const_cast<member&>(of), of.engine ? statistics(of) : none()).leases.size();
    }

    static asio::awaitable<pawl::engine_statistics> statistics(const member& of)
    {
        auto now = co_await const_cast<pawl::engine&>(*of.engine).async_statistics();
        co_return now;
    }

    static asio::awaitable<pawl::engine_statistics> none() { co_return pawl::engine_statistics{}; }

    /// A foreign id in a shard that `owner` has.
    std::string id_of(member& owner)
    {
        const auto leases = wait_for(owner, statistics(owner)).leases;
        BOOST_REQUIRE(!leases.empty());
        for (int i = 0;; ++i) {
            const auto id = "id-" + std::to_string(i);
            const auto shard = pawl::shard_of(id, shard_count);
            if (std::ranges::any_of(leases, [&](const auto& l) { return l.shard == shard; }) &&
                used.insert(id).second)
                return id;
        }
    }

    pawl::run_id trigger(member& by, const std::string& id)
    {
        return wait_for(by, by.client->async_trigger(id, lamp{}, {}, asio::use_awaitable));
    }

    pawl::snapshot<lamp, light> state_of(member& by, pawl::run_id run)
    {
        return wait_for(by, by.client->async_find(run, asio::use_awaitable)).value();
    }

    std::vector<pawl::event> history(member& by, pawl::run_id run)
    {
        return wait_for(by, by.client->async_history(run, 0, 1000, asio::use_awaitable));
    }

    std::set<std::string> used;
};

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
        b.step<yellow>(switch_off).lag(yellow_time);
        b.callback<yellow>("press", press);
        b.callback<green>("press", press);
        b.end<off>();
        return std::move(b).build();
    };
}

} // namespace

BOOST_AUTO_TEST_SUITE(several_engines)

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
    BOOST_TEST((all.state_of(a, run).status == yellow));
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
        a, a.client->async_callback(third, "press", std::string{"hello"}, {}, asio::use_awaitable));
    BOOST_TEST((all.state_of(a, third).status == green));
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
    all.wait_for(visitor, visitor.client->async_callback(run, "press", std::string{"hello"}, {},
                                                         asio::use_awaitable));
    all.wait_for(visitor, visitor.client->async_pause(run, {"lunch", "me"}, asio::use_awaitable));
    BOOST_TEST((all.state_of(visitor, run).state == pawl::run_state::paused));
    all.wait_for(visitor, visitor.client->async_cancel(run, {}, asio::use_awaitable));
    BOOST_TEST(ran.size() == 1u);
    BOOST_TEST(ran.front() == &worker);
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
    all.advance(lease_time + 2s + 1s); // and the step's own time
    for (const auto& run : runs) {
        BOOST_TEST((all.state_of(a, run).status == off));
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
    BOOST_TEST((all.state_of(a, after).status == off));
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
            return line.find("has lost shards") != std::string::npos;
        });
    };
    all.clock->step(1h);
    all.advance(4s);
    BOOST_TEST(!has_lost());
    BOOST_TEST(a.engine->ready());
    cluster::cut_off(a);
    all.clock->step(-5s);
    all.advance(lease_time);
    BOOST_TEST(has_lost());
    BOOST_TEST(!a.engine->ready());

    cluster::reconnect(a);
    all.advance(4s);
    BOOST_TEST(all.owned_by(a) == 8u);
    const auto run = all.trigger(a, "afterwards");
    all.advance(1s);
    BOOST_TEST((all.state_of(a, run).status == off));
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
    all.advance(lease_time + 2s + 5s);
    for (const auto& run : runs)
        BOOST_TEST((all.state_of(a, run).status == yellow));
    BOOST_TEST(ran.size() == 10u);

    // It goes on where it stood, and knows of nothing: its five steps end, its commits come late.
    b.frozen = false;
    all.settle();
    BOOST_TEST(b.counter->late == 5);
    for (const auto& run : runs) {
        BOOST_TEST(all.state_of(a, run).object.value == 1);
        BOOST_TEST(all.history(a, run).size() == 2u);
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
        BOOST_TEST((all.state_of(a, run).status == yellow));
    BOOST_TEST(all.owned_by(a) == 4u);
}

BOOST_AUTO_TEST_CASE(news_that_are_lost_are_made_up_for)
{
    cluster all;
    std::vector<member*> ran;
    struct deaf_store : pawl::forwarding_store {
        using pawl::forwarding_store::forwarding_store;
        std::shared_ptr<void> listen(pawl::news_function) override { return nullptr; }
    };
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

BOOST_AUTO_TEST_SUITE_END()
