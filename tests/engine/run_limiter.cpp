// Permits of limits and the runs that wait for them, without an engine, on time that the test
// moves.
#include "engine/run/run_limiter.hpp"

#include "core/token_bucket.hpp"
#include "pawl/error.hpp"
#include "pawl/testing/manual_clock.hpp"

#include <boost/test/unit_test.hpp>

#include <map>
#include <optional>
#include <string>
#include <vector>

BOOST_AUTO_TEST_SUITE(run_limiter)

namespace {

using namespace std::chrono_literals;
using pawl::engine_detail::lane_key;
using pawl::engine_detail::limited_step;
using pawl::engine_detail::step_permit;

pawl::due_position position(int at)
{
    pawl::run_id id;
    id.bytes[14] = static_cast<std::uint8_t>(at / 256);
    id.bytes[15] = static_cast<std::uint8_t>(at % 256);
    return {pawl::time_point{pawl::duration{at}}, id};
}

/// The number that position() was given.
int number_of(const pawl::due_position& of)
{
    return static_cast<int>(of.at.time_since_epoch().count());
}

lane_key key_of(std::vector<std::string> keys)
{
    lane_key key;
    for (auto& text : keys)
        key.limits.emplace_back(std::move(text));
    return key;
}

lane_key turn_of(std::string text)
{
    lane_key key;
    key.limits.emplace_back(std::string{});
    key.turn = std::move(text);
    return key;
}

/// A limiter whose steps have the limits that a test names.
struct fixture {
    pawl::testing::manual_clock clock;
    pawl::engine_detail::run_limiter limiter{clock};
    pawl::detail::workflow_impl workflow;
    int steps = 0;

    limited_step& add_step(std::vector<pawl::step_limit> limits, std::size_t max_waiting = 1000,
                           std::size_t max_concurrency = 0, bool takes_turns = false)
    {
        pawl::status_rules status;
        status.id = ++steps;
        status.step.emplace();
        status.step->limits = std::move(limits);
        status.step->max_concurrency = max_concurrency;
        status.step->takes_turns = takes_turns;
        workflow.rules.name = "orders";
        workflow.handlers[status.id];
        return *limiter.add_step(workflow, status, max_waiting, max_waiting);
    }

    /// Begins what can begin; the permits are kept in `running`.
    std::vector<int> begin()
    {
        std::vector<int> begun;
        while (auto granted = limiter.next_grant()) {
            begun.push_back(number_of(granted->position));
            granted->permit.used = true;
            running.emplace(begun.back(), std::move(granted->permit));
        }
        return begun;
    }

    /// True if the run begins at once.
    bool ask(limited_step& step, int run, const lane_key& key = {}, std::uint32_t shard = 0)
    {
        auto permit = limiter.acquire_or_wait(step, key, shard, position(run));
        if (!permit)
            return false;
        permit->used = true;
        running.emplace(run, std::move(*permit));
        return true;
    }

    /// The attempt of the run ends. Returns the runs that begin.
    std::vector<int> end(int run, bool used = true)
    {
        auto permit = std::move(running.at(run));
        running.erase(run);
        permit.used = used;
        limiter.release(std::move(permit));
        return begin();
    }

    std::map<int, step_permit> running;
};

using runs = std::vector<int>;

} // namespace

#define CHECK_RUNS(actual, ...)                                                                    \
    do {                                                                                           \
        const auto found = actual;                                                                 \
        const runs wanted{__VA_ARGS__};                                                            \
        BOOST_TEST(found == wanted, boost::test_tools::per_element());                             \
    } while (false)

