// Who is due is found: at the same instant as others, behind a full engine, at times far away.
#include "engine/support.hpp"
#include "pawl/forwarding_store.hpp"
#include "printing.hpp"

#include <limits>

BOOST_AUTO_TEST_SUITE(due)

using namespace engine_test;
using enum light;

namespace {

pawl::run_id trigger(world& w, lamps& client, std::string foreign_id, light start)
{
    const auto run = w.wait_for(
        client.async_trigger(std::move(foreign_id), lamp{}, {.start = start}, asio::use_awaitable));
    w.settle();
    // Ids grow with time.
    w.advance(1ms);
    return run;
}

pawl::step<off> switch_off(lamp_run&)
{
    co_return pawl::to<off>;
}

asio::awaitable<void> poke(lamps client, pawl::run_id run)
{
    co_await client.async_call(run, "poke", 1, {}, asio::use_awaitable);
}

/// Answers what is due a second late.
class late_store final : public pawl::forwarding_store {
public:
    late_store(std::shared_ptr<pawl::record_store> inner, std::shared_ptr<pawl::clock> clock)
        : forwarding_store(std::move(inner)), clock_(std::move(clock))
    {
    }

    asio::awaitable<pawl::due_page> due(std::uint32_t shard, pawl::due_position from,
                                        pawl::time_point until, std::size_t limit) override
    {
        auto page = co_await inner().due(shard, from, until, limit);
        co_await wait_on(*clock_, 1s);
        co_return page;
    }

private:
    std::shared_ptr<pawl::clock> clock_;
};

} // namespace

BOOST_AUTO_TEST_CASE(a_page_that_comes_late_does_not_begin_a_run_as_it_was)
{
    int successes = 0;
    world w;
    w.store = std::make_shared<late_store>(w.store, w.clock);
    lamp_builder b{"lamps"};
    b.step<red>([&successes](lamp_run& run) -> pawl::step<off> {
         if (run.attempt() == 1)
             throw std::runtime_error("the first attempt");
         ++successes;
         co_return pawl::to<off>;
     }).retry({.initial = 10s, .jitter = 0});
    b.callback<red>("poke",
                    [](lamp_run&, int) -> pawl::step<off> { co_return pawl::repeat_after(0s); });
    b.end<off>();
    auto client = w.start(std::move(b).build());
    w.advance(5s);
    const auto run = trigger(w, client, "one", red);
    w.advance(10s); // the retry is read as due, and the answer is on its way
    asio::co_spawn(w.io, poke(client, run), [](const std::exception_ptr& e) { BOOST_TEST(!e); });
    w.settle();
    BOOST_TEST(successes == 1);
    w.advance(5s);
    BOOST_TEST(successes == 1);
    BOOST_TEST(w.state_of(client, run).status == off);
}

BOOST_AUTO_TEST_CASE(two_runs_of_the_same_instant_both_wake_whichever_waited_first)
{
    world w;
    const auto midnight = w.clock->now() + 24h;
    lamp_builder b{"lamps"};
    b.callback<red>("go", [](lamp_run&, int) -> pawl::step<green> { co_return pawl::to<green>; });
    b.timeout<yellow>(1h, switch_off);
    b.timeout<green>(midnight, switch_off);
    b.start<red>().start<yellow>().start<green>();
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto older = trigger(w, client, "older", red);
    const auto sooner = trigger(w, client, "sooner", yellow);
    const auto younger = trigger(w, client, "younger", green);
    // After this scan the next in line is the younger run at midnight; then the older joins it.
    w.advance(1h);
    BOOST_TEST(w.state_of(client, sooner).status == off);
    w.wait_for(client.async_call(older, "go", 1, {}, asio::use_awaitable));
    BOOST_TEST((w.state_of(client, older).wake_at == midnight));
    w.advance(24h);
    BOOST_TEST(w.state_of(client, younger).status == off);
    BOOST_TEST(w.state_of(client, older).status == off);
}

BOOST_AUTO_TEST_CASE(spans_that_mean_never_are_never_due)
{
    int handled = 0;
    world w;
    lamp_builder b{"lamps"};
    b.step<red>([&handled](lamp_run&) -> pawl::step<off> {
        ++handled;
        co_return pawl::repeat_after(pawl::duration::max());
    });
    b.timeout<red>(pawl::duration::max(), switch_off);
    b.callback<red>("go", [](lamp_run&, int) -> pawl::step<off> { co_return pawl::to<off>; });
    b.callback<yellow>("go", [](lamp_run&, int) -> pawl::step<off> { co_return pawl::to<off>; });
    b.start<red>().start<yellow>();
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto run = trigger(w, client, "a", red);
    w.advance(24h * 365 * 1000);
    BOOST_TEST(handled == 1);
    BOOST_TEST(w.state_of(client, run).status == red);
    const auto other = trigger(w, client, "b", yellow);
    w.wait_for(client.async_pause(other, "hold on", asio::use_awaitable));
    w.wait_for(client.async_send(other, "go", 1, {.expires_after = pawl::duration::max()},
                                 asio::use_awaitable));
    w.wait_for(client.async_resume(other, {}, asio::use_awaitable));
    w.settle();
    BOOST_TEST(w.state_of(client, other).status == off);
    // Of any type of std::chrono, where std::chrono's own conversion would give a negative span.
    const auto third = trigger(w, client, "c", yellow);
    w.wait_for(client.async_pause(third, "hold on", asio::use_awaitable));
    const auto sent = w.wait_for(client.async_send(
        third, "go", 1, {.expires_after = std::chrono::hours::max()}, asio::use_awaitable));
    w.advance(24h * 365);
    BOOST_TEST((w.wait_for(w.store->outcome(third, sent.sequence))->outcome ==
                pawl::message_outcome::pending));
}

BOOST_AUTO_TEST_CASE(a_timer_of_the_machines_clock_waits_for_the_longest_spans)
{
    asio::io_context io;
    const auto timer = pawl::default_clock()->make_timer(io.get_executor());
    for (const pawl::duration span : {pawl::duration::max(), pawl::duration{24h * 365 * 8000}}) {
        int ended = 0;
        timer->wait(span, [&ended] { ++ended; });
        io.restart();
        for (int i = 0; i < 100; ++i)
            io.poll();
        BOOST_TEST(ended == 0);
        timer->cancel();
        io.restart();
        io.run();
        BOOST_TEST(ended == 1);
    }
}

BOOST_AUTO_TEST_CASE(a_settled_message_does_not_wake_its_run_at_its_time_limit)
{
    world w;
    lamp_builder b{"lamps"};
    b.callback<red>("note", [](lamp_run&, int) -> pawl::step<off> { co_return pawl::skip(); });
    b.callback<yellow>("later", [](lamp_run&, int) -> pawl::step<off> { co_return pawl::skip(); });
    b.start<red>().start<yellow>();
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto run = trigger(w, client, "a", red);
    w.wait_for(client.async_call(run, "note", 1, {.expires_after = 1h}, asio::use_awaitable));
    BOOST_TEST(!w.state_of(client, run).wake_at.has_value());
    w.wait_for(client.async_send(run, "later", 1, {.expires_after = 1h}, asio::use_awaitable));
    w.advance(2h);
    BOOST_TEST(!w.state_of(client, run).wake_at.has_value());
    const std::vector<std::string> kinds{"started", "message_settled", "message_deferred",
                                         "message_settled"};
    BOOST_TEST(w.kinds_of(client, run) == kinds, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()
