// Start and stop: what a start refuses, what a stop waits for, and that the next start goes on
// where the last one was.
#include "engine/support.hpp"
#include "printing.hpp"

BOOST_AUTO_TEST_SUITE(lifecycle)

using namespace engine_test;
using enum light;

namespace {

template <auto To>
pawl::step<To> go(lamp_run&)
{
    co_return pawl::to<To>;
}

pawl::workflow<lamp, light> quick()
{
    lamp_builder b{"lamps"};
    b.step<red>(go<yellow>);
    b.step<yellow>(go<off>);
    b.end<off>();
    return std::move(b).build();
}

struct slow_step {
    pawl::clock* clock;
    int* began;

    pawl::step<off> operator()(lamp_run&) const { return body(clock, began); }

    static pawl::step<off> body(pawl::clock* clock, int* began)
    {
        ++*began;
        co_await wait_on(*clock, 1h);
        co_return pawl::to<off>;
    }
};

pawl::workflow<lamp, light> slow(world& w, int& began)
{
    lamp_builder b{"lamps"};
    b.step<red>(slow_step{w.clock.get(), &began});
    b.end<off>();
    return std::move(b).build();
}

} // namespace

BOOST_AUTO_TEST_CASE(nothing_is_accepted_before_the_start_or_after_the_stop)
{
    world w;
    w.options.store = w.store;
    w.options.clock = w.clock;
    pawl::engine engine{w.io.get_executor(), w.options};
    auto client = engine.add(quick());
    BOOST_TEST((w.error_of(client.async_trigger("a", lamp{}, {}, asio::use_awaitable)) ==
                pawl::errc::not_running));
    w.wait_for(engine.async_start(asio::use_awaitable));
    BOOST_TEST(engine.running());
    const auto run = w.wait_for(client.async_trigger("a", lamp{}, {}, asio::use_awaitable));
    w.wait_for(engine.async_stop(0s, asio::use_awaitable));
    BOOST_TEST(!engine.running());
    BOOST_TEST((w.error_of(client.async_trigger("b", lamp{}, {}, asio::use_awaitable)) ==
                pawl::errc::not_running));
    BOOST_TEST((w.error_of(client.async_await(run, {off}, asio::use_awaitable)) ==
                pawl::errc::not_running));
    BOOST_TEST(
        (w.error_of(client.async_find(run, asio::use_awaitable)) == pawl::errc::not_running));
    bool again = false;
    engine.async_stop(0s, [&](pawl::error_code code) { again = !code; });
    w.settle();
    BOOST_TEST(again);
}

BOOST_AUTO_TEST_CASE(a_stop_without_a_start_is_legal)
{
    world w;
    w.options.store = w.store;
    w.options.clock = w.clock;
    pawl::engine engine{w.io.get_executor(), w.options};
    engine.add(quick());
    int stopped = 0;
    for (int i = 0; i < 3; ++i)
        engine.async_stop(0s, [&](pawl::error_code) { ++stopped; });
    w.settle();
    BOOST_TEST(stopped == 3);
}

BOOST_AUTO_TEST_CASE(a_stop_lets_steps_finish_within_the_drain)
{
    world w;
    int began = 0;
    auto client = w.start(slow(w, began));
    const auto run = w.wait_for(client.async_trigger("a", lamp{}, {}, asio::use_awaitable));
    w.settle();
    bool stopped = false;
    w.engine->async_stop(2h, [&](pawl::error_code) { stopped = true; });
    w.settle();
    BOOST_TEST(!stopped);
    w.advance(1h);
    BOOST_TEST(stopped);
    w.engine.reset();
    const auto stored = w.wait_for(w.store->find(run));
    BOOST_TEST(stored->status == static_cast<int>(off));
    BOOST_TEST(began == 1);
}

