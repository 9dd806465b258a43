// Who begins when not all can: runs that wait, for a place in memory or for a permit of a step, are
// served in time and in order, and a stalled engine says so.
#include "engine/faulty_store.hpp"
#include "engine/support.hpp"
#include "printing.hpp"

#include <boost/asio/experimental/awaitable_operators.hpp>

#include <algorithm>

BOOST_AUTO_TEST_SUITE(admission)

using namespace engine_test;
using enum light;

namespace {

/// Counts the records that are read as due.
class due_counter final : public pawl::forwarding_store {
public:
    using pawl::forwarding_store::forwarding_store;

    std::size_t read = 0;

    asio::awaitable<pawl::due_page> due(std::uint32_t shard, pawl::due_position from,
                                        pawl::time_point until, std::size_t limit) override
    {
        auto page = co_await inner().due(shard, from, until, limit);
        read += page.runs.size();
        co_return page;
    }
};

pawl::step<off> take(lamp_run&, pawl::clock* clock, pawl::duration span)
{
    co_await wait_on(*clock, span);
    co_return pawl::to<off>;
}

pawl::step<off> switch_off(lamp_run&)
{
    co_return pawl::to<off>;
}

pawl::step<off> called_off(lamp_run&, int)
{
    co_return pawl::to<off>;
}

/// Its steps take a second each, and write down who begins.
pawl::workflow<lamp, light> seconds(world& w, std::vector<std::string>& order)
{
    lamp_builder b{"lamps"};
    b.step<red>([&order, clock = w.clock.get()](lamp_run& run) {
        order.push_back(run.foreign_id());
        return take(run, clock, 1s);
    });
    b.end<off>();
    return std::move(b).build();
}

/// green hangs; yellow waits for a callback or an hour; red goes to its end at once.
lamp_builder idle_beside_hanging(world& w)
{
    lamp_builder b{"lamps"};
    b.step<red>(switch_off);
    b.callback<yellow>("go on", called_off);
    b.timeout<yellow>(1h, switch_off);
    b.step<green>([clock = w.clock.get()](lamp_run& run) { return take(run, clock, 10000h); });
    b.start<red>().start<yellow>().start<green>();
    b.end<off>();
    return b;
}

pawl::run_id trigger(world& w, lamps& client, std::string id, light start = red)
{
    const auto run = w.wait_for(
        client.async_trigger(std::move(id), lamp{}, {.start = start}, asio::use_awaitable));
    w.settle();
    return run;
}

void trigger_many(world& w, lamps& client, const std::string& prefix, int count, light start)
{
    int begun = 0;
    for (int i = 0; i < count; ++i)
        client.async_trigger(prefix + std::to_string(i), lamp{}, {.start = start},
                             [&begun](pawl::error_code code, pawl::run_id) { begun += !code; });
    w.settle();
    BOOST_REQUIRE(begun == count);
}

/// `span` in small steps, as time goes.
void pass(world& w, pawl::duration span, pawl::duration step = 1s)
{
    for (pawl::duration gone{}; gone < span; gone += step)
        w.advance(step);
}

std::string id_in(std::uint32_t shard, const std::string& prefix)
{
    for (int i = 0;; ++i)
        if (auto id = prefix + std::to_string(i); pawl::shard_of(id, 2) == shard)
            return id;
}

int finished(world& w, lamps& client)
{
    pawl::record_query query;
    query.states = {pawl::run_state::completed};
    query.limit = 1000;
    return static_cast<int>(w.wait_for(client.async_list(query, asio::use_awaitable)).runs.size());
}

std::ptrdiff_t lines_with(const world& w, const std::string& part)
{
    return std::ranges::count_if(
        w.log, [&](const std::string& line) { return line.find(part) != std::string::npos; });
}

/// Whether the tests run as large as they are meant: test_engine --run_test=admission -- full.
bool full_size()
{
    const auto& suite = boost::unit_test::framework::master_test_suite();
    return suite.argc > 1 && std::string_view{suite.argv[1]} == "full";
}

/// The same on a store that applies in place, and on one that answers later, in batches.
void on_both_stores(const std::function<void(world&)>& test)
{
    for (const bool batches : {false, true})
        BOOST_TEST_CONTEXT((batches ? "a store of batches" : "memory"))
        {
            world w;
            if (batches)
                w.store = std::make_shared<faulty_store>(w.store);
            test(w);
        }
}

asio::awaitable<void> one_after_the_other(lamps client, int count)
{
    for (int i = 0; i < count; ++i) {
        const auto run =
            co_await client.async_trigger("x" + std::to_string(i), lamp{}, {}, asio::use_awaitable);
        co_await client.async_await_finished(run, asio::use_awaitable);
    }
}

} // namespace

