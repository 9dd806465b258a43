// Two programs side by side on one store, while engines are replaced one after the other under
// load: forward, back, and forward again.
#include "engine/support.hpp"
#include "printing.hpp"

#include <boost/json/value.hpp>

#include <array>
#include <map>

using namespace engine_test;
using enum light;

namespace {

/// What the newer program makes of lamp: `value` is called `watts`.
struct bulb {
    int watts = 0;
    std::vector<std::string> trail;
};
BOOST_DESCRIBE_STRUCT(bulb, (), (watts, trail))

/// The payload of the older program, and of the newer one.
struct order_1 {
    int count = 0;
};
BOOST_DESCRIBE_STRUCT(order_1, (), (count))
struct order_2 {
    int amount = 0;
};
BOOST_DESCRIBE_STRUCT(order_2, (), (amount))

} // namespace

template <>
struct pawl::schema<order_2> : pawl::schema_defaults {
    static constexpr std::uint32_t version = 2;
    static void upgrade(std::uint32_t, boost::json::value& document)
    {
        auto& order = document.as_object();
        boost::json::value count = order.at("count");
        order["amount"] = std::move(count);
        order.erase("count");
    }
};

BOOST_AUTO_TEST_SUITE(deployments)

namespace {

using older_client = pawl::client<lamp, light>;
using newer_client = pawl::client<bulb, light>;

pawl::workflow<lamp, light> older_program()
{
    lamp_builder b{"lamps"};
    b.callback<red>("order", [](lamp_run& run, order_1 order) -> pawl::step<green> {
        run.object().value += order.count;
        run.object().trail.emplace_back("ordered");
        co_return pawl::to<green>;
    });
    b.step<green>([](lamp_run& run) -> pawl::step<off> {
         co_await run.once("effect", [] { return 1; });
         co_return pawl::to<off>;
     }).start_delay(3s);
    b.timeout<red>(1h, [](lamp_run&) -> pawl::step<off> { co_return pawl::to<off>; });
    b.end<off>();
    return std::move(b).build();
}

/// Between red and green stands yellow.
pawl::workflow<bulb, light> newer_program()
{
    pawl::builder<bulb, light> b{"lamps"};
    using bulb_run = pawl::run<bulb>;
    b.callback<red>("order", [](bulb_run& run, order_2 order) -> pawl::step<yellow> {
        run.object().watts += order.amount;
        run.object().trail.emplace_back("ordered");
        co_return pawl::to<yellow>;
    });
    b.step<yellow>([](bulb_run&) -> pawl::step<green> {
         co_return pawl::to<green>;
     }).start_delay(3s);
    b.step<green>([](bulb_run& run) -> pawl::step<off> {
         co_await run.once("effect", [] { return 1; });
         co_return pawl::to<off>;
     }).start_delay(3s);
    b.timeout<red>("timeout", 1h, [](bulb_run&) -> pawl::step<off> { co_return pawl::to<off>; });
    b.timeout<yellow>("stuck", 1h, [](bulb_run&) -> pawl::step<off> { co_return pawl::to<off>; });
    b.end<off>();
    b.upgrade(1, [](boost::json::value& document) {
        auto& object = document.as_object();
        boost::json::value value = object.at("value");
        object["watts"] = std::move(value);
        object.erase("value");
    });
    return std::move(b).build();
}

/// Three engines of one program or the other.
struct fleet {
    struct member {
        std::optional<pawl::engine> engine;
        std::optional<older_client> older;
        std::optional<newer_client> newer;
    };

    asio::io_context io;
    std::shared_ptr<pawl::testing::manual_clock> clock =
        std::make_shared<pawl::testing::manual_clock>();
    std::shared_ptr<pawl::record_store> store =
        pawl::open_memory({.shards = 8, .shared = true, .clock = clock});
    std::array<member, 3> members;
    std::vector<std::string> log;
    std::vector<pawl::run_id> runs;
    std::vector<pawl::run_id> unordered; ///< runs that have been sent no order yet