BOOST_AUTO_TEST_CASE(a_stop_cancels_what_the_drain_does_not_finish_and_a_start_runs_it_again)
{
    world w;
    int began = 0;
    auto client = w.start(slow(w, began));
    const auto run = w.wait_for(client.async_trigger("a", lamp{}, {}, asio::use_awaitable));
    w.settle();
    w.stop(10min);
    BOOST_TEST(began == 1);
    client = w.start(slow(w, began));
    w.settle();
    BOOST_TEST(began == 2);
    BOOST_TEST(w.state_of(client, run).attempt == 0);
    w.advance(1h);
    BOOST_TEST(w.state_of(client, run).status == off);
}

BOOST_AUTO_TEST_CASE(waits_end_when_the_engine_stops)
{
    world w;
    int began = 0;
    auto client = w.start(slow(w, began));
    const auto run = w.wait_for(client.async_trigger("a", lamp{}, {}, asio::use_awaitable));
    std::optional<pawl::error_code> seen;
    client.async_await_finished(
        run, [&](pawl::error_code code, pawl::snapshot<lamp, light>) { seen = code; });
    w.stop();
    BOOST_REQUIRE(seen.has_value());
    BOOST_TEST(*seen == pawl::errc::not_running);
}

BOOST_AUTO_TEST_CASE(a_start_refuses_unfinished_runs_that_nothing_handles)
{
    world w;
    int began = 0;
    auto client = w.start(slow(w, began));
    w.wait_for(client.async_trigger("a", lamp{}, {}, asio::use_awaitable));
    w.stop();
    const auto other = [] {
        lamp_builder b{"lamps"};
        b.step<yellow>(go<off>);
        b.end<off>();
        return std::move(b).build();
    };
    w.options.store = w.store;
    w.options.clock = w.clock;
    {
        pawl::engine engine{w.io.get_executor(), w.options};
        engine.add(other());
        BOOST_TEST((w.error_of([&]() -> asio::awaitable<int> {
            co_await engine.async_start(asio::use_awaitable);
            co_return 0;
        }()) == pawl::errc::unhandled_status));
        const auto names_it = [](const std::string& line) {
            return line.find("1 runs of \"lamps\" in status 1") != std::string::npos;
        };
        BOOST_TEST(std::ranges::any_of(w.log, names_it));
    }
    w.options.allow_unhandled_statuses = true;
    client = w.start(other());
    w.advance(24h);
}

BOOST_AUTO_TEST_CASE(the_same_store_has_one_engine)
{
    world w;
    auto client = w.start(quick());
    pawl::engine_options options = w.options;
    pawl::engine second{w.io.get_executor(), options};
    second.add(quick());
    BOOST_TEST((w.error_of([&]() -> asio::awaitable<int> {
        co_await second.async_start(asio::use_awaitable);
        co_return 0;
    }()) == pawl::errc::fenced));
}

