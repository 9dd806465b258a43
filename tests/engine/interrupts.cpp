// What interrupts a running handler and what waits for its end; which errors are not repeated; what
// is asked of a timeout's due time.
#include "engine/faulty_store.hpp"
#include "engine/support.hpp"
#include "printing.hpp"

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>

#include <map>

BOOST_AUTO_TEST_SUITE(interrupts)

using namespace engine_test;
using enum light;

namespace {

pawl::step<off> slowly(lamp_run& run, pawl::clock* clock, int* begun)
{
    ++*begun;
    run.object().trail.emplace_back("began");
    co_await wait_on(*clock, 1h);
    co_return pawl::to<off>;
}

pawl::run_id trigger(world& w, lamps& client)
{
    const auto run = w.wait_for(client.async_trigger("a", lamp{}, {}, asio::use_awaitable));
    w.settle();
    return run;
}

/// Starts a command and keeps its result.
template <class Operation>
std::shared_ptr<std::optional<pawl::error_code>> begin(world& w, Operation operation)
{
    auto result = std::make_shared<std::optional<pawl::error_code>>();
    operation([result](pawl::error_code code) { *result = code; });
    w.settle();
    return result;
}

} // namespace

BOOST_AUTO_TEST_CASE(what_a_handler_sets_for_its_coroutine_ends_with_its_run)
{
    int begun = 0;
    world w;
    lamp_builder b{"lamps"};
    b.step<red>([clock = w.clock.get(), &begun](lamp_run& run) -> pawl::step<off> {
        if (run.object().value == 1) {
            co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
            co_await asio::this_coro::throw_if_cancelled(false);
            co_return pawl::to<off>;
        }
        ++begun;
        co_await wait_on(*clock, 1h);
        co_return pawl::to<off>;
    });
    b.end<off>();
    auto client = w.start(std::move(b).build());
    w.wait_for(client.async_trigger("first", lamp{.value = 1}, {}, asio::use_awaitable));
    const auto run = trigger(w, client);
    BOOST_TEST(begun == 1);
    const auto paused =
        begin(w, [&](auto done) { client.async_pause(run, "now", std::move(done)); });
    BOOST_TEST(w.state_of(client, run).state == pawl::run_state::paused);
    BOOST_REQUIRE(paused->has_value());
    BOOST_TEST(!**paused);
}

BOOST_AUTO_TEST_CASE(a_command_that_can_only_be_refused_does_not_interrupt_a_step)
{
    int begun = 0;
    world w;
    lamp_builder b{"lamps"};
    b.step<red>(
        [clock = w.clock.get(), &begun](lamp_run& run) { return slowly(run, clock, &begun); });
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto run = trigger(w, client);
    const auto resumed =
        begin(w, [&](auto done) { client.async_resume(run, {}, std::move(done)); });
    const auto deleted =
        begin(w, [&](auto done) { client.async_delete_data(run, "asked", std::move(done)); });
    // They are told so while it runs.
    BOOST_REQUIRE(resumed->has_value());
    BOOST_TEST(**resumed == pawl::errc::not_paused);
    BOOST_REQUIRE(deleted->has_value());
    BOOST_TEST(**deleted == pawl::errc::not_finished);
    BOOST_TEST(begun == 1);
    w.advance(1h);
    BOOST_TEST(begun == 1);
    BOOST_TEST(w.state_of(client, run).status == off);
    BOOST_TEST(w.state_of(client, run).object.trail == std::vector<std::string>{"began"});
}

