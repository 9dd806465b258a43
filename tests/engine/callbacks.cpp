// Callbacks whose handler fails: repeated by a policy, in order, and in the end a dead letter.
#include "engine/faulty_store.hpp"

#include "pawl/dead_letter.hpp"
#include "printing.hpp"

BOOST_AUTO_TEST_SUITE(callbacks)

using namespace engine_test;
using enum light;

namespace {

const pawl::retry_policy each_minute = {
    .initial = 1min, .multiplier = 1, .jitter = 0, .max_attempts = 3};

/// What the handlers of these tests do.
struct script {
    int failures = 0; ///< of "add", from now on
    std::vector<std::string> calls;
};

pawl::step<off> add(lamp_run& run, int value, script* plan)
{
    plan->calls.push_back("add " + std::to_string(value) + " attempt " +
                          std::to_string(run.attempt()));
    if (plan->failures > 0) {
        --plan->failures;
        throw std::runtime_error("the service is away");
    }
    run.object().value += value;
    if (value == 0)
        co_return pawl::to<off>;
    co_return pawl::repeat_after(0s);
}

/// A lamp that waits in red for numbers; zero ends it.
lamp_builder adding(script& plan, pawl::retry_policy policy = each_minute)
{
    lamp_builder b{"lamps"};
    b.callback<red>("add", [&plan](lamp_run& run, int value) {
         return add(run, value, &plan);
     }).retry(std::move(policy));
    b.start<red>();
    b.end<off>();
    return b;
}

pawl::run_id trigger(world& w, lamps& client)
{
    const auto run = w.wait_for(client.async_trigger("a", lamp{}));
    w.settle();
    return run;
}

pawl::settlement deliver(world& w, lamps& client, pawl::run_id run, int value, std::string key = {})
{
    auto sent =
        w.wait_for(client.async_send(run, "add", value, {.idempotency_key = std::move(key)}));
    w.settle();
    return sent;
}

std::vector<pawl::stream_event> letters(world& w)
{
    return w.wait_for(w.store->topic_events(pawl::callback_dead_letter_topic("lamps"), 0, 100));
}

/// Notes what its batches are made of.
class noting_store final : public pawl::forwarding_store {
public:
    using pawl::forwarding_store::forwarding_store;

    asio::awaitable<std::vector<pawl::apply_result>>
    apply(std::span<const pawl::change> batch) override
    {
        std::string made_of;
        for (const auto& each : batch)
            made_of += std::holds_alternative<pawl::transition>(each)    ? "transition "
                       : std::holds_alternative<pawl::publication>(each) ? "publication "
                                                                         : "other ";
        batches.push_back(made_of);
        auto results = co_await inner().apply(batch);
        co_return results;
    }

    std::vector<std::string> batches;
};

} // namespace

BOOST_AUTO_TEST_CASE(a_callback_that_fails_is_repeated_until_it_succeeds)
{
    world w;
    script plan{.failures = 2};
    auto client = w.start(adding(plan).build());
    const auto run = trigger(w, client);
    std::optional<pawl::error_code> told;
    client.async_call(run, "add", 5, {},
                      [&](pawl::error_code code, const pawl::settlement&) { told = code; });
    w.settle();
    w.advance(1min - 1us);
    BOOST_TEST(plan.calls.size() == 1u);
    BOOST_TEST(w.state_of(client, run).last_error == "the service is away");
    w.advance(1us);
    BOOST_TEST(plan.calls.size() == 2u);
    BOOST_TEST(!told.has_value()); // only of the final outcome
    w.advance(1min);
    const std::vector<std::string> calls{"add 5 attempt 1", "add 5 attempt 2", "add 5 attempt 3"};
    BOOST_TEST(plan.calls == calls, boost::test_tools::per_element());
    BOOST_REQUIRE(told.has_value());
    BOOST_TEST(!*told);
    BOOST_TEST(w.state_of(client, run).object.value == 5);
    BOOST_TEST(w.state_of(client, run).last_error == "");
    BOOST_TEST(letters(w).empty());
}

BOOST_AUTO_TEST_CASE(the_policy_is_the_workflows_unless_the_callback_has_its_own)
{
    world w;
    script plan{.failures = 100};
    lamp_builder b{"lamps"};
    b.callback<red>("add", [&plan](lamp_run& run, int value) { return add(run, value, &plan); });
    b.start<red>();
    b.end<off>();
    b.defaults({.retry = {.initial = 1s, .multiplier = 1, .jitter = 0, .max_attempts = 2}});
    auto client = w.start(std::move(b).build());
    deliver(w, client, trigger(w, client), 1);
    for (int i = 0; i < 10; ++i)
        w.advance(1s);
    BOOST_TEST(plan.calls.size() == 2u);
}