BOOST_AUTO_TEST_CASE(a_deadline_fires_in_line_for_a_permit)
{
    on_both_stores([](world& w) {
        lamp_builder b{"lamps"};
        b.step<red>([clock = w.clock.get()](lamp_run& run) {
             return take(run, clock, 10000h);
         }).max_concurrency(1);
        b.timeout<red>(
            [](const lamp_run& run) -> std::optional<pawl::time_point> {
                if (run.foreign_id() == "holder")
                    return std::nullopt;
                return run.now() + 5min;
            },
            switch_off);
        b.end<off>();
        w.options.max_active_runs = 2; // and so many stand in line: others are turned away
        auto client = w.start(std::move(b).build());
        trigger(w, client, "holder");
        std::vector<pawl::run_id> waiting;
        for (const auto* id : {"a", "b", "c", "d"})
            waiting.push_back(trigger(w, client, id));
        w.advance(5min);
        for (const auto run : waiting)
            BOOST_TEST(w.state_of(client, run).status == off);
    });
}

BOOST_AUTO_TEST_CASE(a_message_expires_in_time_in_line_for_a_permit)
{
    on_both_stores([](world& w) {
        lamp_builder b{"lamps"};
        b.step<red>([clock = w.clock.get()](lamp_run& run) {
             return take(run, clock, 10000h);
         }).max_concurrency(1);
        b.callback<yellow>("end", called_off);
        b.start<red>();
        b.end<off>();
        auto client = w.start(std::move(b).build());
        trigger(w, client, "holder");
        const auto waits = trigger(w, client, "waits");
        std::optional<pawl::error_code> told;
        client.async_call(waits, "end", 1, {.expires_after = 1min},
                          [&told](pawl::error_code code, const pawl::settlement&) { told = code; });
        w.settle();
        w.advance(1min);
        BOOST_REQUIRE(told.has_value());
        BOOST_TEST(*told == pawl::errc::expired);
    });
}

BOOST_AUTO_TEST_CASE(a_deadline_fires_while_a_run_waits_for_a_place)
{
    on_both_stores([](world& w) {
        auto b = idle_beside_hanging(w);
        b.timeout<red>(5min, switch_off);
        w.options.max_active_runs = 2;
        auto client = w.start(std::move(b).build());
        trigger_many(w, client, "hangs", 2, green);
        const auto waits = trigger(w, client, "waits", red);
        w.advance(4min);
        BOOST_TEST(w.state_of(client, waits).status == red);
        w.advance(1min);
        BOOST_TEST(w.state_of(client, waits).status == off);
    });
}

BOOST_AUTO_TEST_CASE(commands_callbacks_and_deadlines_go_on_beside_hanging_steps)
{
    on_both_stores([](world& w) {
        w.options.max_active_runs = 2;
        auto client = w.start(idle_beside_hanging(w).build());
        const auto called = trigger(w, client, "called", yellow);
        const auto timed = trigger(w, client, "timed", yellow);
        const auto cancelled = trigger(w, client, "cancelled", yellow);
        trigger_many(w, client, "hangs", 2, green);
        const auto not_begun = trigger(w, client, "not begun", green);
        BOOST_TEST(!w.error_of(client.async_call(called, "go on", 1, {}, asio::use_awaitable)));
        BOOST_TEST(!w.error_of(client.async_cancel(cancelled, "", asio::use_awaitable)));
        BOOST_TEST(!w.error_of(client.async_cancel(not_begun, "", asio::use_awaitable)));
        w.advance(1h);
        BOOST_TEST(w.state_of(client, called).status == off);
        BOOST_TEST(w.state_of(client, timed).status == off);
        BOOST_TEST(w.state_of(client, not_begun).state == pawl::run_state::cancelled);
    });
}