BOOST_AUTO_TEST_CASE(an_option_out_of_range_is_refused_with_its_value)
{
    world w;
    w.options.store = w.store;
    using change = std::function<void(pawl::engine_options&)>;
    const std::vector<std::pair<change, std::string>> cases{
        {[](auto& o) { o.max_active_runs = 0; }, "max_active_runs is 0; it must be at least 1"},
        {[](auto& o) { o.max_limited_runs = 0; }, "max_limited_runs is 0; it must be at least 1"},
        {[](auto& o) { o.urgent_runs = 0; }, "urgent_runs is 0; it must be at least 1"},
        {[](auto& o) { o.max_batch = 0; }, "max_batch is 0; it must be at least 1"},
        {[](auto& o) { o.max_batch_bytes = 0; }, "max_batch_bytes is 0; it must be at least 1"},
        {[](auto& o) { o.max_pending_messages = 1'000'001; },
         "max_pending_messages is 1,000,001; it must be from 1 to 1,000,000"},
        {[](auto& o) { o.max_waiting_calls = 0; }, "max_waiting_calls is 0; it must be at least 1"},
        {[](auto& o) { o.max_object_size = 0; }, "max_object_size is 0; it must be at least 1"},
        {[](auto& o) { o.cancellation_grace = 0s; },
         "cancellation_grace is 0 s; it must be at least 1 us"},
        {[](auto& o) { o.lease_duration = 50ms; },
         "lease_duration is 50 ms; it must be at least 100 ms"},
        {[](auto& o) { o.poll_interval = 0s; }, "poll_interval is 0 s; it must be at least 10 ms"},
        {[](auto& o) { o.max_bulk_commands = 1'001; },
         "max_bulk_commands is 1,001; it must be from 1 to 1,000"},
        {[](auto& o) { o.max_audit_entries = 999; },
         "max_audit_entries is 999; it must be at least 1,000"},
        {[](auto& o) { o.max_crashes = 4; },
         "max_crashes is 4; it must be 0, for no limit, or at least 5"},
    };
    for (const auto& [spoil, text] : cases) {
        auto options = w.options;
        spoil(options);
        BOOST_CHECK_EXCEPTION((pawl::engine{w.io.get_executor(), options}), pawl::definition_error,
                              [&](const auto& refusal) {
                                  BOOST_TEST(refusal.what() == "engine_options::" + text);
                                  return true;
                              });
    }
}

BOOST_AUTO_TEST_CASE(options_and_workflows_are_checked)
{
    world w;
    BOOST_CHECK_THROW((pawl::engine{w.io.get_executor(), {}}), pawl::definition_error);
    w.options.store = w.store;
    pawl::engine engine{w.io.get_executor(), w.options};
    engine.add(quick());
    BOOST_CHECK_THROW(engine.add(quick()), pawl::definition_error);
}

BOOST_AUTO_TEST_CASE(waiting_runs_take_no_memory_and_no_work)
{
    world w;
    lamp_builder b{"lamps"};
    b.timeout<red>(1h, go<off>);
    b.end<off>();
    auto client = w.start(std::move(b).build());
    for (int i = 0; i < 10'000; ++i)
        client.async_trigger(std::to_string(i), lamp{}, {},
                             [](pawl::error_code code, pawl::run_id) { BOOST_REQUIRE(!code); });
    w.settle();
    // One wait of the scanner, whatever the number of runs; the longest is a minute, for stepped
    // clocks.
    BOOST_TEST(w.clock->waits() <= 2u);
    w.io.restart();
    BOOST_TEST(w.io.poll() == 0u);
    w.advance(1h);
    const auto counts = w.wait_for(w.store->count("lamps", false));
    BOOST_REQUIRE(counts.size() == 1u);
    BOOST_TEST(counts[0].status == static_cast<int>(off));
    BOOST_TEST(counts[0].runs == 10'000u);
}

BOOST_AUTO_TEST_CASE(a_run_that_fails_for_ever_does_not_disturb_the_others)
{
    world w;
    lamp_builder b{"lamps"};
    b.step<red>([](lamp_run& run) -> pawl::step<off> {
         if (run.foreign_id() == "poison")
             throw std::runtime_error("always");
         co_return pawl::to<off>;
     }).retry({.max_attempts = 0});
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto poison = w.wait_for(client.async_trigger("poison", lamp{}, {}, asio::use_awaitable));
    const auto before = w.clock->now();
    for (int i = 0; i < 1'000; ++i)
        client.async_trigger(std::to_string(i), lamp{}, {}, [](pawl::error_code, pawl::run_id) {});
    w.settle();
    const auto counts = w.wait_for(w.store->count("lamps", false));
    for (const auto& count : counts)
        BOOST_TEST(count.runs == (count.status == static_cast<int>(off) ? 1'000u : 1u));
    BOOST_TEST((w.clock->now() == before));
    BOOST_TEST(w.state_of(client, poison).attempt >= 1);
}

BOOST_AUTO_TEST_SUITE_END()