BOOST_FIXTURE_TEST_CASE(a_line_is_in_due_order_and_refilled_where_it_stopped, fixture)
{
    auto& step = add_step({}, 2, 1);
    BOOST_TEST(ask(step, 1));
    for (const int run : {4, 3, 2, 5}) // two find room, the earliest
        BOOST_TEST(!ask(step, run));
    CHECK_RUNS(end(1), 2);
    const auto from = limiter.refill_from(step);
    BOOST_REQUIRE(from.has_value());
    BOOST_TEST(number_of(from->from.at(0).first) == 4);
    BOOST_TEST(from->free == 1u);
    using enum pawl::engine_detail::run_limiter::refill_result;
    step_permit permit;
    BOOST_TEST((limiter.refill(step, {}, 0, position(4), permit) == queued));
    BOOST_TEST((limiter.refill(step, {}, 0, position(5), permit) == full));
    BOOST_TEST(!ask(step, 6)); // during the read
    limiter.end_refill(step, {{0, position(5)}});
    CHECK_RUNS(end(2), 3);
    BOOST_TEST(number_of(limiter.refill_from(step)->from.at(0).first) == 5);
    BOOST_TEST((limiter.refill(step, {}, 0, position(5), permit) == queued));
    limiter.end_refill(step, {{0, std::nullopt}});
    BOOST_TEST(!limiter.refill_from(step).has_value());
    CHECK_RUNS(end(3), 4);
    CHECK_RUNS(end(4), 5);
    CHECK_RUNS(end(5));
    BOOST_TEST(limiter.try_acquire(step, {}).has_value());
    BOOST_TEST(!limiter.try_acquire(step, {}).has_value());
}

BOOST_FIXTURE_TEST_CASE(no_run_waits_for_a_slot_while_one_is_free, fixture)
{
    auto& step = add_step({}, 2, 1);
    BOOST_TEST(ask(step, 1));
    for (const int run : {3, 4, 5})
        BOOST_TEST(!ask(step, run));
    CHECK_RUNS(end(1), 3);
    CHECK_RUNS(end(3), 4);
    CHECK_RUNS(end(4)); // the run at 5 has not been read yet
    BOOST_TEST(!limiter.wait_for_permit(step, {}, 0, position(2)));
    BOOST_TEST(ask(step, 2));
    BOOST_TEST(limiter.wait_for_permit(step, {}, 0, position(1)));
    BOOST_TEST(number_of(limiter.refill_from(step)->from.at(0).first) == 5);
    limiter.end_refill(step, {{0, std::nullopt}}); // it is gone
    CHECK_RUNS(end(2), 1);
}