BOOST_AUTO_TEST_CASE(what_is_urgent_waits_for_the_reserve_and_then_goes_on)
{
    world w;
    lamp_builder b{"lamps"};
    b.step<green>([clock = w.clock.get()](lamp_run& run) { return take(run, clock, 10000h); });
    b.callback<yellow>(
        "hang", [clock = w.clock.get()](lamp_run& run, int) { return take(run, clock, 1h); });
    b.start<green>().start<yellow>();
    b.end<off>();
    w.options.max_active_runs = 1;
    w.options.urgent_runs = 1;
    auto client = w.start(std::move(b).build());
    trigger(w, client, "hangs", green);
    std::vector<pawl::run_id> runs;
    for (int i = 0; i < 3; ++i) {
        runs.push_back(trigger(w, client, std::to_string(i), yellow));
        client.async_send(runs[static_cast<std::size_t>(i)], "hang", 1, {},
                          [](pawl::error_code code, const auto&) { BOOST_TEST(!code); });
        w.settle();
    }
    for (std::size_t i = 0; i < 3; ++i) {
        BOOST_TEST(w.state_of(client, runs[i]).status == yellow);
        w.advance(1h);
        BOOST_TEST(w.state_of(client, runs[i]).status == off);
    }
}

BOOST_AUTO_TEST_CASE(a_run_that_was_called_back_waits_for_a_place_before_its_next_step)
{
    int at_work = 0;
    int most = 0;
    world w;
    lamp_builder b{"lamps"};
    b.step<red>([&, clock = w.clock.get()](lamp_run&) -> pawl::step<off> {
        most = std::max(most, ++at_work);
        co_await wait_on(*clock, 1s);
        --at_work;
        co_return pawl::to<off>;
    });
    b.callback<yellow>("go on", [](lamp_run&, int) -> pawl::step<red> { co_return pawl::to<red>; });
    b.start<red>().start<yellow>();
    b.end<off>();
    w.options.max_active_runs = 2;
    auto client = w.start(std::move(b).build());
    std::vector<pawl::run_id> runs;
    for (int i = 0; i < 10; ++i)
        runs.push_back(trigger(w, client, std::to_string(i), yellow));
    for (const auto run : runs)
        client.async_call(run, "go on", 1, {}, [](pawl::error_code, const auto&) {});
    w.settle();
    pass(w, 5s);
    BOOST_TEST(finished(w, client) == 10);
    BOOST_TEST(most == 2);
}

