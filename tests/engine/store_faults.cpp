// A store that fails for a while, or whose answers are lost: callers are told, and when the fault
// has ended every run goes on, with nothing lost and nothing done twice.
#include "engine/faulty_store.hpp"
#include "engine/support.hpp"
#include "printing.hpp"

BOOST_AUTO_TEST_SUITE(store_faults)

using namespace engine_test;
using enum light;

namespace {

/// red → yellow → green → off, in one go.
pawl::workflow<lamp, light> straight(faulty_world& w, pawl::duration lag = 0s)
{
    lamp_builder b{"lamps"};
    b.step<red>([&w](lamp_run&) -> pawl::step<yellow> {
         ++w.calls["red"];
         co_return pawl::to<yellow>;
     }).start_delay(lag);
    b.step<yellow>([&w](lamp_run&) -> pawl::step<green> {
        ++w.calls["yellow"];
        co_return pawl::to<green>;
    });
    b.step<green>([&w](lamp_run&) -> pawl::step<off> {
        ++w.calls["green"];
        co_return pawl::to<off>;
    });
    b.end<off>();
    return std::move(b).build();
}

/// Waits in red, with an hour's deadline, for "go"; then steps from yellow to off.
pawl::workflow<lamp, light> waiting(faulty_world& w)
{
    lamp_builder b{"lamps"};
    b.callback<red>("go", [&w](lamp_run&, int) -> pawl::step<yellow> {
        ++w.calls["go"];
        co_return pawl::to<yellow>;
    });
    b.timeout<red>(1h, [](lamp_run&) -> pawl::step<broken> { co_return pawl::to<broken>; });
    b.step<yellow>([&w](lamp_run&) -> pawl::step<off> {
        ++w.calls["yellow"];
        co_return pawl::to<off>;
    });
    b.end<off, broken>();
    return std::move(b).build();
}

auto trigger(lamps& client, std::string key = {})
{
    return client.async_trigger("a", lamp{}, {.idempotency_key = std::move(key)},
                                asio::use_awaitable);
}

auto go(lamps& client, std::string key = {})
{
    return client.async_call("a", "go", 1, {.idempotency_key = std::move(key)},
                             asio::use_awaitable);
}

pawl::run_id latest(faulty_world& w, lamps& client)
{
    const auto found = w.wait_for(client.async_find_latest("a", asio::use_awaitable));
    BOOST_REQUIRE(found.has_value());
    return found->id;
}

const std::vector<std::string> straight_kinds{"started", "moved", "moved", "completed"};

} // namespace

BOOST_AUTO_TEST_CASE(a_refused_trigger_is_told_and_leaves_nothing)
{
    faulty_world w;
    auto client = w.start(straight(w));
    w.fail({"apply"});
    BOOST_TEST(w.error_of(trigger(client)) == pawl::errc::store_unavailable);
    w.repair();
    w.advance(1min);
    BOOST_TEST(!w.wait_for(client.async_find_latest("a", asio::use_awaitable)).has_value());
    const auto run = w.wait_for(trigger(client));
    w.settle();
    BOOST_TEST(w.state_of(client, run).status == off);
}