    ~fleet()
    {
        for (auto& each : members)
            if (each.engine)
                stop(each);
    }

    void advance(pawl::duration span)
    {
        const auto end = clock->now() + span;
        for (;;) {
            do
                io.restart();
            while (io.poll() > 0);
            if (clock->now() >= end)
                return;
            const auto next = clock->next_wait().value_or(end);
            clock->advance(
                std::clamp<pawl::duration>(next - clock->now(), 1us, end - clock->now()));
        }
    }

    template <class T>
    T wait_for(asio::awaitable<T> operation)
    {
        std::optional<T> result;
        std::exception_ptr failure;
        asio::co_spawn(io, std::move(operation), [&](std::exception_ptr e, T value) {
            failure = e;
            result.emplace(std::move(value));
        });
        for (int i = 0; i < 6000 && !result; ++i)
            advance(10ms);
        BOOST_REQUIRE(result.has_value());
        if (failure)
            std::rethrow_exception(failure);
        return std::move(*result);
    }

    static asio::awaitable<int> started(pawl::engine& engine)
    {
        co_await engine.async_start(asio::use_awaitable);
        co_return 0;
    }

    void start(member& with, bool newer)
    {
        pawl::engine_options options;
        options.store = store;
        options.clock = clock;
        options.log = [this](const pawl::log_entry& entry) {
            log.push_back(to_string(entry));
        };
        with.engine.emplace(io.get_executor(), options);
        with.older.reset();
        with.newer.reset();
        if (newer)
            with.newer = with.engine->add(newer_program());
        else
            with.older = with.engine->add(older_program());
        wait_for(started(*with.engine));
    }

    void stop(member& leaving)
    {
        bool stopped = false;
        leaving.engine->async_stop(1s, [&](pawl::error_code) { stopped = true; });
        for (int i = 0; i < 6000 && !stopped; ++i)
            advance(10ms);
        BOOST_REQUIRE(stopped);
        leaving.engine.reset();
    }

    /// Each engine starts a run, and sends an order to one that another engine may have started.
    void load()
    {
        for (auto& each : members) {
            if (!each.engine)
                continue;
            const auto id = std::to_string(runs.size());
            runs.push_back(each.newer ? wait_for(each.newer->async_trigger(id, bulb{}))
                                      : wait_for(each.older->async_trigger(id, lamp{})));
            unordered.push_back(runs.back());
            if (unordered.size() < 4)
                continue;
            const auto to = unordered.front();
            unordered.erase(unordered.begin());
            if (each.newer)
                wait_for(each.newer->async_send(to, "order", order_2{7}));
            else
                wait_for(each.older->async_send(to, "order", order_1{7}));
        }
    }

    void replace_all(bool newer)
    {
        for (auto& each : members) {
            if (each.engine)
                stop(each);
            start(each, newer);
            for (int i = 0; i < 5; ++i) {
                load();
                advance(4s);
            }
        }
    }
};

} // namespace

BOOST_AUTO_TEST_CASE(a_program_is_rolled_over_three_engines_forward_and_back_and_loses_nothing)
{
    fleet all;
    for (const bool newer : {false, true, false, true})
        all.replace_all(newer);
    for (const auto& left : all.unordered)
        all.wait_for(all.members[0].newer->async_send(left, "order", order_2{7}));
    all.advance(5min);
    BOOST_TEST(all.runs.size() >= 100u);
    std::map<std::string, int> kinds;
    for (const auto& run : all.runs) {
        const auto stored = *all.wait_for(all.store->find(run));
        BOOST_TEST_CONTEXT("run " << stored.foreign_id)
        {
            BOOST_TEST(stored.state == pawl::run_state::completed);
            BOOST_TEST(stored.status == static_cast<int>(off));
            BOOST_TEST(stored.inbox_pending == 0u);
            const auto settled = all.wait_for(all.store->outcome(run, 1));
            BOOST_TEST(settled->outcome == pawl::message_outcome::handled);
            const auto seen =
                *all.wait_for(all.members[0].newer->async_find(run, asio::use_awaitable));
            BOOST_TEST(seen.object.watts == 7);
            BOOST_TEST(seen.object.trail == std::vector<std::string>{"ordered"});
            for (const auto& event : all.wait_for(all.store->history(run, 0, 1000)))
                ++kinds[to_string(event.kind)];
        }
    }
    BOOST_TEST(kinds["paused"] == 0);
    BOOST_TEST(kinds["attempt_failed"] == 0);
    BOOST_TEST(kinds["completed"] == static_cast<int>(all.runs.size()));
}