BOOST_AUTO_TEST_CASE(places_are_given_in_due_order_over_all_shards)
{
    world w;
    w.store = pawl::open_memory({.shards = 2});
    w.options.max_active_runs = 1;
    std::vector<std::string> order;
    auto client = w.start(seconds(w, order));
    std::vector<std::string> triggered;
    for (int i = 0; i < 30; ++i) {
        triggered.push_back(id_in(i % 10 == 1 ? 1 : 0, std::to_string(i) + "-"));
        trigger(w, client, triggered.back());
        w.clock->advance(1ms);
    }
    pass(w, 1min);
    BOOST_TEST(order == triggered, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_run_with_a_message_that_it_cannot_take_yet_has_its_turn)
{
    world w;
    std::vector<std::string> order;
    lamp_builder b{"lamps"};
    b.step<red>([&order, clock = w.clock.get()](lamp_run& run) {
        order.push_back(run.foreign_id());
        return take(run, clock, 1s);
    });
    b.callback<yellow>("later", called_off);
    b.start<red>().start<yellow>();
    b.end<off>();
    w.options.max_active_runs = 1;
    auto client = w.start(std::move(b).build());
    std::vector<std::string> triggered;
    for (int i = 0; i < 10; ++i) {
        triggered.push_back(std::to_string(i));
        const auto run = trigger(w, client, triggered.back());
        if (i == 1)
            client.async_call(run, "later", 1, {}, [](pawl::error_code, const auto&) {});
        w.settle();
        w.clock->advance(1ms);
    }
    pass(w, 20s);
    BOOST_TEST(order == triggered, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_shard_whose_first_run_is_gone_does_not_overtake_another)
{
    world w;
    w.store = pawl::open_memory({.shards = 2});
    std::vector<std::string> order;
    lamp_builder b{"lamps"};
    b.step<red>([&order, clock = w.clock.get()](lamp_run& run) {
        order.push_back(run.foreign_id());
        return take(run, clock, 10s);
    });
    b.end<off>();
    w.options.max_active_runs = 1;
    auto client = w.start(std::move(b).build());
    trigger(w, client, id_in(0, "at work "));
    w.advance(1s);
    const auto gone = trigger(w, client, id_in(0, "gone "));
    w.advance(1s);
    const auto second = id_in(1, "second ");
    trigger(w, client, second);
    w.advance(1s);
    const auto third = id_in(0, "third ");
    trigger(w, client, third);
    w.wait_for(client.async_cancel(gone, "not needed"));
    order.clear();
    pass(w, 1min);
    BOOST_TEST(order == (std::vector<std::string>{second, third}),
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_backlog_found_at_a_start_is_taken_up_in_due_order)
{
    world w;
    w.store = pawl::open_memory({.shards = 2});
    std::vector<std::string> triggered;
    std::vector<std::string> order;
    w.options.max_active_runs = 1;
    auto client = w.start(seconds(w, order));
    for (int i = 0; i < 20; ++i) {
        triggered.push_back(id_in(i % 5 == 1 ? 1 : 0, std::to_string(i) + "-"));
        trigger(w, client, triggered.back());
        w.clock->advance(1ms);
    }
    w.stop();
    order.clear();
    client = w.start(seconds(w, order));
    pass(w, 1min);
    // The first of the two shards' earliest may begin before the other shard has been read.
    BOOST_REQUIRE(order.size() == 20u);
    for (std::size_t i = 0; i < order.size(); ++i) {
        const auto place = std::ranges::find(triggered, order[i]) - triggered.begin();
        BOOST_TEST(std::abs(place - static_cast<std::ptrdiff_t>(i)) <= 1);
    }
}

BOOST_AUTO_TEST_CASE(a_new_trigger_waits_behind_runs_that_are_due)
{
    on_both_stores([](world& w) {
        w.options.max_active_runs = 1;
        std::vector<std::string> order;
        auto client = w.start(seconds(w, order));
        asio::co_spawn(w.io, one_after_the_other(client, 100),
                       [](const std::exception_ptr& e) { BOOST_TEST(!e); });
        w.settle();
        trigger(w, client, "waits");
        pass(w, 2min);
        BOOST_REQUIRE(order.size() == 101u);
        const auto place = std::ranges::find(order, "waits") - order.begin();
        BOOST_TEST(place <= 2);
    });
}

BOOST_AUTO_TEST_CASE(a_full_engine_reads_as_many_runs_as_it_begins)
{
    world w;
    const auto counted = std::make_shared<due_counter>(w.store);
    w.store = counted;
    w.options.max_active_runs = 1;
    std::vector<std::string> order;
    auto client = w.start(seconds(w, order));
    trigger_many(w, client, "", 400, red);
    order.clear();
    counted->read = 0;
    pass(w, 100s);
    BOOST_TEST(order.size() == 100u);
    BOOST_TEST(counted->read <= 110u);
}

BOOST_AUTO_TEST_CASE(a_backlog_behind_a_permit_is_read_about_once)
{
    world w;
    const auto counted = std::make_shared<due_counter>(w.store);
    w.store = counted;
    w.options.max_active_runs = 10; // and so many stand in line
    lamp_builder b{"lamps"};
    b.step<red>([clock = w.clock.get()](lamp_run& run) {
         return take(run, clock, 1s);
     }).max_concurrency(1);
    b.end<off>();
    auto client = w.start(std::move(b).build());
    trigger_many(w, client, "", 400, red);
    counted->read = 0;
    pass(w, 410s);
    BOOST_TEST(finished(w, client) == 400);
    BOOST_TEST(counted->read <= 4u * 400);
}

BOOST_AUTO_TEST_CASE(a_permit_is_free_while_its_run_handles_something_else)
{
    world w;
    std::vector<std::string> order;
    lamp_builder b{"lamps"};
    b.step<red>([&order, clock = w.clock.get()](lamp_run& run) {
         order.push_back(run.foreign_id());
         return take(run, clock, 1min);
     }).max_concurrency(1);
    b.timeout<red>(
        [](const lamp_run& run) -> std::optional<pawl::time_point> {
            if (run.foreign_id() == "second")
                return run.now() + 1min; // when it is granted the permit
            return std::nullopt;
        },
        [clock = w.clock.get()](lamp_run&) -> pawl::step<off> {
            co_await wait_on(*clock, 1h);
            co_return pawl::skip();
        });
    b.end<off>();
    auto client = w.start(std::move(b).build());
    for (const auto* id : {"first", "second", "third"})
        trigger(w, client, id);
    pass(w, 5min);
    const std::vector<std::string> expected{"first", "third"};
    BOOST_TEST(order == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(parents_that_wait_leave_their_places_to_their_children)
{
    on_both_stores([](world& w) {
        std::optional<lamps> client;
        lamp_builder b{"lamps"};
        b.step<red>([&client](lamp_run& run) -> pawl::step<off> {
            std::vector<pawl::run_id> children;
            for (int i = 0; i < 3; ++i) {
                const auto id = run.foreign_id() + "/" + std::to_string(i);
                children.push_back(co_await client->async_trigger(id, lamp{}, {.start = green},
                                                                  asio::use_awaitable));
            }
            for (const auto child : children)
                co_await client->async_await_finished(child, asio::use_awaitable);
            co_return pawl::to<off>;
        });
        b.step<green>([clock = w.clock.get()](lamp_run& run) { return take(run, clock, 1s); });
        b.start<red>().start<green>();
        b.end<off>();
        w.options.max_active_runs = 4;
        client = w.start(std::move(b).build());
        trigger_many(w, *client, "parent", 8, red);
        pass(w, 30s);
        BOOST_TEST(finished(w, *client) == 8 + 24);
        const auto seen = w.wait_for(w.engine->async_statistics(asio::use_awaitable));
        BOOST_TEST(seen.waiting_handlers == 0u);
        BOOST_TEST(seen.active_runs == 0u);
        w.stop();
    });
}

BOOST_AUTO_TEST_CASE(a_handler_that_waits_for_an_answer_has_no_place)
{
    on_both_stores([](world& w) {
        using namespace asio::experimental::awaitable_operators;
        std::optional<lamps> client;
        std::optional<pawl::run_id> asked;
        lamp_builder b{"lamps"};
        b.step<red>([&](lamp_run&) -> pawl::step<off> {
            // Several waits at a time are one.
            co_await (client->async_call(*asked, "go on", 1, {}, asio::use_awaitable) &&
                      client->async_await_finished(*asked, asio::use_awaitable));
            co_return pawl::to<off>;
        });
        b.step<green>([clock = w.clock.get()](lamp_run& run) { return take(run, clock, 1s); });
        b.callback<yellow>("go on",
                           [](lamp_run&, int) -> pawl::step<green> { co_return pawl::to<green>; });
        b.start<red>().start<yellow>().start<green>();
        b.end<off>();
        w.options.max_active_runs = 1;
        client = w.start(std::move(b).build());
        asked = trigger(w, *client, "asked", yellow);
        const auto asks = trigger(w, *client, "asks", red);
        const auto other = trigger(w, *client, "other", green);
        const auto seen = w.wait_for(w.engine->async_statistics(asio::use_awaitable));
        BOOST_TEST(seen.waiting_handlers == 1u);
        pass(w, 5s);
        BOOST_TEST(w.state_of(*client, other).status == off);
        BOOST_TEST(w.state_of(*client, *asked).status == off);
        BOOST_TEST(w.state_of(*client, asks).status == off);
        w.stop();
    });
}

BOOST_AUTO_TEST_CASE(past_their_limit_handlers_that_wait_keep_their_places)
{
    world w;
    std::optional<lamps> client;
    std::optional<pawl::run_id> awaited;
    lamp_builder b{"lamps"};
    b.step<red>([&](lamp_run&) -> pawl::step<off> {
        co_await client->async_await_finished(*awaited, asio::use_awaitable);
        co_return pawl::to<off>;
    });
    b.callback<yellow>("go on", called_off);
    b.start<red>().start<yellow>();
    b.end<off>();
    w.options.max_active_runs = 1;
    w.options.max_waiting_handlers = 2;
    client = w.start(std::move(b).build());
    awaited = trigger(w, *client, "awaited", yellow);
    trigger_many(w, *client, "waits", 4, red);
    auto seen = w.wait_for(w.engine->async_statistics(asio::use_awaitable));
    BOOST_TEST(seen.waiting_handlers == 2u);
    BOOST_TEST(seen.active_runs == 3u);
    w.wait_for(client->async_call(*awaited, "go on", 1, {}, asio::use_awaitable));
    pass(w, 1s);
    BOOST_TEST(finished(w, *client) == 5);
    w.stop();
}

BOOST_AUTO_TEST_CASE(due_lag_and_readiness_tell_of_an_engine_that_stands_still)
{
    for (const std::size_t active : {2u, 300u}) { // more than a page
        world w;
        w.options.max_active_runs = active;
        auto client = w.start(idle_beside_hanging(w).build());
        trigger_many(w, client, "hangs", static_cast<int>(active), green);
        BOOST_TEST(!w.engine->readiness());
        const auto waits = trigger(w, client, "waits", red);
        w.advance(9s);
        BOOST_TEST(!w.engine->readiness());
        w.advance(1s);
        BOOST_TEST(w.engine->readiness() == pawl::errc::stalled);
        pass(w, 1h, 1min);
        const auto seen = w.wait_for(w.engine->async_statistics(asio::use_awaitable));
        BOOST_TEST(seen.due_lag / 1s == 3610);
        BOOST_TEST(seen.due_workflow == "lamps");
        BOOST_TEST(seen.stalled_for / 1s == 3610);
        BOOST_TEST(lines_with(w, "the engine is stalled") >= 1);
        BOOST_TEST(lines_with(w, "the engine is stalled") <= 13);
        BOOST_TEST(lines_with(w, "lamps green-step") >= 1);
        w.wait_for(client.async_cancel("hangs0", "", asio::use_awaitable));
        w.settle();
        BOOST_TEST(w.state_of(client, waits).status == off);
        BOOST_TEST(!w.engine->readiness());
        const auto after = w.wait_for(w.engine->async_statistics(asio::use_awaitable));
        BOOST_TEST(after.due_lag / 1s == 0);
    }
}

BOOST_AUTO_TEST_CASE(a_trigger_runs_no_step_inside_the_call_and_no_chain_on_one_stack)
{
    world w;
    std::optional<lamps> client;
    std::vector<std::uintptr_t> stack;
    bool inside = false;
    int steps_inside = 0;
    lamp_builder b{"lamps"};
    const int links = full_size() ? 20'000 : 200;
    b.step<red>([&, links](lamp_run& run) -> pawl::step<off> {
        steps_inside += inside;
        const int n = std::stoi(run.foreign_id());
        stack.push_back(reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)));
        if (n < links)
            client->async_trigger(std::to_string(n + 1), lamp{}, {},
                                  [](pawl::error_code code, pawl::run_id) { BOOST_TEST(!code); });
        co_return pawl::to<off>;
    });
    b.callback<yellow>("go on", [&](lamp_run&, int) -> pawl::step<off> {
        steps_inside += inside;
        co_return pawl::to<off>;
    });
    b.start<red>().start<yellow>();
    b.end<off>();
    client = w.start(std::move(b).build());
    trigger(w, *client, "waits", yellow);
    asio::post(w.io, [&] {
        inside = true;
        client->async_trigger("0", lamp{}, {}, [](pawl::error_code, pawl::run_id) {});
        client->async_send("waits", "go on", 1, {}, [](pawl::error_code, const auto&) {});
        inside = false;
    });
    w.settle();
    BOOST_TEST(steps_inside == 0);
    BOOST_TEST(stack.size() == static_cast<std::size_t>(links) + 1);
    BOOST_TEST(
        (w.wait_for(client->async_find_latest("waits", asio::use_awaitable))->status == off));
    const auto [low, high] = std::ranges::minmax(stack);
    BOOST_TEST(high - low < 64u * 1024);
    w.stop();
}

BOOST_AUTO_TEST_CASE(many_handlers_that_wait_hold_up_nobody)
{
    const int waiting = full_size() ? 16'384 : 500;
    on_both_stores([waiting](world& w) {
        std::optional<lamps> client;
        std::optional<pawl::run_id> child;
        auto b = idle_beside_hanging(w);
        w.options.max_active_runs = static_cast<std::size_t>(waiting);
        b.step<broken>([&](lamp_run&) -> pawl::step<off> {
            co_await client->async_await_finished(*child, asio::use_awaitable);
            co_return pawl::to<off>;
        });
        b.start<broken>();
        client = w.start(std::move(b).build());
        child = trigger(w, *client, "child", yellow);
        const auto called = trigger(w, *client, "called", yellow);
        trigger_many(w, *client, "waits", waiting, broken);
        trigger_many(w, *client, "hangs", waiting, green);
        BOOST_TEST(w.wait_for(w.engine->async_statistics(asio::use_awaitable)).waiting_handlers ==
                   static_cast<std::size_t>(waiting));
        const auto begun = trigger(w, *client, "begun later", green);
        BOOST_TEST(!w.error_of(client->async_call(called, "go on", 1, {}, asio::use_awaitable)));
        BOOST_TEST(!w.error_of(client->async_cancel(begun, "", asio::use_awaitable)));
        w.wait_for(client->async_call(*child, "go on", 1, {}, asio::use_awaitable));
        w.advance(1s);
        const auto left = w.wait_for(w.engine->async_statistics(asio::use_awaitable));
        BOOST_TEST(left.waiting_handlers == 0u);
        BOOST_TEST(left.active_runs == static_cast<std::size_t>(waiting));
        w.stop();
    });
}

BOOST_AUTO_TEST_SUITE_END()
