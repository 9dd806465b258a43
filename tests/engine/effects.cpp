// What a handler saves while it runs: effects and checkpoints beside each other, whose scope they
// have, and that a handler which was left behind saves nothing any more.
#include "engine/faulty_store.hpp"
#include "engine/support.hpp"
#include "printing.hpp"

#include <boost/asio/experimental/awaitable_operators.hpp>

BOOST_AUTO_TEST_SUITE(effects)

using namespace engine_test;
using namespace asio::experimental::awaitable_operators;
using enum light;

namespace {

asio::awaitable<void> count(lamp_run& run, std::string name, int* calls)
{
    co_await run.once(std::move(name), [calls] { ++*calls; });
}

asio::awaitable<void> count_many(lamp_run& run, std::string prefix, int many, int* calls)
{
    for (int i = 0; i < many; ++i) {
        co_await run.once(prefix + std::to_string(i), [calls] { ++*calls; });
        if (i % 5 == 0)
            co_await run.checkpoint();
    }
}

asio::awaitable<void> count_slowly(lamp_run& run, pawl::clock* clock, int* calls, int* result)
{
    *result = co_await run.once("slow", [clock, calls]() -> asio::awaitable<int> {
        const int call = ++*calls;
        co_await wait_on(*clock, 1s);
        co_return call;
    });
}

pawl::run_id trigger(world& w, lamps& client, std::string id = "a")
{
    const auto run =
        w.wait_for(client.async_trigger(std::move(id), lamp{}, {}, asio::use_awaitable));
    w.settle();
    return run;
}

struct hopeless : std::exception {
    const char* what() const noexcept override { return "no result"; }
};

} // namespace

BOOST_AUTO_TEST_CASE(any_number_beside_each_other_are_recorded_one_after_the_other)
{
    for (const bool batches : {false, true}) {
        world w;
        if (batches)
            w.store = std::make_shared<faulty_store>(w.store);
        int a = 0;
        int b = 0;
        int c = 0;
        int ran = 0;
        lamp_builder f{"lamps"};
        f.step<red>([&](lamp_run& run) -> pawl::step<yellow> {
             ++ran;
             co_await (count_many(run, "a", 20, &a) && count_many(run, "b", 20, &b) &&
                       count(run, "c", &c));
             co_return pawl::to<yellow>;
         }).retry({.max_attempts = 1});
        f.step<yellow>([](lamp_run&) -> pawl::step<off> { co_return pawl::to<off>; });
        f.end<off>();
        auto client = w.start(std::move(f).build());
        const auto run = trigger(w, client);
        BOOST_TEST(w.state_of(client, run).status == off);
        BOOST_TEST(ran == 1);
        BOOST_TEST(a == 20);
        BOOST_TEST(b == 20);
        BOOST_TEST(c == 1);
        const auto kinds = w.kinds_of(client, run);
        BOOST_TEST(std::ranges::count(kinds, "checkpointed") == 49);
    }
}

BOOST_AUTO_TEST_CASE(two_of_one_name_beside_each_other_have_one_result)
{
    world w;
    int calls = 0;
    int first = 0;
    int second = 0;
    lamp_builder b{"lamps"};
    b.step<red>([&, clock = w.clock.get()](lamp_run& run) -> pawl::step<off> {
        co_await (count_slowly(run, clock, &calls, &first) &&
                  count_slowly(run, clock, &calls, &second));
        co_return pawl::to<off>;
    });
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto run = trigger(w, client);
    w.advance(1s);
    BOOST_TEST(w.state_of(client, run).status == off);
    BOOST_TEST(calls == 1);
    BOOST_TEST(first == 1);
    BOOST_TEST(second == 1);
}