BOOST_AUTO_TEST_CASE(a_callback_that_hangs_does_not_keep_its_run_from_being_paused_and_cancelled)
{
    int begun = 0;
    world w;
    lamp_builder b{"lamps"};
    b.callback<red>("hang", [clock = w.clock.get(), &begun](lamp_run& run, int) {
        return slowly(run, clock, &begun);
    });
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto run = trigger(w, client);
    std::optional<pawl::error_code> told;
    client.async_call(run, "hang", 1, {},
                      [&](pawl::error_code code, const pawl::settlement&) { told = code; });
    w.settle();
    BOOST_TEST(begun == 1);
    const auto paused =
        begin(w, [&](auto done) { client.async_pause(run, "hold on", std::move(done)); });
    BOOST_REQUIRE(paused->has_value());
    BOOST_TEST(!**paused);
    BOOST_TEST(w.state_of(client, run).state == pawl::run_state::paused);
    BOOST_TEST(!told.has_value()); // it waits in the inbox, as if it had not begun
    const auto resumed =
        begin(w, [&](auto done) { client.async_resume(run, {}, std::move(done)); });
    BOOST_REQUIRE(resumed->has_value());
    BOOST_TEST(begun == 2);
    const auto cancelled =
        begin(w, [&](auto done) { client.async_cancel(run, "enough", std::move(done)); });
    BOOST_REQUIRE(cancelled->has_value());
    BOOST_TEST(w.state_of(client, run).state == pawl::run_state::cancelled);
    BOOST_REQUIRE(told.has_value());
    BOOST_TEST(*told == pawl::errc::already_finished);
}

BOOST_AUTO_TEST_CASE(a_command_behind_a_callback_interrupts_and_goes_first)
{
    for (const bool stepping : {true, false}) {
        int begun = 0;
        world w;
        lamp_builder b{"lamps"};
        if (stepping)
            b.step<red>([clock = w.clock.get()](lamp_run&) -> pawl::step<off> {
                co_await wait_on(*clock, 1h);
                co_return pawl::to<off>;
            });
        b.callback<red>("hang", [clock = w.clock.get(), &begun](lamp_run& run, int) {
            return slowly(run, clock, &begun);
        });
        b.end<off>();
        auto client = w.start(std::move(b).build());
        const auto run = trigger(w, client);
        for (int i = 0; i < 2; ++i)
            w.wait_for(client.async_send(run, "hang", i, {}, asio::use_awaitable));
        w.settle();
        const auto cancelled =
            begin(w, [&](auto done) { client.async_cancel(run, "enough", std::move(done)); });
        BOOST_REQUIRE(cancelled->has_value());
        BOOST_TEST(!**cancelled);
        BOOST_TEST(w.state_of(client, run).state == pawl::run_state::cancelled);
        BOOST_TEST(begun == (stepping ? 0 : 1));
    }
}

BOOST_AUTO_TEST_CASE(a_deadline_interrupts_a_callbacks_handler_and_goes_first)
{
    int begun = 0;
    world w;
    lamp_builder b{"lamps"};
    b.callback<red>("hang", [clock = w.clock.get(), &begun](lamp_run& run, int) {
        return slowly(run, clock, &begun);
    });
    b.timeout<red>(10min, [](lamp_run&) -> pawl::step<broken> { co_return pawl::to<broken>; });
    b.end<off, broken>();
    auto client = w.start(std::move(b).build());
    const auto run = trigger(w, client);
    w.wait_for(client.async_send(run, "hang", 1, {}, asio::use_awaitable));
    w.settle();
    w.advance(10min);
    BOOST_TEST(w.state_of(client, run).status == broken);
    BOOST_TEST(begun == 1);
}

