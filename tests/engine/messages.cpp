// The inbox: callbacks and commands reach a run in order, wait when they must, are handled once,
// and their senders learn what became of them.
#include "engine/faulty_store.hpp"
#include "printing.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>

BOOST_AUTO_TEST_SUITE(messages)

using namespace engine_test;
using enum light;

namespace {

struct change_request {
    int add = 0;
};
BOOST_DESCRIBE_STRUCT(change_request, (), (add))

pawl::step<off> on_change(lamp_run& run, change_request request)
{
    if (request.add < 0)
        throw std::runtime_error("cannot add less than nothing");
    run.object().value += request.add;
    if (run.object().value >= 10)
        co_return pawl::to<off>;
    co_return pawl::repeat_after(0s);
}

pawl::step<green> to_green(lamp_run&)
{
    co_return pawl::to<green>;
}

/// A lamp that waits in red, in red only, for changes.
pawl::workflow<lamp, light> waiting()
{
    lamp_builder b{"lamps"};
    b.callback<red>("change", on_change).retry({.max_attempts = 1});
    b.end<off>();
    return std::move(b).build();
}

/// A lamp that goes from yellow to green after an hour, and takes changes in green.
pawl::workflow<lamp, light> waiting_later()
{
    lamp_builder b{"lamps"};
    b.step<yellow>(to_green).start_delay(1h);
    b.callback<green>("change", on_change);
    b.end<off>();
    return std::move(b).build();
}

pawl::step<off> end_slowly(pawl::clock* clock)
{
    co_await wait_on(*clock, 1h);
    co_return pawl::to<off>;
}

/// Its next batch takes a while.
class slow_store final : public pawl::forwarding_store {
public:
    slow_store(std::shared_ptr<pawl::record_store> inner, std::shared_ptr<pawl::clock> clock)
        : forwarding_store(std::move(inner)), clock_(std::move(clock))
    {
    }

    asio::awaitable<std::vector<pawl::apply_result>>
    apply(std::span<const pawl::change> batch) override
    {
        if (const auto span = std::exchange(next, {}); span > 0s)
            co_await wait_on(*clock_, span);
        auto results = co_await inner().apply(batch);
        co_return results;
    }

    pawl::duration next{};

private:
    const std::shared_ptr<pawl::clock> clock_;
};

struct slow_step {
    pawl::clock* clock;

    pawl::step<green> operator()(lamp_run& run) const { return body(run, clock); }

    static pawl::step<green> body(lamp_run& run, pawl::clock* clock)
    {
        run.object().trail.push_back("began");
        co_await wait_on(*clock, 1h);
        co_return pawl::to<green>;
    }
};

/// A lamp whose first step takes an hour.
pawl::workflow<lamp, light> slow(world& w)
{
    lamp_builder b{"lamps"};
    b.step<red>(slow_step{w.clock.get()});
    b.callback<red, green>("change", on_change);
    b.end<off>();
    return std::move(b).build();
}

/// Starts an operation and keeps its result.
template <class T>
std::shared_ptr<std::optional<std::pair<pawl::error_code, T>>> begin(world& w,
                                                                     asio::awaitable<T> operation)
{
    auto result = std::make_shared<std::optional<std::pair<pawl::error_code, T>>>();
    asio::co_spawn(w.io, std::move(operation), [result](std::exception_ptr failure, T value) {
        pawl::error_code code;
        try {
            if (failure)
                std::rethrow_exception(failure);
        } catch (const pawl::system_error& e) {
            code = e.code();
        }
        result->emplace(code, std::move(value));
    });
    w.settle();
    return result;
}

pawl::run_id trigger(world& w, lamps& client, std::string foreign_id = "a")
{
    const auto run =
        w.wait_for(client.async_trigger(std::move(foreign_id), lamp{}, {}, asio::use_awaitable));
    w.settle();
    return run;
}

} // namespace

BOOST_AUTO_TEST_CASE(what_ends_with_its_run_does_not_expire_afterwards)
{
    world w;
    lamp_builder b{"lamps"};
    b.callback<red>("end", [clock = w.clock.get()](lamp_run&, int) { return end_slowly(clock); });
    b.callback<yellow>("never", on_change);
    b.end<off>();
    b.start<red, yellow>();
    auto client = w.start(std::move(b).build());
    const auto run = w.wait_for(client.async_trigger("a", lamp{}, {}, asio::use_awaitable));
    std::optional<pawl::error_code> told;
    client.async_call(run, "never", change_request{}, {.expires_after = 2h},
                      [&](pawl::error_code code, const pawl::settlement&) { told = code; });
    w.settle();
    w.wait_for(client.async_call(run, "end", 1, {}, asio::use_awaitable)); // an hour
    w.settle();
    BOOST_REQUIRE(told.has_value());
    BOOST_TEST(*told == pawl::errc::already_finished);
    w.advance(2h);
    const auto kinds = w.kinds_of(client, run);
    BOOST_TEST(kinds.back() == "completed");
}