BOOST_AUTO_TEST_CASE(when_one_cannot_be_saved_those_behind_it_fail_too)
{
    faulty_world w;
    std::vector<std::string> results;
    int called = 0;
    const auto save = [&](lamp_run& run, std::string name) -> asio::awaitable<void> {
        try {
            co_await run.once(name, [&] { ++called; });
            results.push_back(name + " saved");
        } catch (const pawl::system_error&) {
            results.push_back(name + " failed");
        }
    };
    bool failed = false;
    lamp_builder b{"lamps"};
    b.step<red>([&](lamp_run& run) -> pawl::step<off> {
        if (!std::exchange(failed, true)) {
            w.faults->next_applies = {fault::refused};
            co_await (save(run, "a") && save(run, "b"));
            co_await save(run, "c");
        }
        co_return pawl::to<off>;
    });
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto run = trigger(w, client);
    const std::vector<std::string> wanted{"a failed", "b failed", "c failed"};
    BOOST_TEST(results == wanted, boost::test_tools::per_element());
    BOOST_TEST(called == 2); // c's function was not called
    w.advance_until([&] { return w.state_of(client, run).status == off; });
}

BOOST_AUTO_TEST_CASE(names_of_the_run_stay_valid_while_the_handler_runs)
{
    world w;
    const std::string id(60, 'x');
    std::string seen;
    lamp_builder b{"lamps"};
    b.step<red>([&](lamp_run& run) -> pawl::step<off> {
        const std::string_view view = run.foreign_id();
        const std::string_view workflow = run.workflow();
        int calls = 0;
        for (const auto* name : {"a", "b", "c"})
            co_await run.once(name, [&] { ++calls; });
        co_await run.checkpoint();
        seen = std::string{view} + std::string{workflow};
        co_return pawl::to<off>;
    });
    b.end<off>();
    auto client = w.start(std::move(b).build());
    trigger(w, client, id);
    BOOST_TEST(seen == id + "lamps");
}

BOOST_AUTO_TEST_CASE(a_callbacks_effects_and_keys_belong_to_its_message)
{
    world w;
    std::vector<int> reserved;
    std::vector<std::string> keys;
    std::vector<std::string> per_run;
    lamp_builder b{"lamps"};
    b.callback<red>("add item", [&](lamp_run& run, int item) -> pawl::step<off> {
        keys.push_back(run.idempotency_key("reserve"));
        per_run.push_back(run.idempotency_key_per_run("account"));
        co_await run.once("reserve", [&] { reserved.push_back(item); });
        co_await run.once_per_run("account", [&] { reserved.push_back(100); });
        co_return pawl::repeat_after(0s);
    });
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto run = trigger(w, client);
    w.wait_for(client.async_call(run, "add item", 1, {}, asio::use_awaitable));
    w.wait_for(client.async_call(run, "add item", 2, {}, asio::use_awaitable));
    BOOST_TEST(reserved == (std::vector<int>{1, 100, 2}), boost::test_tools::per_element());
    BOOST_REQUIRE(keys.size() == 2u);
    BOOST_TEST(keys[0] == to_string(run) + "/m1/reserve");
    BOOST_TEST(keys[1] == to_string(run) + "/m2/reserve");
    BOOST_TEST(per_run[0] == to_string(run) + "/run/account");
    BOOST_TEST(per_run[1] == per_run[0]);
    // Nothing is kept of messages that are settled.
    const auto stored = w.wait_for(w.store->find(run));
    BOOST_REQUIRE(stored->effects.size() == 1u);
    BOOST_TEST(stored->effects[0].name == "account");
}

BOOST_AUTO_TEST_CASE(a_callback_that_comes_again_remembers_what_it_did)
{
    world w;
    int reserved = 0;
    int begun = 0;
    lamp_builder b{"lamps"};
    b.callback<red>("add item", [&, clock = w.clock.get()](lamp_run& run, int) -> pawl::step<off> {
        ++begun;
        co_await run.once("reserve", [&] { ++reserved; });
        co_await wait_on(*clock, 1min);
        co_return pawl::to<off>;
    });
    b.timeout<red>(30s, [](lamp_run&) -> pawl::step<red> { co_return pawl::to<red>; });
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto run = trigger(w, client);
    w.wait_for(client.async_send(run, "add item", 1, {}, asio::use_awaitable));
    w.settle();
    w.advance(30s); // the deadline interrupts it, and begins another visit
    BOOST_TEST(begun == 2);
    BOOST_TEST(w.wait_for(w.store->find(run))->visit == 2u);
    BOOST_TEST(reserved == 1);
}