BOOST_AUTO_TEST_CASE(a_message_expires_on_time_while_a_handler_runs)
{
    for (const bool batches : {false, true}) {
        world w;
        if (batches)
            w.store = std::make_shared<faulty_store>(w.store);
        int begun = 0;
        lamp_builder b{"lamps"};
        b.step<red>(
            [clock = w.clock.get(), &begun](lamp_run& run) { return slowly(run, clock, &begun); });
        b.callback<yellow>("later",
                           [](lamp_run&, int) -> pawl::step<off> { co_return pawl::to<off>; });
        b.end<off>();
        auto client = w.start(std::move(b).build());
        const auto run = trigger(w, client);
        std::vector<pawl::error_code> told;
        for (const auto limit : {2s, 1s})
            client.async_call(
                run, "later", 1, {.expires_after = limit},
                [&](pawl::error_code code, const pawl::settlement&) { told.push_back(code); });
        w.settle();
        w.advance(1s);
        BOOST_TEST(told.size() == 1u);
        w.advance(1s);
        BOOST_REQUIRE(told.size() == 2u);
        for (const auto& code : told)
            BOOST_TEST(code == pawl::errc::expired);
        w.advance(1h - 2s);
        BOOST_TEST(begun == 1); // the step went on, and its result counts
        BOOST_TEST(w.state_of(client, run).status == off);
    }
}

BOOST_AUTO_TEST_CASE(a_callback_does_not_expire_while_its_handler_runs)
{
    int begun = 0;
    world w;
    lamp_builder b{"lamps"};
    b.callback<red>("slow", [clock = w.clock.get(), &begun](lamp_run& run, int) {
        return slowly(run, clock, &begun);
    });
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto run = trigger(w, client);
    std::optional<pawl::error_code> told;
    client.async_call(run, "slow", 1, {.expires_after = 1s},
                      [&](pawl::error_code code, const pawl::settlement&) { told = code; });
    w.settle();
    w.advance(1min);
    BOOST_TEST(!told.has_value());
    w.advance(1h);
    BOOST_REQUIRE(told.has_value());
    BOOST_TEST(!*told);
    BOOST_TEST(begun == 1);
}

BOOST_AUTO_TEST_CASE(callbacks_in_a_row_let_the_step_and_deadlines_have_their_turn)
{
    int callbacks = 0;
    int callbacks_before_step = -1;
    world w;
    lamp_builder b{"lamps"};
    b.step<red>([&, clock = w.clock.get()](lamp_run&) -> pawl::step<off> {
         callbacks_before_step = callbacks;
         co_return pawl::skip();
     }).start_delay(1min);
    b.callback<red>("note", [&, clock = w.clock.get()](lamp_run&, int) -> pawl::step<off> {
        ++callbacks;
        co_await wait_on(*clock, 1min);
        co_return pawl::repeat_after(0s);
    });
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto run = trigger(w, client);
    for (int i = 0; i < 40; ++i)
        w.wait_for(client.async_send(run, "note", i, {}, asio::use_awaitable));
    w.settle();
    for (int i = 0; i < 50; ++i)
        w.advance(1min);
    BOOST_TEST(callbacks == 40);
    BOOST_TEST(callbacks_before_step == 16);
}