BOOST_AUTO_TEST_CASE(callbacks_behind_one_that_failed_wait_and_keep_their_order)
{
    world w;
    script plan{.failures = 1};
    auto client = w.start(adding(plan).build());
    const auto run = trigger(w, client);
    deliver(w, client, run, 1);
    deliver(w, client, run, 2);
    deliver(w, client, run, 0);
    BOOST_TEST(plan.calls.size() == 1u);
    w.advance(1min);
    const std::vector<std::string> calls{"add 1 attempt 1", "add 1 attempt 2", "add 2 attempt 1",
                                         "add 0 attempt 1"};
    BOOST_TEST(plan.calls == calls, boost::test_tools::per_element());
    BOOST_TEST(w.state_of(client, run).object.value == 3);
}

BOOST_AUTO_TEST_CASE(commands_deadlines_and_the_step_do_not_wait_for_a_callbacks_next_attempt)
{
    world w;
    script plan{.failures = 1'000};
    int steps = 0;
    auto b = adding(plan, {.initial = 1h, .multiplier = 1, .jitter = 0, .max_attempts = 0});
    b.step<red>([&steps](lamp_run&) -> pawl::step<off> {
        ++steps;
        co_return pawl::repeat_after(10min);
    });
    b.timeout<red>(30min, [](lamp_run&) -> pawl::step<broken> { co_return pawl::to<broken>; });
    b.end<broken>();
    auto client = w.start(std::move(b).build());
    const auto run = trigger(w, client);
    deliver(w, client, run, 1);
    BOOST_TEST(plan.calls.size() == 1u);
    w.advance(10min);
    BOOST_TEST(steps == 2);
    w.wait_for(client.async_pause(run, "hold on"));
    w.wait_for(client.async_resume(run));
    w.advance(20min);
    BOOST_TEST(w.state_of(client, run).status == broken);
    BOOST_TEST(plan.calls.size() == 1u);
}

BOOST_AUTO_TEST_CASE(attempts_of_a_callback_survive_a_restart)
{
    world w;
    script plan{.failures = 100};
    auto client = w.start(adding(plan).build());
    const auto run = trigger(w, client);
    const auto sent = deliver(w, client, run, 1);
    for (int i = 0; i < 2; ++i) {
        w.stop();
        client = w.start(adding(plan).build());
        w.advance(59s);
        BOOST_TEST(plan.calls.size() == static_cast<std::size_t>(i) + 1);
        w.advance(1s);
    }
    const std::vector<std::string> calls{"add 1 attempt 1", "add 1 attempt 2", "add 1 attempt 3"};
    BOOST_TEST(plan.calls == calls, boost::test_tools::per_element());
    BOOST_TEST((w.wait_for(w.store->outcome(run, sent.sequence))->outcome ==
                pawl::message_outcome::failed));
}

BOOST_AUTO_TEST_CASE(a_callback_whose_attempts_run_out_is_a_dead_letter_and_leaves_its_run_alone)
{
    world w;
    script plan{.failures = 3};
    auto client = w.start(adding(plan).build());
    const auto run = trigger(w, client);
    const auto sent = deliver(w, client, run, 7, "receipt");
    deliver(w, client, run, 1);
    w.advance(1min);
    BOOST_TEST(letters(w).empty());
    w.advance(1min);
    const auto settled = w.wait_for(w.store->outcome(run, sent.sequence));
    BOOST_TEST(settled->outcome == pawl::message_outcome::failed);
    BOOST_TEST(settled->detail == "the service is away");
    const auto dead = letters(w);
    BOOST_REQUIRE(dead.size() == 1u);
    BOOST_TEST(dead[0].payload == "7");
    BOOST_TEST(dead[0].key == "a");
    BOOST_TEST(dead[0].type == "callback");
    BOOST_TEST(dead[0].headers.at("callback") == "add");
    BOOST_TEST(dead[0].headers.at("run_id") == to_string(run));
    BOOST_TEST(dead[0].headers.at("idempotency_key") == "receipt");
    BOOST_TEST(dead[0].headers.at("attempts") == "3");
    BOOST_TEST(dead[0].headers.at("error") == "the service is away");
    // The one behind it has been handled.
    const auto now = w.state_of(client, run);
    BOOST_TEST(now.object.value == 1);
    BOOST_TEST(now.state == pawl::run_state::running);
}

BOOST_AUTO_TEST_CASE(a_key_whose_callback_failed_may_be_used_again)
{
    world w;
    script plan{.failures = 1};
    auto client = w.start(adding(plan, {.max_attempts = 1}).build());
    const auto run = trigger(w, client);
    BOOST_TEST((w.error_of(client.async_call(run, "add", 4, {.idempotency_key = "receipt"})) ==
                pawl::errc::callback_failed));
    for (int i = 0; i < 2; ++i) {
        const auto settled =
            w.wait_for(client.async_call(run, "add", 4, {.idempotency_key = "receipt"}));
        BOOST_TEST(settled.outcome == pawl::message_outcome::handled);
    }
    BOOST_TEST(w.state_of(client, run).object.value == 4); // once
}

BOOST_AUTO_TEST_CASE(the_dead_letter_is_stored_in_the_transaction_that_settles_the_message)
{
    world w;
    const auto store = std::make_shared<noting_store>(std::make_shared<faulty_store>(w.store));
    w.store = store;
    script plan{.failures = 1};
    auto client = w.start(adding(plan, {.max_attempts = 1}).build());
    const auto run = trigger(w, client);
    deliver(w, client, run, 7);
    BOOST_TEST(letters(w).size() == 1u);
    BOOST_TEST(store->batches.back() == "transition publication ");
}

BOOST_AUTO_TEST_CASE(an_error_that_is_permanent_is_not_repeated_by_a_callback)
{
    for (const bool throws : {false, true})
        BOOST_TEST_CONTEXT((throws ? "a predicate that throws" : "a predicate that says so"))
        {
            world w;
            script plan{.failures = 100};
            auto policy = each_minute;
            policy.permanent = [throws](const std::exception_ptr&) -> bool {
                return throws ? throw std::logic_error("odd") : true;
            };
            auto client = w.start(adding(plan, policy).build());
            deliver(w, client, trigger(w, client), 7);
            for (int i = 0; i < 5; ++i)
                w.advance(1min);
            BOOST_TEST(plan.calls.size() == (throws ? 3u : 1u));
            BOOST_TEST(letters(w).size() == 1u);
        }
}

BOOST_AUTO_TEST_CASE(a_callback_that_hangs_is_cancelled_at_its_limit_and_repeated)
{
    world w;
    int calls = 0;
    lamp_builder b{"lamps"};
    b.callback<red>("hang",
                    [&calls, clock = w.clock.get()](lamp_run&) -> pawl::step<off> {
                        if (++calls == 1)
                            co_await wait_on(*clock, 1000h);
                        co_return pawl::to<off>;
                    })
        .retry(each_minute)
        .attempt_timeout(10s);
    b.start<red>();
    b.end<off>();
    auto client = w.start(std::move(b).build());
    const auto run = trigger(w, client);
    w.wait_for(client.async_send(run, "hang", pawl::bytes{}));
    w.settle();
    w.advance(10s);
    BOOST_TEST(w.state_of(client, run).last_error == "the attempt took longer than its limit");
    w.advance(1min);
    BOOST_TEST(calls == 2);
    BOOST_TEST(w.state_of(client, run).status == off);
}

BOOST_AUTO_TEST_CASE(used_up_attempts_of_a_callback_may_move_the_run)
{
    world w;
    lamp_builder b{"lamps"};
    b.callback<red>("add",
                    [](lamp_run&, int) -> pawl::step<off> {
                        throw std::runtime_error("no");
                        co_return pawl::to<off>;
                    })
        .retry({.max_attempts = 1})
        .on_exhausted<broken>();
    b.start<red>();
    b.end<off, broken>();
    auto client = w.start(std::move(b).build());
    const auto run = trigger(w, client);
    const auto sent = deliver(w, client, run, 1);
    BOOST_TEST(w.state_of(client, run).status == broken);
    BOOST_TEST(w.state_of(client, run).last_error == "no");
    BOOST_TEST((w.wait_for(w.store->outcome(run, sent.sequence))->outcome ==
                pawl::message_outcome::failed));
    BOOST_TEST(letters(w).size() == 1u);
}

BOOST_AUTO_TEST_CASE(dead_letters_of_callbacks_are_delivered_again_when_it_is_asked_for)
{
    world w;
    script plan{.failures = 2};
    auto client = w.start(adding(plan, {.max_attempts = 1}).build());
    const auto run = trigger(w, client);
    deliver(w, client, run, 4);
    deliver(w, client, run, 2, "receipt");
    BOOST_TEST(letters(w).size() == 2u);
    // The sender of the second one has sent it again before.
    deliver(w, client, run, 2, "receipt");
    const auto topic = pawl::callback_dead_letter_topic("lamps");
    const auto done = w.wait_for(w.engine->async_redrive(topic));
    w.settle();
    BOOST_TEST(done.succeeded == 2u);
    BOOST_TEST(done.failed == 0u);
    BOOST_TEST(w.state_of(client, run).object.value == 6);
    BOOST_TEST(letters(w).empty());
    BOOST_TEST((w.error_of(w.engine->async_redrive("pawl.dead-letter/callbacks/others")) ==
                pawl::errc::invalid_argument));
}

BOOST_AUTO_TEST_CASE(a_dead_letter_of_a_run_that_has_finished_stays_one)
{
    world w;
    script plan{.failures = 1};
    auto client = w.start(adding(plan, {.max_attempts = 1}).build());
    const auto run = trigger(w, client);
    deliver(w, client, run, 4);
    deliver(w, client, run, 0);
    const auto done =
        w.wait_for(w.engine->async_redrive(pawl::callback_dead_letter_topic("lamps")));
    BOOST_TEST(done.failed == 1u);
    const auto left = letters(w);
    BOOST_REQUIRE(left.size() == 1u);
    BOOST_TEST(left[0].headers.at("error").find("finished") != std::string::npos);
    BOOST_TEST(left[0].payload == "4");
}

BOOST_AUTO_TEST_SUITE_END()