BOOST_AUTO_TEST_CASE(an_engine_learns_of_a_newer_definition_while_it_runs)
{
    fleet all;
    all.start(all.members[0], false);
    all.start(all.members[1], true);
    const auto run = all.wait_for(all.members[1].newer->async_trigger("a", bulb{}));
    all.wait_for(all.members[1].newer->async_send(run, "order", order_2{7}));
    all.stop(all.members[1]); // the older one is left alone with a run that it cannot read
    all.advance(10min);
    const auto held = *all.wait_for(all.store->find(run));
    BOOST_TEST((pawl::is_finished(held.state) || held.attempt == 0));
    BOOST_TEST(held.state != pawl::run_state::paused);
    all.start(all.members[2], true);
    all.stop(all.members[0]);
    all.advance(2min);
    BOOST_TEST(all.wait_for(all.store->find(run))->state == pawl::run_state::completed);
}

BOOST_AUTO_TEST_CASE(runs_that_need_a_newer_program_go_on_beside_engines_of_the_older_one)
{
    fleet all;
    all.start(all.members[0], false);
    all.advance(30s);
    all.start(all.members[1], true);
    all.start(all.members[2], false);
    const auto start_runs = [&](int round) {
        std::vector<pawl::run_id> started;
        for (int i = 0; i < 16; ++i) {
            const auto id = std::to_string(round) + "-" + std::to_string(i);
            started.push_back(all.wait_for(all.members[1].newer->async_trigger(id, bulb{})));
            all.wait_for(all.members[1].newer->async_send(started.back(), "order", order_2{7}));
        }
        return started;
    };
    const auto count_ended = [&](const std::vector<pawl::run_id>& runs) {
        return std::ranges::count_if(runs, [&](pawl::run_id run) {
            return all.wait_for(all.store->find(run))->state == pawl::run_state::completed;
        });
    };
    const auto first = start_runs(1);
    all.advance(1min);
    BOOST_TEST(count_ended(first) == 16);

    // From now on nothing waits for a lease, or for an attempt of the older program.
    const auto second = start_runs(2);
    all.advance(10s);
    BOOST_TEST(count_ended(second) == 16);
    const auto older = all.wait_for(all.members[0].older->async_trigger("older", lamp{}));
    all.wait_for(all.members[0].older->async_send(older, "order", order_1{7}));
    all.advance(10s);
    BOOST_TEST(count_ended({older}) == 1);
    const auto told = [&](std::string_view text) {
        return std::ranges::count_if(all.log, [text](const std::string& line) {
            return line.find(text) != std::string::npos;
        });
    };
    BOOST_TEST(told("to engines of a newer program") == 2);
    BOOST_TEST(told("acquiring shards of the workflow again") == 0);

    // Without the newer program the older ones do what they can.
    all.stop(all.members[1]);
    const auto alone = all.wait_for(all.members[2].older->async_trigger("alone", lamp{}));
    all.wait_for(all.members[2].older->async_send(alone, "order", order_1{7}));
    all.advance(1min);
    BOOST_TEST(count_ended({alone}) == 1);
    BOOST_TEST(told("acquiring shards of the workflow again") == 2);
}

BOOST_AUTO_TEST_SUITE_END()