BOOST_FIXTURE_TEST_CASE(attempts_begin_at_the_rate_after_the_burst, fixture)
{
    auto& step = add_step({{"api", {.rate = 10, .burst = 3}}});
    for (const int run : {1, 2, 3})
        BOOST_TEST(ask(step, run));
    for (const int run : {4, 5, 6})
        BOOST_TEST(!ask(step, run));
    CHECK_RUNS(end(1)); // the end of an attempt returns no token
    BOOST_REQUIRE(limiter.next_wake().has_value());
    BOOST_TEST((*limiter.next_wake() - clock.steady()).count() == 100'000);
    clock.advance(99ms);
    CHECK_RUNS(begin());
    clock.advance(1ms);
    CHECK_RUNS(begin(), 4);
    clock.advance(150ms);
    CHECK_RUNS(begin(), 5);
    clock.advance(50ms);
    CHECK_RUNS(begin(), 6);
    clock.advance(1h);
    BOOST_TEST(!limiter.next_wake().has_value());
    for (const int run : {7, 8, 9})
        BOOST_TEST(ask(step, run));
    BOOST_TEST(!ask(step, 10));
}

BOOST_FIXTURE_TEST_CASE(a_permit_that_no_attempt_used_costs_nothing, fixture)
{
    auto& step = add_step({{"api", {.rate = 1, .per = 1h, .concurrency = 1}}});
    BOOST_TEST(ask(step, 1));
    BOOST_TEST(!ask(step, 2));
    CHECK_RUNS(end(1, false), 2);
}

BOOST_FIXTURE_TEST_CASE(each_key_has_a_pool, fixture)
{
    auto& step = add_step({{"merchant", {.concurrency = 1}, true}});
    BOOST_TEST(ask(step, 1, key_of({"a"})));
    BOOST_TEST(!ask(step, 2, key_of({"a"})));
    BOOST_TEST(ask(step, 3, key_of({"b"})));
    lane_key none;
    none.limits.resize(1);
    for (const int run : {4, 5}) // the limit does not apply
        BOOST_TEST(ask(step, run, none));
    CHECK_RUNS(end(3));
    CHECK_RUNS(end(1), 2);
}

BOOST_FIXTURE_TEST_CASE(several_limits_are_taken_all_or_none, fixture)
{
    auto& both = add_step({{"a", {.concurrency = 1}}, {"b", {.concurrency = 1}}});
    auto& only_a = add_step({{"a", {.concurrency = 1}}});
    auto& only_b = add_step({{"b", {.concurrency = 1}}});
    BOOST_TEST(ask(only_b, 1));
    BOOST_TEST(!ask(both, 2));
    BOOST_TEST(ask(only_a, 3)); // the waiting run keeps nothing
    CHECK_RUNS(end(1));
    CHECK_RUNS(end(3), 2);
    BOOST_TEST(!ask(only_a, 4));
    BOOST_TEST(!ask(only_b, 5));
    CHECK_RUNS(end(2), 4, 5);
}

BOOST_FIXTURE_TEST_CASE(a_run_with_two_limits_is_not_starved_by_runs_with_one, fixture)
{
    auto& both = add_step({{"a", {.concurrency = 1}}, {"b", {.concurrency = 1}}});
    auto& only_a = add_step({{"a", {.concurrency = 1}}});
    auto& only_b = add_step({{"b", {.concurrency = 1}}});
    BOOST_TEST(ask(only_a, 2));
    BOOST_TEST(ask(only_b, 3));
    BOOST_TEST(!ask(both, 1));
    for (int run = 4; run < 100; ++run)
        BOOST_TEST(!ask(run % 2 == 0 ? only_a : only_b, run));
    // Never are both free at a time.
    int rounds = 0;
    while (!running.contains(1) && rounds < 40) {
        end(running.begin()->first);
        ++rounds;
    }
    BOOST_TEST(running.contains(1));
    BOOST_TEST(rounds < 20);
    end(1);
    BOOST_TEST(running.size() == 2u); // both limits are in use again
}

BOOST_FIXTURE_TEST_CASE(two_runs_with_two_limits_do_not_wait_for_each_other, fixture)
{
    auto& forth = add_step({{"a", {.concurrency = 1}}, {"b", {.concurrency = 1}}});
    auto& back = add_step({{"b", {.concurrency = 1}}, {"a", {.concurrency = 1}}});
    auto& only_a = add_step({{"a", {.concurrency = 1}}});
    auto& only_b = add_step({{"b", {.concurrency = 1}}});
    BOOST_TEST(ask(only_a, 3));
    BOOST_TEST(ask(only_b, 4));
    BOOST_TEST(!ask(forth, 1));
    BOOST_TEST(!ask(back, 2));
    for (int run = 5; run < 60; ++run)
        BOOST_TEST(!ask(run % 2 == 1 ? only_a : only_b, run));
    std::size_t begun = 2;
    while (!running.empty()) {
        end(running.begin()->first);
        begun += 1;
        BOOST_REQUIRE(begun < 100u);
    }
    BOOST_TEST(begun == 2u + 59u); // each attempt has ended once
}

BOOST_FIXTURE_TEST_CASE(keys_take_turns_whatever_their_backlog, fixture)
{
    auto& step = add_step({{"api", {.concurrency = 1}}}, 1000, 0, true);
    BOOST_TEST(ask(step, 1, turn_of("big")));
    for (int run = 2; run < 500; ++run)
        BOOST_TEST(!ask(step, run, turn_of("big")));
    for (const int run : {501, 502, 503})
        BOOST_TEST(!ask(step, run, turn_of("small")));
    runs order;
    for (int i = 0; i < 7; ++i) {
        const auto begun = end(running.begin()->first);
        order.insert(order.end(), begun.begin(), begun.end());
    }
    CHECK_RUNS(order, 2, 501, 3, 502, 4, 503, 5);
}

BOOST_FIXTURE_TEST_CASE(a_full_line_turns_away_runs_of_the_longest_lane, fixture)
{
    auto& step = add_step({{"merchant", {.concurrency = 1}, true}}, 16);
    BOOST_TEST(ask(step, 1, key_of({"big"})));
    for (int run = 2; run < 60; ++run)
        BOOST_TEST(!ask(step, run, key_of({"big"})));
    BOOST_TEST(ask(step, 60, key_of({"small"})));
    BOOST_TEST(!ask(step, 61, key_of({"small"})));
    CHECK_RUNS(end(60), 61);
    BOOST_TEST(limiter.list().front().more_wait);
}

BOOST_FIXTURE_TEST_CASE(a_lost_shard_leaves_the_line, fixture)
{
    auto& step = add_step({{"api", {.concurrency = 1}}});
    BOOST_TEST(ask(step, 1));
    BOOST_TEST(!ask(step, 2, {}, 7));
    BOOST_TEST(!ask(step, 3));
    limiter.forget_shard(7);
    CHECK_RUNS(end(1), 3);
}

BOOST_FIXTURE_TEST_CASE(what_a_run_waits_for_is_told, fixture)
{
    auto& step = add_step({{"api", {.concurrency = 9}}, {"merchant", {.concurrency = 1}, true}});
    const auto key = key_of({"", "m-9"});
    for (int run = 1; run < 44; ++run)
        ask(step, run, key);
    const auto wait = limiter.explain(position(43).id);
    BOOST_REQUIRE(wait.has_value());
    BOOST_TEST(to_string(*wait) == "merchant (m-9): 41 before it");
    BOOST_TEST(!limiter.explain(position(1).id).has_value());
    const auto all = limiter.list();
    BOOST_REQUIRE(all.size() == 2u);
    BOOST_TEST(all[0].name == "api");
    BOOST_TEST(all[0].running == 1u);
    BOOST_TEST(all[0].waiting == 0u);
    BOOST_TEST(all[1].waiting == 42u);
    BOOST_TEST(all[1].pools.front().key == "m-9");
}

BOOST_FIXTURE_TEST_CASE(a_limit_of_one_name_has_one_set_of_numbers, fixture)
{
    add_step({{"api", {.concurrency = 9}}});
    BOOST_CHECK_EXCEPTION(add_step({{"api", {.concurrency = 8}}}), pawl::definition_error,
                          [](const pawl::definition_error& e) {
                              const std::string text = e.what();
                              BOOST_TEST(text.find("\"api\" has other numbers") != text.npos);
                              return true;
                          });
}

BOOST_AUTO_TEST_CASE(idle_keys_make_room_for_further_keys)
{
    pawl::engine_detail::limit_registry registry;
    auto& limit = registry.add({"mails", {.rate = 1, .per = 24h}, true}, "");
    for (std::size_t i = 0; i < pawl::max_limit_keys; ++i) {
        auto& pool = registry.pool_of(limit, std::to_string(i), 0s);
        pool.take(0s);
        pool.release(false, 0s);
    }
    BOOST_TEST(registry.pool_of(limit, "one more", 1s).key == "(further keys)");
    BOOST_TEST(registry.pool_of(limit, "one more", 25h).key == "one more");
    BOOST_TEST(limit.pools.size() == 1u);
}

BOOST_AUTO_TEST_CASE(a_bucket_keeps_its_tokens_when_its_rule_changes)
{
    pawl::core::token_bucket bucket{{1e-6, 5}, 0s};
    for (int i = 0; i < 5; ++i)
        bucket.take(0s);
    bucket.change_rule({2e-6, 2}, 1s);
    BOOST_TEST(bucket.has_token(1s));
    bucket.take(1s);
    BOOST_TEST(!bucket.has_token(1s));
    BOOST_TEST(bucket.next_token(1s).value().count() == 1'500'000);
    BOOST_TEST(bucket.next_token(0s).value().count() >= 500'000); // a clock that went back
    bucket.change_rule({0, 1}, 2s);
    BOOST_TEST(!bucket.next_token(2s).has_value());
}

#undef CHECK_RUNS

BOOST_AUTO_TEST_SUITE_END()