BOOST_AUTO_TEST_CASE(each_round_of_a_step_has_effects_of_its_own)
{
    world w;
    int polls = 0;
    int mails = 0;
    std::vector<std::string> keys;
    lamp_builder b{"lamps"};
    b.step<red>([&](lamp_run& run) -> pawl::step<off> {
         keys.push_back(run.idempotency_key("poll"));
         const bool ready = co_await run.once("poll", [&] { return ++polls >= 3; });
         co_await run.once_per_run("mail", [&] { ++mails; });
         if (polls == 2 && run.attempt() == 1)
             throw std::runtime_error("the round goes on");
         if (ready)
             co_return pawl::to<off>;
         co_return pawl::repeat_after(1min);
     }).retry({.jitter = 0});
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto run = trigger(w, client);
    w.advance_until([&] { return w.state_of(client, run).status == off; });
    BOOST_TEST(polls == 3);
    BOOST_TEST(mails == 1);
    const auto id = to_string(run);
    const std::vector<std::string> wanted{id + "/1.1/poll", id + "/1.1.1/poll", id + "/1.1.1/poll",
                                          id + "/1.1.2/poll"};
    BOOST_TEST(keys == wanted, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(each_firing_of_a_timeout_has_effects_of_its_own)
{
    world w;
    std::vector<std::string> keys;
    int sent = 0;
    lamp_builder b{"lamps"};
    b.timeout<red>(1min, [&](lamp_run& run) -> pawl::step<off> {
        keys.push_back(run.idempotency_key("remind"));
        co_await run.once("remind", [&] { ++sent; });
        if (keys.size() == 1)
            throw std::runtime_error("the firing goes on");
        if (sent == 2)
            co_return pawl::to<off>;
        co_return pawl::repeat_after(1min);
    });
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto run = trigger(w, client);
    w.advance_until([&] { return w.state_of(client, run).status == off; });
    BOOST_TEST(sent == 2);
    const auto id = to_string(run);
    BOOST_REQUIRE(!keys.empty());
    const auto firing = keys[0].substr(0, keys[0].find("/remind"));
    BOOST_TEST(firing.starts_with(id + "/1.1.t"));
    const std::vector<std::string> wanted{firing + "/remind", firing + "/remind",
                                          firing + ".1/remind"};
    BOOST_TEST(keys == wanted, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_handler_that_was_left_behind_records_nothing_and_frees_its_place)
{
    world w;
    int begun = 0;
    int called = 0;
    std::vector<pawl::error_code> refused;
    lamp_builder b{"lamps"};
    b.step<red>([&, clock = w.clock.get()](lamp_run& run) -> pawl::step<off> {
         if (++begun > 1)
             co_return pawl::to<off>;
         co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
         co_await asio::this_coro::throw_if_cancelled(false);
         const auto timer = clock->make_timer(co_await asio::this_coro::executor);
         co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(
             [](auto handler, pawl::timer* t) { t->wait(1h, std::move(handler)); },
             asio::use_awaitable, timer.get());
         try {
             co_await run.once("late", [&] { ++called; });
         } catch (const pawl::system_error& e) {
             refused.push_back(e.code());
         }
         try {
             co_await run.checkpoint();
         } catch (const pawl::system_error& e) {
             refused.push_back(e.code());
         }
         co_return pawl::to<off>;
     })
        .max_concurrency(1)
        .attempt_timeout(1min)
        .retry({.initial = 10h, .multiplier = 1, .jitter = 0});
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto stuck = trigger(w, client);
    const auto other = trigger(w, client, "other");
    BOOST_TEST(begun == 1);
    w.advance(1min);
    w.advance(5s); // the grace is over
    BOOST_TEST(w.state_of(client, other).status == off);
    const auto version = w.wait_for(w.store->find(stuck))->version;
    w.advance(1h);
    BOOST_TEST(refused.size() == 2u);
    for (const auto& code : refused)
        BOOST_TEST(code == asio::error::operation_aborted);
    BOOST_TEST(called == 0);
    BOOST_TEST(w.wait_for(w.store->find(stuck))->version == version);
}

BOOST_AUTO_TEST_SUITE_END()