BOOST_AUTO_TEST_CASE(a_command_that_the_end_of_its_run_refused_is_not_carried_out_after_it)
{
    world w;
    const auto slow = std::make_shared<slow_store>(w.store, w.clock);
    w.store = slow;
    lamp_builder b{"lamps"};
    b.step<red>([clock = w.clock.get()](lamp_run&) { return end_slowly(clock); });
    b.callback<yellow>("change", on_change);
    b.end<off>();
    b.start<red, yellow>();
    auto client = w.start(std::move(b).build());
    const auto run = trigger(w, client);
    w.advance(59min);
    slow->next = 2min;
    client.async_trigger("another", lamp{}, {.start = yellow},
                         [](pawl::error_code, pawl::run_id) {});
    w.settle();
    // Both wait for that batch, and are in the next: first the command, then the run's end.
    std::optional<pawl::error_code> told;
    client.async_delete_data(run, "asked", [&](pawl::error_code code) { told = code; });
    w.advance(1min);
    w.advance(1min);
    BOOST_REQUIRE(told.has_value());
    BOOST_TEST(*told == pawl::errc::not_finished);
    BOOST_TEST(w.state_of(client, run).state == pawl::run_state::completed);
    BOOST_TEST(w.kinds_of(client, run).back() == "completed");
}

BOOST_AUTO_TEST_CASE(a_callback_is_handled_and_its_sender_told)
{
    world w;
    auto client = w.start(waiting());
    const auto run = trigger(w, client);
    auto settled =
        w.wait_for(client.async_call(run, "change", change_request{3}, {}, asio::use_awaitable));
    BOOST_TEST(settled.outcome == pawl::message_outcome::handled);
    BOOST_TEST(w.state_of(client, run).object.value == 3);
    settled =
        w.wait_for(client.async_call("a", "change", change_request{7}, {}, asio::use_awaitable));
    const auto end = w.state_of(client, run);
    BOOST_TEST(end.status == off);
    BOOST_TEST(end.object.value == 10);
}

BOOST_AUTO_TEST_CASE(a_failing_callback_is_reported_and_changes_nothing)
{
    world w;
    auto client = w.start(waiting());
    const auto run = trigger(w, client);
    const auto failed =
        begin(w, client.async_call(run, "change", change_request{-1}, {}, asio::use_awaitable));
    BOOST_REQUIRE(failed->has_value());
    BOOST_TEST((*failed)->first == pawl::errc::callback_failed);
    auto now = w.state_of(client, run);
    BOOST_TEST(now.object.value == 0);
    BOOST_TEST(now.state == pawl::run_state::initiated);
    w.wait_for(client.async_call(run, "change", change_request{1}, {}, asio::use_awaitable));
    BOOST_TEST(w.state_of(client, run).object.value == 1);
}