BOOST_AUTO_TEST_CASE(a_skip_leaves_no_change_of_the_object_behind)
{
    world w;
    lamp_builder b{"lamps"};
    b.step<red>([](lamp_run& run) -> pawl::step<off> {
        run.object().value = 7;
        co_return pawl::skip();
    });
    b.callback<red>("note", [](lamp_run& run, int) -> pawl::step<off> {
        run.object().trail.emplace_back("noted");
        co_return pawl::repeat_after(0s);
    });
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto run = trigger(w, client);
    w.wait_for(client.async_call(run, "note", 1, {}, asio::use_awaitable));
    const auto now = w.state_of(client, run);
    BOOST_TEST(now.object.value == 0);
    BOOST_TEST(now.object.trail.size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_handler_that_failed_or_was_interrupted_leaves_nothing_in_the_object)
{
    // What follows runs at once, without reading the run again.
    using trail = std::vector<std::string>;
    world w;
    lamp_builder b{"lamps"};
    b.step<red>([](lamp_run& run) -> pawl::step<off> {
         run.object().trail.emplace_back("failed");
         throw std::runtime_error("cannot");
         co_return pawl::to<off>;
     })
        .retry({.max_attempts = 1})
        .on_exhausted<broken>();
    b.step<broken>([](lamp_run& run) -> pawl::step<off> {
        run.object().trail.emplace_back("after used-up attempts");
        co_return pawl::to<off>;
    });
    int begun = 0;
    b.step<yellow>(
        [clock = w.clock.get(), &begun](lamp_run& run) { return slowly(run, clock, &begun); });
    b.timeout<yellow>(1min, [](lamp_run& run) -> pawl::step<off> {
        run.object().trail.emplace_back("after an interruption");
        co_return pawl::to<off>;
    });
    b.callback<green>("fail", [](lamp_run& run, int) -> pawl::step<off> {
         run.object().trail.emplace_back("failed");
         throw std::runtime_error("cannot");
         co_return pawl::to<off>;
     }).retry({.max_attempts = 1});
    b.callback<green>("end", [](lamp_run& run, int) -> pawl::step<off> {
        run.object().trail.emplace_back("after a callback");
        co_return pawl::to<off>;
    });
    b.start<red>().start<yellow>().start<green>();
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto trigger_in = [&](light where) {
        const auto run = w.wait_for(client.async_trigger(std::to_string(static_cast<int>(where)),
                                                         lamp{}, {.start = where}));
        w.settle();
        return run;
    };
    const auto failed = trigger_in(red);
    BOOST_TEST((w.state_of(client, failed).object.trail == trail{"after used-up attempts"}));
    const auto interrupted = trigger_in(yellow);
    w.advance(1min);
    BOOST_TEST(begun == 1);
    BOOST_TEST((w.state_of(client, interrupted).object.trail == trail{"after an interruption"}));
    const auto called = trigger_in(green);
    w.wait_for(client.async_pause(called, "", asio::use_awaitable));
    for (const auto* name : {"fail", "end"})
        w.wait_for(client.async_send(called, name, 1, {}, asio::use_awaitable));
    w.wait_for(client.async_resume(called, {}, asio::use_awaitable));
    w.settle();
    BOOST_TEST((w.state_of(client, called).object.trail == trail{"after a callback"}));
}

namespace {

/// Completes inside the call that cancels it.
asio::awaitable<void> wait_for_cancellation()
{
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(
        [](auto handler) {
            const auto slot = asio::get_associated_cancellation_slot(handler);
            const auto kept = std::make_shared<decltype(handler)>(std::move(handler));
            auto place = slot;
            place.assign([kept](asio::cancellation_type) {
                auto waiting = std::move(*kept);
                std::move(waiting)();
            });
        },
        asio::use_awaitable);
}

} // namespace

BOOST_AUTO_TEST_CASE(a_handler_may_end_inside_the_call_that_cancels_it)
{
    for (const bool batches : {false, true}) {
        std::vector<std::string> begun; // handlers write it until their engine has ended
        world w;
        if (batches)
            w.store = std::make_shared<faulty_store>(w.store);
        lamp_builder b{"lamps"};
        b.step<red>([&](lamp_run& run) -> pawl::step<off> {
             begun.push_back(run.foreign_id());
             co_await wait_for_cancellation();
             co_return pawl::to<off>;
         })
            .attempt_timeout(1h)
            .retry({.max_attempts = 1});
        b.timeout<red>(
            [](const lamp_run& run) -> std::optional<pawl::time_point> {
                if (run.foreign_id() == "deadline")
                    return run.now() + 1min;
                return std::nullopt;
            },
            [](lamp_run&) -> pawl::step<broken> { co_return pawl::to<broken>; });
        b.callback<red>("note", [](lamp_run&, int) -> pawl::step<off> { co_return pawl::skip(); });
        b.end<off, broken>();
        auto client = w.start(std::move(b).build());
        std::map<std::string, pawl::run_id> runs;
        for (const std::string id : {"command", "deadline", "limit", "stop"})
            runs[id] = w.wait_for(client.async_trigger(id, lamp{}, {}, asio::use_awaitable));
        w.settle();
        BOOST_TEST(begun.size() == 4u);
        for (const auto& [id, run] : runs)
            w.wait_for(client.async_send(run, "note", 1, {}, asio::use_awaitable));
        w.wait_for(client.async_cancel("command", "enough", asio::use_awaitable));
        w.advance(1min);
        w.wait_for(client.async_pause("stop", "", asio::use_awaitable));
        w.advance(1h - 1min);
        w.wait_for(client.async_resume("stop", {}, asio::use_awaitable));
        w.settle();
        BOOST_TEST(w.state_of(client, runs["command"]).state == pawl::run_state::cancelled);
        BOOST_TEST(w.state_of(client, runs["deadline"]).status == broken);
        BOOST_TEST(w.state_of(client, runs["limit"]).state == pawl::run_state::paused);
        BOOST_TEST(begun.back() == "stop");
        w.stop();
        const auto left = w.wait_for(w.store->find(runs["stop"]));
        BOOST_TEST(left->attempt == 0);
        BOOST_TEST(left->status == static_cast<int>(red));
    }
}

BOOST_AUTO_TEST_CASE(errors_that_must_not_be_repeated_are_not_in_timeouts_either)
{
    int calls = 0;
    world w;
    lamp_builder b{"lamps"};
    b.timeout<red>(1h, [&calls](lamp_run&) -> pawl::step<off> {
         ++calls;
         throw std::invalid_argument("wrong for ever");
         co_return pawl::to<off>;
     }).retry({.permanent = [](const std::exception_ptr&) {
        try {
            throw; // the exception in flight
        } catch (const std::invalid_argument&) {
            return true;
        } catch (...) {
            return false;
        }
    }});
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto run = trigger(w, client);
    w.advance(1h);
    BOOST_TEST(calls == 1);
    BOOST_TEST(w.state_of(client, run).state == pawl::run_state::paused);
}

BOOST_AUTO_TEST_CASE(a_predicate_that_throws_does_not_leave_its_run_stuck)
{
    int calls = 0;
    world w;
    lamp_builder b{"lamps"};
    b.step<red>([&calls](lamp_run&) -> pawl::step<off> {
         if (++calls < 3)
             throw std::runtime_error("not yet");
         co_return pawl::to<off>;
     }).retry({.initial = 1s, .permanent = [](const std::exception_ptr&) -> bool {
                   throw std::logic_error("the predicate's own");
               }});
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto run = trigger(w, client);
    BOOST_TEST(w.state_of(client, run).attempt == 1);
    w.advance(1min);
    w.advance(1min);
    BOOST_TEST(w.state_of(client, run).status == off);
}

BOOST_AUTO_TEST_CASE(a_due_time_is_asked_for_once_a_visit)
{
    int asked = 0;
    world w;
    lamp_builder b{"lamps"};
    b.step<red>([](lamp_run&) -> pawl::step<yellow> { co_return pawl::to<yellow>; });
    b.timeout<yellow>(
        [&asked](const lamp_run&) -> std::optional<pawl::time_point> {
            ++asked;
            return std::nullopt;
        },
        [](lamp_run&) -> pawl::step<off> { co_return pawl::to<off>; });
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto run = trigger(w, client);
    BOOST_TEST(w.state_of(client, run).status == yellow);
    BOOST_TEST(asked == 1);
}

BOOST_AUTO_TEST_CASE(a_due_time_that_throws_refuses_the_trigger_with_its_reason_in_the_log)
{
    world w;
    lamp_builder b{"lamps"};
    b.timeout<red>(
        [](const lamp_run&) -> std::optional<pawl::time_point> {
            throw std::runtime_error("no calendar");
        },
        [](lamp_run&) -> pawl::step<off> { co_return pawl::to<off>; });
    b.end<off>();
    auto client = w.start(std::move(b).build());
    BOOST_TEST((w.error_of(client.async_trigger("a", lamp{}, {}, asio::use_awaitable)) ==
                pawl::errc::invalid_argument));
    BOOST_REQUIRE(!w.log.empty());
    BOOST_TEST(w.log.back().find("no calendar") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_run_goes_on_without_its_handler_after_its_shard_was_lost_and_taken_again)
{
    world w;
    auto faults =
        std::make_shared<faulty_store>(pawl::open_memory({.shared = true, .clock = w.clock}));
    w.store = faults;
    lamp_builder b{"lamps"};
    b.step<red>([clock = w.clock.get()](lamp_run&) -> pawl::step<off> {
        co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
        co_await asio::this_coro::throw_if_cancelled(false);
        co_await wait_on(*clock, 20min);
        co_return pawl::to<off>;
    });
    b.timeout<red>(1min, [](lamp_run&) -> pawl::step<broken> { co_return pawl::to<broken>; });
    b.end<off, broken>();
    auto client = w.start(std::move(b).build());
    const auto pass = [&w](int seconds) {
        for (int i = 0; i < seconds; ++i)
            w.advance(1s);
    };
    pass(10);
    const auto run = trigger(w, client);
    faults->fails = [](const std::string&) {
        return fault::refused;
    };
    pass(20);
    faults->fails = [](const std::string&) {
        return fault::none;
    };
    pass(60);
    BOOST_TEST(w.state_of(client, run).status == broken);
    w.advance(20min); // the handler ends, and changes nothing
    BOOST_TEST(w.state_of(client, run).status == broken);
}

BOOST_AUTO_TEST_CASE(a_place_in_a_step_is_not_held_by_a_timeout_of_the_run_that_got_it)
{
    world w;
    std::vector<std::string> order;
    lamp_builder b{"lamps"};
    b.step<red>([&, clock = w.clock.get()](lamp_run& run) -> pawl::step<off> {
         order.push_back(run.foreign_id());
         co_await wait_on(*clock, 1min);
         co_return pawl::to<off>;
     }).max_concurrency(1);
    b.timeout<red>(
        [](const lamp_run& run) -> std::optional<pawl::time_point> {
            if (run.foreign_id() != "second")
                return std::nullopt;
            return run.now() + 1min; // when it gets the place
        },
        [clock = w.clock.get()](lamp_run&) -> pawl::step<off> {
            co_await wait_on(*clock, 1h);
            co_return pawl::skip();
        });
    b.end<off>();
    auto client = w.start(std::move(b).build());
    for (const auto* id : {"first", "second", "third"})
        w.wait_for(client.async_trigger(id, lamp{}, {}, asio::use_awaitable));
    w.settle();
    w.advance(1min);
    const std::vector<std::string> wanted{"first", "third"};
    BOOST_TEST(order == wanted, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_wait_that_is_cancelled_before_its_message_is_stored_ends)
{
    world w;
    w.store = std::make_shared<faulty_store>(w.store);
    lamp_builder b{"lamps"};
    b.callback<red>("hang", [clock = w.clock.get()](lamp_run&, int) -> pawl::step<off> {
        co_await wait_on(*clock, 1h);
        co_return pawl::to<off>;
    });
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto run = trigger(w, client);
    asio::cancellation_signal cancel;
    std::optional<pawl::error_code> told;
    client.async_call(
        run, "hang", 1, {},
        asio::bind_cancellation_slot(
            cancel.slot(), [&](pawl::error_code code, const pawl::settlement&) { told = code; }));
    cancel.emit(asio::cancellation_type::terminal);
    w.settle();
    BOOST_REQUIRE(told.has_value());
    BOOST_TEST(*told == asio::error::operation_aborted);
    w.advance(1h);
    BOOST_TEST(w.state_of(client, run).status == off); // only the wait ended
}

BOOST_AUTO_TEST_SUITE_END()