BOOST_AUTO_TEST_CASE(a_trigger_whose_answer_is_lost_has_begun_a_run_that_goes_on)
{
    faulty_world w;
    auto client = w.start(straight(w));
    w.faults->next_applies = {fault::answer_lost};
    BOOST_TEST(w.error_of(trigger(client, "key")) == pawl::errc::store_unavailable);
    // Nobody asks again; the engine finds it by itself.
    w.advance(1s);
    const auto run = latest(w, client);
    BOOST_TEST(w.state_of(client, run).status == off);
    BOOST_TEST((w.wait_for(trigger(client, "key")) == run));
    BOOST_TEST(w.kinds_of(client, run) == straight_kinds, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(each_commit_of_a_run_may_fail)
{
    for (const auto kind : {fault::refused, fault::answer_lost})
        for (std::size_t which = 1; which <= 3; ++which) {
            faulty_world w;
            auto client = w.start(straight(w));
            w.faults->next_applies.assign(which, fault::none);
            w.faults->next_applies.push_back(kind);
            const auto run = w.wait_for(trigger(client));
            w.advance(1s);
            BOOST_TEST_CONTEXT("commit " << which << ", fault " << static_cast<int>(kind))
            {
                BOOST_TEST(w.state_of(client, run).status == off);
                BOOST_TEST(w.kinds_of(client, run) == straight_kinds,
                           boost::test_tools::per_element());
                // A step whose commit is known not to exist runs again; one whose commit exists
                // does not.
                int total = 0;
                for (const auto& [name, count] : w.calls)
                    total += count;
                BOOST_TEST(total == (kind == fault::refused ? 4 : 3));
            }
        }
}

BOOST_AUTO_TEST_CASE(a_long_fault_ends_and_all_runs_go_on)
{
    faulty_world w;
    auto client = w.start(straight(w, 1s));
    std::vector<pawl::run_id> runs;
    for (int i = 0; i < 4; ++i)
        runs.push_back(w.wait_for(
            client.async_trigger("run " + std::to_string(i), lamp{}, {}, asio::use_awaitable)));
    w.fail({"apply", "find", "inbox"});
    for (int i = 0; i < 10; ++i)
        w.advance(1s);
    w.fail({"apply", "find", "due", "inbox"});
    for (int i = 0; i < 10; ++i)
        w.advance(1min);
    BOOST_TEST(w.calls["red"] >= 4);
    BOOST_TEST(w.calls["yellow"] == 0);
    w.repair();
    w.advance(1s);
    for (const auto run : runs) {
        BOOST_TEST(w.state_of(client, run).status == off);
        BOOST_TEST(w.kinds_of(client, run) == straight_kinds, boost::test_tools::per_element());
    }
}

BOOST_AUTO_TEST_CASE(a_store_that_must_be_opened_again_makes_its_engine_unready_for_good)
{
    faulty_world w;
    auto client = w.start(straight(w));
    const auto first = w.wait_for(trigger(client));
    const auto try_again = [&] {
        return w.error_of(trigger(client));
    };
    // One that may pass says nothing of the next one.
    w.fail({"apply"});
    BOOST_TEST(try_again() == pawl::errc::store_unavailable);
    BOOST_TEST(w.engine->ready());

    w.faults->refusal = pawl::errc::store_flush_failed;
    BOOST_TEST(w.engine->ready());
    BOOST_TEST(try_again() == pawl::errc::store_flush_failed);
    BOOST_TEST(w.engine->readiness() == pawl::errc::store_flush_failed);
    BOOST_TEST(w.state_of(client, first).foreign_id == "a");
    w.repair();
    w.settle();
    BOOST_TEST(!w.engine->ready());

    w.stop();
    client = w.start(straight(w));
    BOOST_TEST(!w.engine->readiness());
    BOOST_TEST(!try_again());
}

BOOST_AUTO_TEST_CASE(a_callback_whose_answer_is_lost_is_handled_once)
{
    faulty_world w;
    auto client = w.start(waiting(w));
    const auto run = w.wait_for(trigger(client));
    w.settle();
    w.faults->next_applies = {fault::answer_lost};
    BOOST_TEST(w.error_of(go(client, "key")) == pawl::errc::store_unavailable);
    w.advance(1s);
    BOOST_TEST(w.state_of(client, run).status == off);
    const auto settled = w.wait_for(go(client, "key"));
    BOOST_TEST(settled.outcome == pawl::message_outcome::handled);
    BOOST_TEST(w.calls["go"] == 1);
}

BOOST_AUTO_TEST_CASE(a_run_that_becomes_due_earlier_by_a_commit_without_answer_is_found)
{
    // The callback moves it from a wait of an hour to a step that is due now.
    faulty_world w;
    auto client = w.start(waiting(w));
    const auto run = w.wait_for(trigger(client));
    w.settle();
    w.faults->next_applies = {fault::none, fault::answer_lost};
    std::optional<pawl::error_code> told;
    client.async_call("a", "go", 1, {},
                      [&](pawl::error_code code, const pawl::settlement&) { told = code; });
    w.settle();
    w.advance(1s);
    BOOST_TEST(w.state_of(client, run).status == off);
    BOOST_TEST(w.calls["go"] == 1);
    BOOST_TEST(w.calls["yellow"] == 1);
}

BOOST_AUTO_TEST_CASE(a_message_that_is_stored_without_answer_while_the_run_is_active_is_found)
{
    faulty_world w;
    lamp_builder b{"lamps"};
    b.step<red>([clock = w.clock.get()](lamp_run&) -> pawl::step<yellow> {
        co_await wait_on(*clock, 10s);
        co_return pawl::to<yellow>;
    });
    b.callback<yellow>("go", [](lamp_run&, int) -> pawl::step<off> { co_return pawl::to<off>; });
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto run = w.wait_for(trigger(client));
    w.settle();
    w.faults->next_applies = {fault::answer_lost};
    BOOST_TEST(w.error_of(go(client)) == pawl::errc::store_unavailable);
    w.advance(5s); // scanned again, while the step is running
    BOOST_TEST(w.state_of(client, run).status == red);
    w.advance(5s);
    BOOST_TEST(w.state_of(client, run).status == off);
}

namespace {

/// Saves its progress, does not mind a failure, and goes on for a while.
pawl::step<off> careless(lamp_run& run, pawl::clock* clock, int* failures)
{
    try {
        co_await run.checkpoint();
    } catch (const pawl::system_error&) {
        ++*failures;
    }
    co_await wait_on(*clock, 10s);
    co_return pawl::to<off>;
}

} // namespace

BOOST_AUTO_TEST_CASE(a_step_that_goes_on_after_a_failed_save_is_not_forgotten)
{
    for (const auto kind : {fault::refused, fault::answer_lost}) {
        int failures = 0;
        faulty_world w;
        lamp_builder b{"lamps"};
        b.step<red>([clock = w.clock.get(), &failures](lamp_run& run) {
            return careless(run, clock, &failures);
        });
        b.end<off>();
        auto client = w.start(std::move(b).build());
        w.faults->next_applies = {fault::none, kind};
        const auto run = w.wait_for(trigger(client));
        w.settle();
        BOOST_TEST(failures == 1);
        w.advance(5s);
        w.advance(5s);
        w.advance(1s);
        w.advance(10s);
        BOOST_TEST(w.state_of(client, run).status == off);
    }
}

BOOST_AUTO_TEST_CASE(reads_that_fail_are_told_to_those_who_asked)
{
    faulty_world w;
    auto client = w.start(waiting(w));
    const auto run = w.wait_for(trigger(client));
    w.fail({"find", "latest", "list", "history", "outcome"});
    const auto unavailable = [&](const pawl::error_code& code) {
        BOOST_TEST(code == pawl::errc::store_unavailable);
    };
    unavailable(w.error_of(client.async_find(run, asio::use_awaitable)));
    unavailable(w.error_of(client.async_find_latest("a", asio::use_awaitable)));
    unavailable(w.error_of(client.async_list({}, asio::use_awaitable)));
    unavailable(w.error_of(client.async_history(run, 0, 10, asio::use_awaitable)));
    unavailable(w.error_of(client.async_await(run, {off}, asio::use_awaitable)));
    unavailable(w.error_of(go(client)));
}

BOOST_AUTO_TEST_CASE(a_start_that_fails_can_be_repeated_and_a_stop_ends_all_the_same)
{
    faulty_world w;
    w.options.store = w.store;
    w.options.clock = w.clock;
    w.engine.emplace(w.io.get_executor(), w.options);
    auto client = w.engine->add(straight(w));
    const auto start_fails = [&] {
        bool failed = false;
        w.engine->async_start(
            [&](pawl::error_code code) { failed = code == pawl::errc::store_unavailable; });
        w.settle();
        return failed && !w.engine->running();
    };
    w.fail({"count"});
    BOOST_TEST(start_fails());
    w.fail({"claim"});
    BOOST_TEST(start_fails());
    w.repair();
    w.wait_for(w.engine->async_start(asio::use_awaitable));
    const auto run = w.wait_for(trigger(client));
    w.settle();
    BOOST_TEST(w.state_of(client, run).status == off);
    w.fail({"release", "apply", "find", "due", "events"});
    w.stop();
}

BOOST_AUTO_TEST_CASE(hooks_outlive_any_fault_and_none_is_lost)
{
    int completed = 0;
    faulty_world w;
    lamp_builder b{"lamps"};
    b.step<red>([](lamp_run&) -> pawl::step<off> { co_return pawl::to<off>; });
    b.end<off>();
    b.on_complete([&completed](const pawl::snapshot<lamp, light>&) -> asio::awaitable<void> {
        ++completed;
        co_return;
    });
    auto client = w.start(std::move(b).build());
    w.fail({"events", "cursor", "find"});
    w.wait_for(trigger(client));
    w.advance(1min);
    BOOST_TEST(completed == 0);
    w.fail({"find"}); // longer than a hook has attempts
    for (int i = 0; i < 60; ++i)
        w.advance(1min);
    BOOST_TEST(completed == 0);
    w.repair();
    w.advance(1s);
    BOOST_TEST(completed == 1);
}

BOOST_AUTO_TEST_CASE(one_shard_that_cannot_be_read_does_not_hold_the_others)
{
    faulty_world w;
    w.faults = std::make_shared<faulty_store>(pawl::open_memory({.shards = 2}));
    w.store = w.faults;
    lamp_builder b{"lamps"};
    b.step<red>([](lamp_run&) -> pawl::step<off> { co_return pawl::to<off>; }).start_delay(1h);
    b.end<off>();
    auto client = w.start(std::move(b).build());
    std::vector<pawl::run_id> in_second;
    for (int i = 0; i < 20; ++i) {
        const auto id = "run " + std::to_string(i);
        const auto run = w.wait_for(client.async_trigger(id, lamp{}, {}, asio::use_awaitable));
        if (pawl::shard_of(id, 2) == 1)
            in_second.push_back(run);
    }
    w.settle();
    // The first shard is asked first, each time.
    int asked = 0;
    w.faults->fails = [&asked](const std::string& call) {
        return call == "due" && asked++ % 2 == 0 ? fault::refused : fault::none;
    };
    w.advance(1h);
    for (const auto run : in_second)
        BOOST_TEST(w.state_of(client, run).status == off);
}

BOOST_AUTO_TEST_SUITE_END()