BOOST_AUTO_TEST_CASE(a_payload_of_another_type_is_a_failure_that_names_the_member)
{
    world w;
    lamp_builder b{"lamps"};
    b.callback<red>("change", on_change); // not repeated: it would not help
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto run = trigger(w, client);
    std::optional<pawl::settlement> told;
    client.async_call(run, "change", std::map<std::string, std::string>{{"add", "many"}}, {},
                      [&](pawl::error_code code, pawl::settlement settled) {
                          BOOST_TEST(code == pawl::errc::callback_failed);
                          told = settled;
                      });
    w.settle();
    BOOST_REQUIRE(told.has_value());
    BOOST_TEST(told->detail.find("add") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(an_early_callback_waits_in_the_inbox_also_across_a_restart)
{
    world w;
    auto client = w.start(waiting_later());
    const auto run = trigger(w, client);
    const auto sent =
        w.wait_for(client.async_send(run, "change", change_request{4}, {}, asio::use_awaitable));
    BOOST_TEST(sent.outcome == pawl::message_outcome::pending);
    w.settle();
    BOOST_TEST(w.state_of(client, run).object.value == 0);
    w.stop();
    client = w.start(waiting_later());
    w.advance(1h);
    const auto now = w.state_of(client, run);
    BOOST_TEST(now.status == green);
    BOOST_TEST(now.object.value == 4);
}

BOOST_AUTO_TEST_CASE(an_early_callback_expires_when_its_time_is_over)
{
    world w;
    auto client = w.start(waiting_later());
    const auto run = trigger(w, client);
    const auto early = begin(w, client.async_call(run, "change", change_request{4},
                                                  {.expires_after = 10min}, asio::use_awaitable));
    BOOST_TEST(!early->has_value());
    w.advance(10min);
    BOOST_REQUIRE(early->has_value());
    BOOST_TEST((*early)->first == pawl::errc::expired);
    w.advance(1h);
    BOOST_TEST(w.state_of(client, run).object.value == 0);
}

BOOST_AUTO_TEST_CASE(a_callback_with_a_known_key_is_handled_once_and_gives_the_first_outcome)
{
    world w;
    auto client = w.start(waiting());
    const auto run = trigger(w, client);
    for (int i = 0; i < 3; ++i) {
        const auto settled = w.wait_for(client.async_call(
            run, "change", change_request{2}, {.idempotency_key = "once"}, asio::use_awaitable));
        BOOST_TEST(settled.outcome == pawl::message_outcome::handled);
    }
    BOOST_TEST(w.state_of(client, run).object.value == 2);
}

BOOST_AUTO_TEST_CASE(what_cannot_be_delivered_is_refused_with_the_reason)
{
    world w;
    auto client = w.start(waiting());
    const auto run = trigger(w, client);
    BOOST_TEST(w.error_of(client.async_call("unknown", "change", change_request{}, {},
                                            asio::use_awaitable)) == pawl::errc::not_found);
    BOOST_TEST(
        (w.error_of(client.async_call(run, "chnage", change_request{}, {}, asio::use_awaitable)) ==
         pawl::errc::no_such_callback));
    w.wait_for(client.async_call(run, "change", change_request{10}, {}, asio::use_awaitable));
    BOOST_TEST(
        (w.error_of(client.async_call(run, "change", change_request{1}, {}, asio::use_awaitable)) ==
         pawl::errc::already_finished));
    BOOST_TEST((w.error_of(client.async_pause(run, "late", asio::use_awaitable)) ==
                pawl::errc::already_finished));
}

BOOST_AUTO_TEST_CASE(a_full_inbox_refuses_callbacks_and_takes_commands)
{
    world w;
    w.options.max_pending_messages = 3;
    auto client = w.start(waiting());
    const auto run = trigger(w, client);
    const auto deliver = [&] {
        return client.async_send(run, "change", change_request{1}, {}, asio::use_awaitable);
    };
    w.wait_for(client.async_pause(run, "so that callbacks wait", asio::use_awaitable));
    for (int i = 0; i < 3; ++i)
        w.wait_for(deliver());
    BOOST_TEST(w.error_of(deliver()) == pawl::errc::inbox_full);
    BOOST_TEST(w.wait_for(w.store->find(run)).value().inbox_pending == 3u);

    w.wait_for(client.async_resume(run, {}, asio::use_awaitable));
    w.settle();
    BOOST_TEST(w.wait_for(w.store->find(run)).value().inbox_pending == 0u);
    w.wait_for(deliver());
    w.settle();
    BOOST_TEST(w.wait_for(client.async_find(run, asio::use_awaitable)).value().object.value == 4);
}

BOOST_AUTO_TEST_CASE(a_callback_waits_for_the_step_that_is_running)
{
    world w;
    auto client = w.start(slow(w));
    const auto run = trigger(w, client);
    const auto sent =
        begin(w, client.async_call(run, "change", change_request{5}, {}, asio::use_awaitable));
    BOOST_TEST(!sent->has_value());
    w.advance(1h);
    BOOST_REQUIRE(sent->has_value());
    BOOST_TEST(!(*sent)->first);
    const auto now = w.state_of(client, run);
    BOOST_TEST(now.status == green);
    BOOST_TEST(now.object.value == 5);
}

BOOST_AUTO_TEST_CASE(a_pause_interrupts_the_step_and_a_resume_runs_it_again)
{
    world w;
    auto client = w.start(slow(w));
    const auto run = trigger(w, client);
    w.wait_for(client.async_pause(run, "hold on", asio::use_awaitable));
    auto now = w.state_of(client, run);
    BOOST_TEST(now.state == pawl::run_state::paused);
    BOOST_TEST(now.reason == "hold on");
    BOOST_TEST(now.object.trail.empty());
    BOOST_TEST(now.attempt == 0);
    BOOST_TEST((w.error_of(client.async_pause(run, "again", asio::use_awaitable)) ==
                pawl::errc::already_paused));
    w.advance(24h);
    BOOST_TEST(w.state_of(client, run).state == pawl::run_state::paused);
    w.wait_for(client.async_resume(run, {}, asio::use_awaitable));
    w.advance(1h);
    now = w.state_of(client, run);
    BOOST_TEST(now.status == green);
    BOOST_TEST(now.object.trail.size() == 1u);
    BOOST_TEST(
        (w.error_of(client.async_resume(run, {}, asio::use_awaitable)) == pawl::errc::not_paused));
}

BOOST_AUTO_TEST_CASE(a_callback_to_a_paused_run_waits_until_it_is_resumed)
{
    world w;
    auto client = w.start(waiting());
    const auto run = trigger(w, client);
    w.wait_for(client.async_pause(run, "hold on", asio::use_awaitable));
    const auto sent =
        begin(w, client.async_call(run, "change", change_request{5}, {}, asio::use_awaitable));
    BOOST_TEST(!sent->has_value());
    w.wait_for(client.async_resume(run, {}, asio::use_awaitable));
    w.settle();
    BOOST_REQUIRE(sent->has_value());
    BOOST_TEST(w.state_of(client, run).object.value == 5);
}

BOOST_AUTO_TEST_CASE(a_cancel_interrupts_the_step_and_settles_what_waits)
{
    world w;
    auto client = w.start(slow(w));
    const auto run = trigger(w, client);
    const auto sent =
        begin(w, client.async_call(run, "change", change_request{5}, {}, asio::use_awaitable));
    w.wait_for(client.async_cancel("a", "not needed", asio::use_awaitable));
    const auto now = w.state_of(client, run);
    BOOST_TEST(now.state == pawl::run_state::cancelled);
    BOOST_TEST(now.status == red);
    // In order: the callback came first, but it must wait for a step's end, and the step was ended
    // for the cancel.
    BOOST_REQUIRE(sent->has_value());
    // A second run of the same foreign id may start now.
    trigger(w, client);
}

BOOST_AUTO_TEST_CASE(data_is_deleted_after_the_end_only)
{
    world w;
    auto client = w.start(waiting());
    const auto run = trigger(w, client);
    BOOST_TEST((w.error_of(client.async_delete_data(run, "asked", asio::use_awaitable)) ==
                pawl::errc::not_finished));
    w.wait_for(client.async_call(run, "change", change_request{10}, {}, asio::use_awaitable));
    w.wait_for(client.async_delete_data(run, "asked", asio::use_awaitable));
    w.settle();
    const auto now = w.state_of(client, run);
    BOOST_TEST(now.state == pawl::run_state::data_deleted);
    BOOST_TEST(now.object.value == 0);
    // Again, for a scrubber that has learnt more.
    w.wait_for(client.async_delete_data(run, {"twice", "the data officer"}));
    w.settle();
    const auto again = w.state_of(client, run);
    BOOST_TEST(again.state == pawl::run_state::data_deleted);
    BOOST_TEST(again.version == now.version + 2);
}

BOOST_AUTO_TEST_CASE(a_payload_may_be_plain_bytes)
{
    world w;
    lamp_builder b{"lamps"};
    std::vector<std::string> bodies;
    b.callback<red>("end", [&](lamp_run&, const pawl::bytes& body) -> pawl::step<off> {
        bodies.push_back(body.data);
        co_return pawl::to<off>;
    });
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto run = trigger(w, client);
    const std::string body{"<xml>\0\xff", 7};
    w.wait_for(client.async_call(run, "end", pawl::bytes{body}));
    BOOST_TEST(bodies == std::vector<std::string>{body}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(commands_say_why_and_who_asked)
{
    world w;
    auto client = w.start(waiting());
    const auto run = trigger(w, client);
    w.wait_for(client.async_pause(run, {"to be looked at", "ada"}));
    BOOST_TEST(w.state_of(client, run).reason == "to be looked at");
    BOOST_TEST(w.state_of(client, run).requested_by == "ada");
    w.wait_for(client.async_resume(run, {"is fine", "grace"}));
    BOOST_TEST(w.state_of(client, run).reason == "is fine");
    w.wait_for(client.async_cancel(run, {"not needed", "alan"}));
    BOOST_TEST(w.state_of(client, run).requested_by == "alan");
    const auto told = [&] {
        std::vector<std::string> lines;
        for (const auto& what : w.wait_for(client.async_history(run)))
            if (!what.requested_by.empty())
                lines.push_back(to_string(what.kind) + " " + what.requested_by + " " + what.error);
        return lines;
    };
    const std::vector<std::string> expected{"paused ada to be looked at", "resumed grace is fine",
                                            "cancelled alan not needed"};
    BOOST_TEST(told() == expected, boost::test_tools::per_element());
    w.wait_for(client.async_delete_data(run, {"asked", "ada"}));
    w.settle();
    // Reasons may quote the data: only that of the deletion stays.
    const std::vector<std::string> left{"paused ada ", "resumed grace ", "cancelled alan ",
                                        "data_deletion_requested ada asked"};
    BOOST_TEST(told() == left, boost::test_tools::per_element());

    const std::string long_name(1025, 'x');
    const auto next = trigger(w, client);
    BOOST_TEST(
        (w.error_of(client.async_pause(next, {"why", long_name})) == pawl::errc::invalid_argument));
}

BOOST_AUTO_TEST_CASE(a_command_that_the_state_does_not_allow_says_which_state_it_would_need)
{
    world w;
    auto client = w.start(waiting());
    const auto run = trigger(w, client);
    const auto refused = [&](asio::awaitable<void> command) {
        try {
            w.wait_for(std::move(command));
        } catch (const pawl::system_error& e) {
            return e.code();
        }
        return pawl::error_code{};
    };
    BOOST_TEST(refused(client.async_resume(run)) == pawl::errc::not_paused);
    BOOST_TEST(refused(client.async_delete_data(run, "")) == pawl::errc::not_finished);
    w.wait_for(client.async_pause(run, ""));
    BOOST_TEST(refused(client.async_pause(run, "")) == pawl::errc::already_paused);
    BOOST_TEST(refused(client.async_delete_data(run, "")) == pawl::errc::not_finished);
    w.wait_for(client.async_cancel(run, "")); // also a paused one
    BOOST_TEST(refused(client.async_pause(run, "")) == pawl::errc::already_finished);
    BOOST_TEST(refused(client.async_resume(run)) == pawl::errc::already_finished);
    BOOST_TEST(refused(client.async_cancel(run, "")) == pawl::errc::already_finished);
}

BOOST_AUTO_TEST_CASE(
    a_wait_for_a_callback_can_be_cancelled_and_the_callback_is_handled_all_the_same)
{
    world w;
    auto client = w.start(slow(w));
    const auto run = trigger(w, client);
    asio::cancellation_signal stop;
    std::optional<pawl::error_code> result;
    client.async_call(
        run, "change", change_request{5}, {},
        asio::bind_cancellation_slot(
            stop.slot(), [&](pawl::error_code code, pawl::settlement) { result = code; }));
    w.settle();
    stop.emit(asio::cancellation_type::total);
    w.settle();
    BOOST_REQUIRE(result.has_value());
    BOOST_TEST(*result == asio::error::operation_aborted);
    w.advance(1h);
    BOOST_TEST(w.state_of(client, run).object.value == 5);
}

BOOST_AUTO_TEST_CASE(messages_of_one_run_are_handled_in_order)
{
    world w;
    lamp_builder b{"lamps"};
    b.callback<red>("note", [](lamp_run& run, std::string text) -> pawl::step<off> {
        run.object().trail.push_back(text);
        co_return pawl::skip();
    });
    b.callback<red>("keep", [](lamp_run& run, std::string text) -> pawl::step<off> {
        run.object().trail.push_back(text);
        co_return pawl::repeat_after(0s);
    });
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto run = trigger(w, client);
    int done = 0;
    for (int i = 0; i < 50; ++i)
        client.async_call(run, i % 10 == 0 ? "note" : "keep", std::to_string(i), {},
                          [&](pawl::error_code code, pawl::settlement) { done += !code; });
    w.settle();
    BOOST_TEST(done == 50);
    std::vector<std::string> expected;
    for (int i = 0; i < 50; ++i)
        if (i % 10 != 0) // skip() saves nothing
            expected.push_back(std::to_string(i));
    BOOST_TEST(w.state_of(client, run).object.trail == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_SUITE_END()
