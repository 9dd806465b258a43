// A small workflow, and records of it, for the tests of the pure core.
#pragma once

#include "core/decide.hpp"

#include <boost/test/unit_test.hpp>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace decide_test {

using namespace std::chrono_literals;
using namespace pawl::core;
using pawl::detail::next_kind;
using pawl::detail::next_value;

// The statuses. Orders are created, wait for their payment, and are shipped an hour after it.
inline constexpr int created = 1;
inline constexpr int waiting = 2;
inline constexpr int shipping = 3;
inline constexpr int repairing = 4; ///< where shipping goes when its attempts have run out
inline constexpr int done = 9;
inline constexpr int unknown = 77;

inline const pawl::time_point t0 =
    std::chrono::sys_days{std::chrono::year{2024} / 3 / 1} + std::chrono::hours{12};

inline pawl::definition orders()
{
    using enum pawl::edge_cause;
    pawl::definition rules;
    rules.name = "orders";
    rules.default_start = created;
    rules.resume_after = 1h;
    rules.max_auto_resumes = 2;
    const pawl::retry_policy three{
        .initial = 1s, .multiplier = 2, .max_interval = 10s, .jitter = 0, .max_attempts = 3};
    rules.statuses.resize(5);
    auto& first = rules.statuses[0];
    first.id = created;
    first.label = "Created";
    first.start = true;
    first.step.emplace().retry = three;
    first.edges = {
        {waiting, step, {}}, {shipping, step, {}}, {done, step, {}}, {created, step, {}}};
    auto& second = rules.statuses[1];
    second.id = waiting;
    second.label = "Waiting";
    second.callbacks = {"paid", "note"};
    second.timeouts.resize(2);
    second.timeouts[0].name = "timeout";
    second.timeouts[0].retry = three;
    second.timeouts[1].name = "timeout-2";
    second.timeouts[1].retry = {.initial = 5s, .multiplier = 1, .jitter = 0, .max_attempts = 0};
    second.edges = {{shipping, callback, "paid"}, {created, timeout, {}}};
    auto& third = rules.statuses[2];
    third.id = shipping;
    third.label = "Shipping";
    third.step.emplace().retry = three;
    third.step->start_delay = 1h;
    third.step->exhausted = repairing;
    third.edges = {{done, step, {}}, {repairing, step, {}}};
    auto& fourth = rules.statuses[3];
    fourth.id = repairing;
    fourth.label = "Repairing";
    fourth.step.emplace().retry = {.max_attempts = 0};
    fourth.edges = {{done, step, {}}};
    auto& last = rules.statuses[4];
    last.id = done;
    last.label = "Done";
    last.end = true;
    return rules;
}

/// The deadlines of a visit: two in waiting, after one and two hours.
inline arm_deadlines arm_at(pawl::time_point now)
{
    return [now](int status) -> std::vector<pawl::deadline> {
        if (status != waiting)
            return {};
        return {{"timeout", now + 1h, 0}, {"timeout-2", now + 2h, 0}};
    };
}

/// A run that entered `status` at t0 and has nothing behind it.
inline pawl::record run_in(int status, pawl::run_state state = pawl::run_state::running)
{
    pawl::record run;
    for (std::uint8_t i = 0; i < 16; ++i)
        run.id.bytes[i] = i;
    run.workflow = "orders";
    run.foreign_id = "order-1";
    run.version = 7;
    run.state = state;
    run.status = status;
    run.visit = 3;
    run.entered_at = t0;
    run.object = "old";
    run.created_at = t0 - 1h;
    run.updated_at = t0;
    if (status == waiting && !is_finished(state))
        run.deadlines = arm_at(t0)(waiting);
    if (state == pawl::run_state::paused)
        run.pause = pawl::pause_kind::by_request;
    return run;
}

inline handler_returned returned(next_kind kind, source by = from_step{}, int status = 0)
{
    next_value value{kind, status, {}, "because"};
    return {by, std::move(value), "new"};
}

inline handler_returned moves_to(int status, source by = from_step{})
{
    return returned(next_kind::move, by, status);
}

inline handler_returned repeats_after(pawl::duration delay, source by = from_step{})
{
    auto made = returned(next_kind::repeat, by);
    made.value.delay = delay;
    return made;
}

inline std::optional<pawl::transition> decided(const pawl::record& run, stimulus event,
                                               pawl::time_point now = t0 + 1min,
                                               inbox_view inbox = {})
{
    static const auto rules = orders();
    return decide(run, rules, std::move(event), now, arm_at(now), inbox);
}

/// The record after a stimulus that must apply.
inline pawl::record after(const pawl::record& run, stimulus event, pawl::time_point now = t0 + 1min,
                          inbox_view inbox = {})
{
    auto change = decided(run, std::move(event), now, inbox);
    BOOST_REQUIRE(change.has_value());
    return std::move(change->next);
}

inline pawl::message message_of(std::uint64_t sequence, pawl::message_kind kind,
                                std::string name = {},
                                std::optional<pawl::time_point> expires_at = {})
{
    pawl::message made;
    made.sequence = sequence;
    made.kind = kind;
    made.name = std::move(name);
    made.sent_at = t0;
    made.expires_at = expires_at;
    return made;
}

inline pawl::message callback_of(std::uint64_t sequence, std::string name,
                                 std::optional<pawl::time_point> expires_at = {})
{
    return message_of(sequence, pawl::message_kind::callback, std::move(name), expires_at);
}

} // namespace decide_test
