// Whoever is to wake does, whatever becomes of others: runs that fail again and again, rows that
// cannot be read, shards that come and go, messages that other engines' clients send.
#include "engine/faulty_store.hpp"
#include "engine/run/scan_positions.hpp"
#include "engine/run/wake_list.hpp"
#include "engine/support.hpp"
#include "printing.hpp"

#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>

#include <algorithm>
#include <atomic>
#include <future>

BOOST_AUTO_TEST_SUITE(waking)

using namespace engine_test;
using enum light;

namespace {

/// Says that what it holds of some runs is damaged.
class damaged_store final : public pawl::forwarding_store {
public:
    using pawl::forwarding_store::forwarding_store;

    std::set<pawl::run_id> rows;    ///< cannot be read as due
    std::set<pawl::run_id> inboxes; ///< cannot be read
    int due_calls = 0;
    int inbox_calls = 0;
    std::size_t records = 0;

    asio::awaitable<pawl::due_page> due(std::uint32_t shard, pawl::due_position from,
                                        pawl::time_point until, std::size_t limit) override
    {
        ++due_calls;
        auto page = co_await inner().due(shard, from, until, limit);
        records += page.runs.size();
        for (const auto& run : page.runs)
            if (rows.contains(run.id))
                throw pawl::error(pawl::errc::store_corrupt, "a row");
        co_return page;
    }

    asio::awaitable<std::vector<pawl::message>> inbox(pawl::run_id run, std::uint64_t after,
                                                      std::size_t limit) override
    {
        ++inbox_calls;
        if (inboxes.contains(run))
            throw pawl::error(pawl::errc::store_corrupt, "an inbox");
        auto found = co_await inner().inbox(run, after, limit);
        co_return found;
    }
};

pawl::step<off> switch_off(lamp_run&)
{
    co_return pawl::to<off>;
}

/// yellow waits for a minute or a callback; green hangs.
lamp_builder waiting(world& w)
{
    lamp_builder b{"lamps"};
    b.callback<yellow>("go on", [](lamp_run&, int) -> pawl::step<off> { co_return pawl::to<off>; });
    b.timeout<yellow>(1min, switch_off);
    b.step<green>([clock = w.clock.get()](lamp_run&) -> pawl::step<off> {
        co_await wait_on(*clock, 10000h);
        co_return pawl::to<off>;
    });
    b.start<yellow>().start<green>();
    b.end<off>();
    return b;
}

pawl::run_id trigger(world& w, lamps& client, std::string id, light start)
{
    const auto run = w.wait_for(
        client.async_trigger(std::move(id), lamp{}, {.start = start}, asio::use_awaitable));
    w.settle();
    return run;
}

std::string id_in(std::uint32_t shard, const std::string& prefix)
{
    for (int i = 0;; ++i)
        if (auto id = prefix + std::to_string(i); pawl::shard_of(id, 2) == shard)
            return id;
}

std::ptrdiff_t lines_with(const world& w, const std::string& part)
{
    return std::ranges::count_if(
        w.log, [&](const std::string& line) { return line.find(part) != std::string::npos; });
}

/// A further engine for clients only, on the world's store and executor.
struct client_engine {
    client_engine(world& w, pawl::workflow<lamp, light> flow) : world_(w)
    {
        pawl::engine_options options;
        options.store = door = std::make_shared<faulty_store>(w.store);
        options.clock = w.clock;
        options.client_only = true;
        options.log = [](const pawl::log_entry&) {
        };
        engine.emplace(w.io.get_executor(), options);
        client.emplace(engine->add(std::move(flow)));
        w.wait_for(engine->async_start(asio::use_awaitable));
    }

    ~client_engine() { world_.wait_for(engine->async_stop(0s, asio::use_awaitable)); }

    world& world_;
    std::shared_ptr<faulty_store> door;
    std::optional<pawl::engine> engine;
    std::optional<lamps> client;
};

struct shared_world : world {
    shared_world() { store = pawl::open_memory({.shards = 4, .shared = true, .clock = clock}); }
};

/// Holds back the thread that has started run "a", until it is told to go on. Scans find no runs.
class preempting_store final : public pawl::forwarding_store {
public:
    using pawl::forwarding_store::forwarding_store;

    std::promise<void> stored;
    std::promise<void> goes_on;

    std::optional<pawl::apply_result> try_apply(const pawl::change& only) override
    {
        auto result = inner().try_apply(only);
        const auto* made = std::get_if<pawl::transition>(&only);
        if (made && made->next.foreign_id == "a" && made->expected_version == 0) {
            stored.set_value();
            goes_on.get_future().wait();
        }
        return result;
    }

