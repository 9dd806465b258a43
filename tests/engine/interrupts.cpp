// What interrupts a running handler and what waits for its end; which errors are not repeated; what
// is asked of a timeout's due time.
#include "engine/support.hpp"

#include <boost/asio/experimental/awaitable_operators.hpp>

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

BOOST_AUTO_TEST_SUITE(interrupts)

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
    BOOST_TEST((w.state_of(client, run).state == pawl::run_state::paused));
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
    BOOST_TEST(begun == 1);
    w.advance(1h);
    BOOST_TEST(begun == 1);
    BOOST_TEST((w.state_of(client, run).status == off));
    BOOST_REQUIRE(resumed->has_value());
    BOOST_TEST((**resumed == pawl::errc::finished));
    BOOST_REQUIRE(deleted->has_value());
    BOOST_TEST((**deleted == pawl::errc::unfinished));
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
    client.async_callback(run, "hang", 1, {},
                          [&](pawl::error_code code, const pawl::settlement&) { told = code; });
    w.settle();
    BOOST_TEST(begun == 1);
    const auto paused =
        begin(w, [&](auto done) { client.async_pause(run, "hold on", std::move(done)); });
    BOOST_REQUIRE(paused->has_value());
    BOOST_TEST(!**paused);
    BOOST_TEST((w.state_of(client, run).state == pawl::run_state::paused));
    BOOST_TEST(!told.has_value()); // it waits in the inbox, as if it had not begun
    const auto resumed =
        begin(w, [&](auto done) { client.async_resume(run, {}, std::move(done)); });
    BOOST_REQUIRE(resumed->has_value());
    BOOST_TEST(begun == 2);
    const auto cancelled =
        begin(w, [&](auto done) { client.async_cancel(run, "enough", std::move(done)); });
    BOOST_REQUIRE(cancelled->has_value());
    BOOST_TEST((w.state_of(client, run).state == pawl::run_state::cancelled));
    BOOST_REQUIRE(told.has_value());
    BOOST_TEST((*told == pawl::errc::finished));
}

namespace {

asio::awaitable<void> charge(lamp_run& run, pawl::clock* clock, pawl::duration span)
{
    co_await run.once("charge",
                      [clock, span]() -> asio::awaitable<void> { co_await wait_on(*clock, span); });
}

pawl::step<off> charges_twice(lamp_run& run, pawl::clock* clock)
{
    using namespace asio::experimental::awaitable_operators;
    co_await (charge(run, clock, 1s) && charge(run, clock, 2s));
    co_return pawl::to<off>;
}

} // namespace

BOOST_AUTO_TEST_CASE(two_effects_of_one_name_beside_each_other_are_a_mistake_that_is_told)
{
    world w;
    lamp_builder b{"lamps"};
    b.step<red>([clock = w.clock.get()](lamp_run& run) {
         return charges_twice(run, clock);
     }).retry({.max_attempts = 1});
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto run = trigger(w, client);
    w.advance(1s);
    w.advance(1s);
    const auto now = w.state_of(client, run);
    BOOST_TEST((now.state == pawl::run_state::paused));
    BOOST_TEST(now.reason.find("charge") != std::string::npos);
    BOOST_TEST(now.reason.find("two names") != std::string::npos);
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
    BOOST_TEST((w.state_of(client, run).state == pawl::run_state::paused));
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
    BOOST_TEST((w.state_of(client, run).status == off));
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
    BOOST_TEST((w.state_of(client, run).status == yellow));
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

BOOST_AUTO_TEST_SUITE_END()
