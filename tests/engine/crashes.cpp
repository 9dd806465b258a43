// Handlers that end the process of their engine: they are found, counted and not run again, and
// delay nobody for long. An engine that ends so stands still here for good.
#include "engine/cluster.hpp"
#include "printing.hpp"

BOOST_AUTO_TEST_SUITE(crashes)

using namespace engine_test;
using enum light;

namespace {

constexpr int most_lives = 10;

/// The process ends, now.
asio::awaitable<void> end_process(cluster& all, member& self)
{
    self.frozen = true;
    self.io.stop();
    co_await wait_on(*all.clock, 1'000h);
}

struct poison_step {
    cluster* all;
    member* self;

    pawl::step<yellow> operator()(lamp_run& run) const
    {
        if (run.foreign_id() == "poison")
            co_await end_process(*all, *self);
        co_await wait_on(*all->clock, 50ms);
        co_return pawl::to<yellow>;
    }
};

pawl::step<off> switch_off(lamp_run&)
{
    co_return pawl::to<off>;
}

auto poisoned_lamps(cluster& all)
{
    return [&all](member& self) {
        lamp_builder b{"lamps"};
        b.step<red>(poison_step{&all, &self}).retry({.max_attempts = 0});
        b.step<yellow>(switch_off);
        b.end<off>();
        return std::move(b).build();
    };
}

/// It is not waited for.
void trigger(member& by, const std::string& id)
{
    by.client->async_trigger(id, lamp{}, {}, [](pawl::error_code, pawl::run_id) {});
}

/// Engines follow each other until one lives for a minute. Gives how many ended.
template <class Make>
int live(cluster& all, const Make& make, const std::function<void(member&)>& first,
         std::uint32_t max_crashes = 5)
{
    for (int ended = 0; ended < most_lives; ++ended) {
        auto& engine = all.add();
        engine.options.max_crashes = max_crashes;
        all.start(engine, [&](member& self) { self.client = self.engine->add(make(self)); });
        if (ended == 0) {
            all.advance(3s); // it takes the shards
            first(engine);
        }
        all.advance(60s);
        if (!engine.frozen)
            return ended;
    }
    return most_lives;
}

} // namespace

BOOST_AUTO_TEST_CASE(pause_the_run_whose_step_brings_them_about_and_no_other)
{
    cluster all;
    const auto trigger_all = [&](member& by) {
        for (int i = 0; i < 40; ++i)
            trigger(by, "healthy-" + std::to_string(i));
        trigger(by, "poison");
        all.advance(1s);
    };
    const auto ended = live(all, poisoned_lamps(all), trigger_all);
    BOOST_TEST(ended == 5);
    auto& last = all.members.back();
    for (int i = 0; i < 40; ++i) {
        const auto found =
            all.wait_for(last, last.client->async_find_latest("healthy-" + std::to_string(i),
                                                              asio::use_awaitable));
        BOOST_REQUIRE(found.has_value());
        BOOST_TEST(found->status == off);
    }
    const auto blamed =
        all.wait_for(last, last.client->async_find_latest("poison", asio::use_awaitable)).value();
    BOOST_TEST(blamed.state == pawl::run_state::paused);
    BOOST_TEST(blamed.attempt == 1);
    BOOST_TEST(blamed.reason.find("process ended without a stop 5 times") != std::string::npos);
    BOOST_TEST(all.has_logged("a handler ends its process"));
}

BOOST_AUTO_TEST_CASE(fail_the_message_whose_callback_brings_them_about_and_the_run_goes_on)
{
    cluster all;
    const auto make = [&](member& self) {
        lamp_builder b{"lamps"};
        b.callback<red>("press",
                        [&all, of = &self](lamp_run& run, std::string text) -> pawl::step<yellow> {
                            if (text == "poison")
                                co_await end_process(all, *of);
                            run.object().trail.push_back(text);
                            co_return pawl::repeat_after(0s);
                        });
        b.callback<yellow>(
            "press", [](lamp_run&, std::string) -> pawl::step<off> { co_return pawl::to<off>; });
        b.end<off>();
        return std::move(b).build();
    };
    const auto begin = [&](member& by) {
        const auto run = all.trigger(by, "called");
        for (const std::string text : {"poison", "after"})
            by.client->async_call(run, "press", text, {},
                                  [](pawl::error_code, pawl::settlement) {});
        all.advance(1s);
    };
    BOOST_TEST(live(all, make, begin) == 5);
    auto& last = all.members.back();
    const auto run =
        all.wait_for(last, last.client->async_find_latest("called", asio::use_awaitable)).value();
    BOOST_TEST(run.state == pawl::run_state::running);
    BOOST_TEST((run.object.trail == std::vector<std::string>{"after"}));
}

BOOST_AUTO_TEST_CASE(are_not_what_a_stop_is)
{
    cluster all;
    std::vector<member*> ran;
    const auto make = [&](member& self) {
        lamp_builder b{"lamps"};
        b.step<red>([&all, &ran, of = &self](lamp_run&) -> pawl::step<yellow> {
            ran.push_back(of);
            co_await wait_on(*all.clock, 1h);
            co_return pawl::to<yellow>;
        });
        b.step<yellow>(switch_off);
        b.end<off>();
        return std::move(b).build();
    };
    auto& first = all.start(make);
    all.advance(3s);
    const auto run = all.trigger(first, "slow");
    all.advance(1s);
    all.stop(first);
    for (int i = 0; i < 8; ++i) {
        auto& next = all.start(make);
        all.advance(3s);
        all.stop(next);
    }
    BOOST_TEST(ran.size() == 9u);
    auto& last = all.start(make);
    all.advance(3s);
    BOOST_TEST(all.wait_for(last, all.store->find(run)).value().suspicion == 0u);
    all.advance(2h);
    BOOST_TEST(all.state_of(last, run).status == off);
}

BOOST_AUTO_TEST_CASE(of_which_a_handler_survives_the_next_leave_nothing_behind)
{
    cluster all;
    int ends = 0;
    const auto make = [&](member& self) {
        lamp_builder b{"lamps"};
        b.step<red>([&, of = &self](lamp_run&) -> pawl::step<yellow> {
            if (++ends <= 4)
                co_await end_process(all, *of);
            co_return pawl::to<yellow>;
        });
        b.step<yellow>([&, of = &self](lamp_run&) -> pawl::step<off> {
            if (++ends <= 9)
                co_await end_process(all, *of);
            co_return pawl::to<off>;
        });
        b.end<off>();
        return std::move(b).build();
    };
    // Four in each of the two steps: no attempt has seen five.
    BOOST_TEST(live(all, make, [&](member& by) {
                   trigger(by, "lucky");
                   all.advance(1s);
               }) == 8);
    auto& last = all.members.back();
    const auto run =
        all.wait_for(last, last.client->async_find_latest("lucky", asio::use_awaitable)).value();
    BOOST_TEST(run.status == off);
    BOOST_TEST(all.wait_for(last, all.store->find(run.id)).value().suspicion == 0u);
}

BOOST_AUTO_TEST_CASE(of_an_attempt_that_records_effects_are_not_counted_together)
{
    cluster all;
    int lives = 0;
    const auto make = [&](member& self) {
        lamp_builder b{"lamps"};
        b.step<red>([&, of = &self](lamp_run& run) -> pawl::step<yellow> {
            const auto part = "part " + std::to_string(++lives);
            co_await wait_on(*all.clock, 1s);
            co_await run.once(part, [] {});
            if (lives <= 8) // by something else
                co_await end_process(all, *of);
            co_return pawl::to<yellow>;
        });
        b.step<yellow>(switch_off);
        b.end<off>();
        return std::move(b).build();
    };
    BOOST_TEST(live(all, make, [&](member& by) {
                   trigger(by, "long");
                   all.advance(2s);
               }) == 8);
    auto& last = all.members.back();
    const auto run =
        all.wait_for(last, last.client->async_find_latest("long", asio::use_awaitable)).value();
    BOOST_TEST(run.status == off);
}

BOOST_AUTO_TEST_CASE(of_an_attempt_that_saves_the_same_again_are_counted)
{
    cluster all;
    const auto make = [&](member& self) {
        lamp_builder b{"lamps"};
        b.step<red>([&, of = &self](lamp_run& run) -> pawl::step<yellow> {
             co_await run.once("first part", [] {});
             ++run.object().value;
             co_await run.checkpoint();
             co_await end_process(all, *of);
             co_return pawl::to<yellow>;
         }).retry({.max_attempts = 0});
        b.step<yellow>(switch_off);
        b.end<off>();
        return std::move(b).build();
    };
    BOOST_TEST(live(all, make, [&](member& by) {
                   trigger(by, "poison");
                   all.advance(1s);
               }) == 5);
    auto& last = all.members.back();
    const auto blamed =
        all.wait_for(last, last.client->async_find_latest("poison", asio::use_awaitable)).value();
    BOOST_TEST(blamed.state == pawl::run_state::paused);
}

BOOST_AUTO_TEST_CASE(have_no_limit_where_none_is_wanted)
{
    cluster all;
    const auto begin = [&](member& by) {
        trigger(by, "poison");
        all.advance(1s);
    };
    BOOST_TEST(live(all, poisoned_lamps(all), begin, 0) == most_lives);
    BOOST_CHECK_EXCEPTION(
        [&] {
            auto& engine = all.add();
            engine.options.max_crashes = 4;
            engine.engine.emplace(engine.io.get_executor(), engine.options);
        }(),
        pawl::definition_error,
        [](const pawl::definition_error& e) {
            return std::string{e.what()}.find("max_crashes") != std::string::npos;
        });
}

BOOST_AUTO_TEST_SUITE_END()