    std::optional<pawl::record> try_find(pawl::run_id id) override { return inner().try_find(id); }

    asio::awaitable<pawl::due_page> due(std::uint32_t, pawl::due_position, pawl::time_point,
                                        std::size_t) override
    {
        co_return pawl::due_page{};
    }
};

pawl::due_position position(int at)
{
    pawl::due_position made;
    made.at = pawl::time_point{pawl::duration{at}};
    made.id.bytes[15] = static_cast<std::uint8_t>(at);
    return made;
}

} // namespace

BOOST_AUTO_TEST_CASE(a_run_that_fails_again_and_again_delays_only_itself)
{
    world w;
    const auto store = std::make_shared<damaged_store>(pawl::open_memory({.shards = 2}));
    w.store = store;
    auto client = w.start(waiting(w).build());
    const auto poison = trigger(w, client, id_in(0, "poison"), yellow);
    store->inboxes.insert(poison);
    client.async_send(poison, "go on", 1, {}, [](pawl::error_code, const auto&) {});
    const auto near = trigger(w, client, id_in(0, "near"), yellow);
    const auto far = trigger(w, client, id_in(1, "far"), yellow);
    store->inbox_calls = 0;
    for (int i = 0; i < 60; ++i)
        w.advance(1s);
    BOOST_TEST(w.state_of(client, near).status == off);
    BOOST_TEST(w.state_of(client, far).status == off);
    for (int i = 0; i < 60; ++i)
        w.advance(1min);
    BOOST_TEST(store->inbox_calls > 10);
    BOOST_TEST(store->inbox_calls < 40); // later each time, every five minutes in the end
    store->inboxes.clear();
    w.advance(5min);
    BOOST_TEST(w.state_of(client, poison).status == off);
}

