// A connector of two engines on one store: whatever the one that runs it had done when it was cut
// off or stood still, the other goes on, and each event starts one run.
#include "connectors/support.hpp"
#include "engine/faulty_store.hpp"

#include <algorithm>
#include <array>
#include <set>

BOOST_AUTO_TEST_SUITE(connector_failover)

using namespace connector_test;
using engine_test::fault;
using engine_test::faulty_store;
using pawl::testing::manual_clock;

namespace {

constexpr int event_count = 12;

struct side {
    asio::io_context io;
    std::shared_ptr<faulty_store> door;
    std::optional<pawl::engine> engine;
    std::set<std::string> seen; ///< the events that came
    bool too_old = false;       ///< its program cannot read event 5
    bool frozen = false;
};

/// Two engines, of which the first one has the role.
struct two_engines {
    std::shared_ptr<manual_clock> clock = std::make_shared<manual_clock>();
    std::shared_ptr<pawl::record_store> store =
        pawl::open_memory({.shards = 4, .shared = true, .clock = clock});
    std::array<side, 2> sides;

    two_engines()
    {
        for (auto& each : sides) {
            start(each);
            advance(4s);
        }
    }

    ~two_engines()
    {
        for (auto& each : sides) {
            reconnect(each);
            bool stopped = false;
            each.engine->async_stop(0s, [&](pawl::error_code) { stopped = true; });
            advance_until([&] { return stopped; });
        }
    }

    void start(side& added)
    {
        added.door = std::make_shared<faulty_store>(store);
        pawl::engine_options options{.store = added.door, .clock = clock};
        options.log = [](const pawl::log_entry&) {
        };
        added.engine.emplace(added.io.get_executor(), options);
        const auto flow = carrying();
        added.engine->add(flow);
        const auto start_run = [&added](arrived& in) -> awaitable<void> {
            if (added.too_old && in.event().id == "5")
                throw pawl::error(pawl::errc::program_too_old, "event 5 has version 2");
            added.seen.insert(in.event().id);
            co_await in.trigger("parcel of " + in.event().id, parcel{});
        };
        const auto topics = pawl::store_streamer(added.door, {.clock = clock});
        added.engine->connect("orders", pawl::from_topic(topics, "orders"), flow, start_run,
                              {.max_concurrency = 3});
        bool started = false;
        added.engine->async_start([&](pawl::error_code problem) { started = !problem; });
        advance_until([&] { return started; });
    }

    /// Lets its call of apply() fail that comes after so many, and all that it does after that.
    void fail_after(side& chosen, int applies, fault how, bool freeze)
    {
        auto left = std::make_shared<int>(applies);
        chosen.door->fails = [&chosen, left, how, freeze](const std::string& call) {
            if (*left < 0)
                return fault::refused;
            if (call != "apply" || --*left >= 0)
                return fault::none;
            chosen.frozen = freeze;
            return how;
        };
    }

    static void reconnect(side& back)
    {
        back.frozen = false;
        back.door->fails = [](const std::string&) {
            return fault::none;
        };
    }

    void send()
    {
        std::vector<pawl::stream_event> events;
        for (int i = 1; i <= event_count; ++i)
            events.push_back(event_of(std::to_string(i), "key " + std::to_string(i % 4)));
        const auto topics = pawl::store_streamer(store);
        asio::io_context io;
        asio::co_spawn(io, topics->send("orders", std::move(events)),
                       [](std::exception_ptr, std::vector<std::uint64_t>) {});
        io.run();
    }

    void settle()
    {
        std::size_t ran = 1;
        while (ran > 0) {
            ran = 0;
            for (auto& each : sides) {
                if (each.frozen)
                    continue;
                each.io.restart();
                ran += each.io.poll();
            }
        }
    }

    void advance(pawl::duration span)
    {
        settle();
        for (; span > 0s; span -= 500ms) {
            clock->advance(500ms);
            settle();
        }
    }

    void advance_until(const std::function<bool()>& done)
    {
        const auto end = clock->now() + 10min;
        settle();
        while (!done()) {
            BOOST_REQUIRE(clock->now() < end);
            advance(500ms);
        }
    }

    std::vector<pawl::record> runs()
    {
        pawl::record_query query;
        query.workflow = "parcels";
        query.limit = 1000;
        std::vector<pawl::record> found;
        asio::io_context io;
        asio::co_spawn(io, store->list(query), [&](std::exception_ptr, pawl::record_page page) {
            found = std::move(page.runs);
        });
        io.run();
        return found;
    }

    bool all_ended()
    {
        const auto found = runs();
        const auto ended =
            std::ranges::count(found, pawl::run_state::completed, &pawl::record::state);
        return ended >= event_count && found.size() == static_cast<std::size_t>(ended);
    }

    void check_runs()
    {
        std::set<std::string> ids;
        for (const auto& each : runs())
            ids.insert(each.foreign_id);
        BOOST_TEST(ids.size() == event_count);
        BOOST_TEST(runs().size() == event_count);
    }
};

/// False when the first engine was done before the call that was to fail.
bool try_failover(int applies, fault how, bool freeze)
{
    two_engines at;
    auto& [first, second] = at.sides;
    at.fail_after(first, applies, how, freeze);
    at.send();
    at.advance_until([&] { return at.all_ended(); });
    at.advance(30s); // the other one has the role by now, whatever was left
    const bool failed = first.door->fails("find") != fault::none;
    BOOST_TEST((failed || second.seen.empty()));
    BOOST_TEST((applies > 0 || second.seen.size() == event_count));
    two_engines::reconnect(first);
    at.advance(1min);
    at.check_runs();
    return failed;
}

} // namespace

BOOST_AUTO_TEST_CASE(each_event_starts_one_run_wherever_its_engine_failed)
{
    for (const auto how : {fault::refused, fault::answer_lost})
        for (const bool freeze : {false, true}) {
            int applies = 0;
            for (bool failed = true; failed; ++applies)
                BOOST_TEST_CONTEXT("after " << applies << " applies, "
                                            << (how == fault::refused ? "refused" : "answer lost")
                                            << (freeze ? ", frozen" : ", cut off"))
            failed = try_failover(applies, how, freeze);
            // The events are started together in some batches, carried, and acknowledged.
            BOOST_TEST(applies > 5);
        }
}

BOOST_AUTO_TEST_CASE(an_event_that_needs_a_newer_program_goes_to_the_engine_that_has_it)
{
    two_engines at;
    at.sides[0].too_old = true;
    at.send();
    at.advance(10s);
    BOOST_TEST(at.sides[0].seen.size() == event_count - 2u);
    BOOST_TEST(at.runs().size() == event_count - 2u);
    at.advance(3min);
    BOOST_TEST(at.sides[1].seen.contains("5"));
    at.check_runs();
}

BOOST_AUTO_TEST_CASE(an_event_that_needs_a_newer_program_waits_while_there_is_none)
{
    two_engines at;
    for (auto& each : at.sides)
        each.too_old = true;
    at.send();
    at.advance(10min);
    BOOST_TEST(at.runs().size() == event_count - 2u);
    at.sides[1].too_old = false; // as if it had been replaced
    at.fail_after(at.sides[0], 0, fault::refused, true);
    at.advance(3min);
    at.check_runs();
}

BOOST_AUTO_TEST_SUITE_END()