BOOST_AUTO_TEST_CASE(runs_that_cannot_be_read_as_due_are_passed_over_and_reported_once)
{
    world w;
    const auto store = std::make_shared<damaged_store>(w.store);
    w.store = store;
    auto client = w.start(waiting(w).build());
    std::vector<pawl::run_id> runs;
    for (int i = 0; i < 20; ++i) { // due at the same time, four at a time
        runs.push_back(trigger(w, client, std::to_string(i), yellow));
        if (i % 4 == 3)
            w.advance(1ms);
    }
    for (const std::size_t bad : {0u, 5u, 6u, 19u})
        store->rows.insert(runs[bad]);
    store->due_calls = 0;
    w.advance(2min);
    for (int i = 0; i < 10; ++i)
        w.advance(1min);
    for (std::size_t i = 0; i < runs.size(); ++i)
        BOOST_TEST(((w.state_of(client, runs[i]).status == off) != store->rows.contains(runs[i])));
    for (const std::size_t bad : {0u, 6u, 19u}) // of neighbors the last
        BOOST_TEST(lines_with(w, to_string(runs[bad])) == 1);
    BOOST_TEST(store->due_calls < 2'000);
    store->rows.clear();
    w.stop();
    client = w.start(waiting(w).build());
    w.settle();
    BOOST_TEST(w.state_of(client, runs[5]).status == off);
}

BOOST_AUTO_TEST_CASE(a_step_that_skips_where_nothing_else_moves_its_run_is_paused)
{
    world w;
    int calls = 0;
    lamp_builder b{"lamps"};
    const auto skips_once = [&calls](lamp_run& run) -> pawl::step<off> {
        run.object().value = 7; // not saved
        if (++calls % 2 == 1)
            co_return pawl::skip();
        co_return pawl::to<off>;
    };
    b.step<red>(skips_once);
    b.step<yellow>(skips_once);
    b.timeout<yellow>(1min, switch_off);
    b.start<red>().start<yellow>();
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto run = trigger(w, client, "a", red);
    const auto paused = w.state_of(client, run);
    BOOST_TEST(paused.state == pawl::run_state::paused);
    BOOST_TEST(paused.reason.find("skip()") != std::string::npos);
    BOOST_TEST(paused.object.value == 0);
    w.advance(24h);
    BOOST_TEST(calls == 1);
    w.wait_for(client.async_resume(run, {}, asio::use_awaitable));
    w.settle();
    BOOST_TEST(w.state_of(client, run).status == off);
    const auto other = trigger(w, client, "b", yellow);
    BOOST_TEST(w.state_of(client, other).state == pawl::run_state::running);
    w.advance(1min);
    BOOST_TEST(w.state_of(client, other).status == off);
}

BOOST_AUTO_TEST_CASE(a_poll_of_a_shared_store_does_not_read_what_is_at_work)
{
    shared_world w;
    const auto store = std::make_shared<damaged_store>(w.store);
    w.store = store;
    auto client = w.start(waiting(w).build());
    w.advance(5s);
    for (int i = 0; i < 100; ++i)
        trigger(w, client, std::to_string(i), green);
    w.advance(1min);
    store->records = 0;
    for (int i = 0; i < 600; ++i)
        w.advance(1s);
    BOOST_TEST(store->records <= 300u); // the look at everything, each five minutes
}

BOOST_AUTO_TEST_CASE(a_run_goes_on_whose_shard_was_lost_and_taken_again_meanwhile)
{
    shared_world w;
    const auto door = std::make_shared<faulty_store>(w.store);
    w.store = door;
    w.options.poll_interval = 1000h; // not by chance
    int calls = 0;
    lamp_builder b{"lamps"};
    b.step<red>([&calls, clock = w.clock.get()](lamp_run&) -> pawl::step<off> {
        if (++calls == 1) {
            co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
            co_await wait_on(*clock, 1min);
        }
        co_return pawl::to<off>;
    });
    b.end<off>();
    auto client = w.start(std::move(b).build());
    w.advance(5s);
    const auto run = trigger(w, client, "a", red);
    BOOST_TEST(calls == 1);
    door->fails = [](const std::string& call) {
        return call == "claim" || call == "claim_role" ? fault::refused : fault::none;
    };
    for (int i = 0; i < 20; ++i)
        w.advance(1s);
    door->fails = [](const std::string&) {
        return fault::none;
    };
    for (int i = 0; i < 60; ++i)
        w.advance(1s);
    BOOST_TEST(calls == 2);
    BOOST_TEST(w.state_of(client, run).status == off);
}

BOOST_AUTO_TEST_CASE(a_command_of_another_engines_client_interrupts_a_step)
{
    shared_world w;
    auto client = w.start(waiting(w).build());
    w.advance(5s);
    client_engine other{w, waiting(w).build()};
    const auto run = trigger(w, client, "a", green);
    std::optional<pawl::error_code> told;
    other.client->async_cancel(run, "enough", [&told](pawl::error_code code) { told = code; });
    w.settle();
    w.advance(1s);
    BOOST_REQUIRE(told.has_value());
    BOOST_TEST(!*told);
    BOOST_TEST(w.state_of(client, run).state == pawl::run_state::cancelled);
}

BOOST_AUTO_TEST_CASE(a_log_is_read_only_while_somebody_waits_for_it)
{
    shared_world w;
    auto client = w.start(waiting(w).build());
    w.advance(5s);
    int reads = 0; // outlives the engine, which stops at the end
    client_engine other{w, waiting(w).build()};
    other.door->fails = [&reads](const std::string& call) {
        reads += call == "events";
        return fault::none;
    };
    const auto run = trigger(w, client, "a", yellow);
    std::optional<pawl::error_code> ended;
    other.client->async_await_finished(
        run, [&ended](pawl::error_code code, const auto&) { ended = code; });
    w.settle();
    w.wait_for(client.async_call(run, "go on", 1, {}, asio::use_awaitable));
    w.advance(1s);
    BOOST_REQUIRE(ended.has_value());
    BOOST_TEST(reads > 0);
    reads = 0;
    for (int i = 0; i < 10; ++i) {
        trigger(w, client, "b" + std::to_string(i), yellow);
        w.advance(1min);
    }
    BOOST_TEST(reads == 0);
}

BOOST_AUTO_TEST_CASE(a_trigger_whose_thread_is_late_begins_no_run_as_it_was)
{
    const auto store = std::make_shared<preempting_store>(pawl::open_memory());
    asio::thread_pool pool{4};
    pawl::engine_options options;
    options.store = store;
    options.log = [](const pawl::log_entry&) {
    };
    pawl::engine engine{pool.get_executor(), options};
    std::atomic<int> charged = 0;
    lamp_builder b{"lamps"};
    b.step<red>([&charged](lamp_run&) -> pawl::step<off> {
        ++charged;
        co_return pawl::to<off>;
    });
    b.end<off>();
    auto client = engine.add(std::move(b).build());
    engine.async_start(asio::use_future).get();
    auto triggered = client.async_trigger("a", lamp{}, {}, asio::use_future);
    store->stored.get_future().wait();
    auto cancelled = client.async_cancel(std::string{"a"}, "", asio::use_future);
    cancelled.wait();
    store->goes_on.set_value();
    cancelled.get();
    const auto run = triggered.get();
    engine.async_stop(1s, asio::use_future).get();
    pool.join();
    BOOST_TEST(charged == 0);
    BOOST_TEST(store->try_find(run)->state == pawl::run_state::cancelled);
}

BOOST_AUTO_TEST_CASE(the_wake_list_keeps_the_earliest_and_says_what_it_leaves_out)
{
    pawl::engine_detail::wake_list list;
    const auto entry = [](int at, int run, int failures = 0) {
        return pawl::engine_detail::wake_list::entry{position(at).at, position(run).id, 0,
                                                     failures};
    };
    list.add(entry(5, 1));
    list.add(entry(3, 1)); // earlier
    list.add(entry(4, 1)); // not earlier
    BOOST_TEST((list.first()->at == position(3).at));
    list.add(entry(9, 1, 1)); // it failed: that is when it is tried again
    list.add(entry(1, 1));
    BOOST_TEST((list.first()->at == position(9).at));
    BOOST_TEST(list.size() == 1u);
    BOOST_TEST(list.remove(position(1).id)->failures == 1);
    for (std::size_t i = 0; i < pawl::engine_detail::wake_list::max_size; ++i) {
        auto each = entry(100, 0);
        each.run.bytes[12] = static_cast<std::uint8_t>(i >> 8);
        each.run.bytes[13] = static_cast<std::uint8_t>(i);
        each.run.bytes[14] = 1;
        if (list.add(each))
            BOOST_ERROR("left out though there is room");
    }
    BOOST_TEST((list.add(entry(200, 7))->run == position(7).id));
    BOOST_TEST((list.add(entry(50, 8))->at == position(100).at));
    BOOST_TEST((list.first()->run == position(8).id));
}

BOOST_AUTO_TEST_CASE(a_scan_reads_its_earliest_position_and_pauses_after_a_failure)
{
    pawl::engine_detail::scan_positions positions{2};
    const auto at = [](int n) {
        return position(n).at;
    };
    BOOST_TEST((positions.read_at(at(0), true) == pawl::time_point::max()));
    positions[1].move_next_back(position(5));
    positions[1].move_next_back(position(7)); // not earlier
    BOOST_TEST((positions.read_at(at(0), true) == at(5)));
    positions[0].add_sweep(position(3), at(4));
    positions[0].add_sweep(position(1), at(2));
    BOOST_TEST((positions[0].sweep->from == position(1)));
    BOOST_TEST((positions[0].sweep->to == at(4)));
    BOOST_TEST((positions.shards_to_read(at(0)) == std::vector<std::uint32_t>{0}));
    BOOST_TEST((positions.shards_to_read(at(5)) == std::vector<std::uint32_t>{0, 1}));
    positions[0].not_before = at(0) + 1ms;
    BOOST_TEST(positions.shards_to_read(at(0)).empty());
    BOOST_TEST((positions[0].read_at(at(0), true) == at(0) + 1ms));
    positions.sweep_all_at(at(2));
    positions.sweep_at(1, at(3)); // not earlier
    BOOST_TEST((positions.read_at(at(0), true) == std::min(at(0) + 1ms, at(2))));
}

BOOST_AUTO_TEST_CASE(places_go_to_the_earliest_backlog_of_a_readable_shard)
{
    pawl::engine_detail::scan_positions positions{3};
    const auto now = position(9).at;
    BOOST_TEST(!positions.first_backlog().has_value());
    positions.set_backlog(0, position(4));
    positions.set_backlog(2, position(6));
    positions.set_backlog(0, position(3));
    BOOST_TEST(positions.backlog_count() == 2u);
    BOOST_TEST((positions.first_backlog() == position(3)));
    positions[0].not_before = now + 1ms;
    BOOST_TEST((positions.first_backlog() == position(3)));
    BOOST_REQUIRE(positions.first_readable_backlog(now).has_value());
    BOOST_TEST(positions.first_readable_backlog(now)->second == 2u);
    positions.forget_shard(2);
    BOOST_TEST(!positions.first_readable_backlog(now).has_value());
    BOOST_TEST(positions.backlog_count() == 1u);
}

BOOST_AUTO_TEST_SUITE_END()
