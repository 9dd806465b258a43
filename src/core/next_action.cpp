// What a run needs next, and when. decide.cpp has what came of it.
#include "core/decide.hpp"
#include "core/hash.hpp"
#include "core/planted.hpp"
#include "core/taking.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace pawl::core {

action next_action(const record& current, const definition& workflow,
                   std::span<const message> inbox, time_point now)
{
    const auto* rules = workflow.find(current.status);
    const bool active = is_active(current.state);
    for (std::size_t i = 0; i < inbox.size(); ++i) {
        const auto& waiting = inbox[i];
        if (waiting.expires_at && *waiting.expires_at <= now)
            return {need::expire_message, 0, i};
        if (can_take(current, rules, waiting))
            return {waiting.kind == message_kind::callback ? need::callback : need::command, 0, i};
    }
    if (current.state == run_state::requested_data_deleted)
        return {need::scrub};
    if (current.state == run_state::paused && current.resume_at && *current.resume_at <= now)
        return {need::resume};
    if (!active)
        return {};
    if (!rules)
        return {need::newer_program};
    const auto first = std::ranges::min_element(current.deadlines, {}, &deadline::at);
    const duration early = PAWL_PLANTED(timeout_early) ? duration{1'000'000} : duration{};
    if (first != current.deadlines.end() && first->at <= now + early) {
        if (const auto known = rules->find_timeout(first->timeout))
            return {need::timeout, static_cast<int>(*known)};
        return {need::unknown_timeout, static_cast<int>(first - current.deadlines.begin())};
    }
    if (rules->step && !current.step_done && (!current.not_before || *current.not_before <= now))
        return {need::step};
    return {};
}

std::optional<time_point> next_deadline(const record& current, const definition& workflow) noexcept
{
    std::optional<time_point> earliest;
    const auto* rules = workflow.find(current.status);
    for (const auto& armed : current.deadlines)
        if (rules && rules->find_timeout(armed.timeout) && (!earliest || armed.at < *earliest))
            earliest = armed.at;
    return earliest;
}

std::uint64_t number_of_timeout(std::string_view name) noexcept
{
    // Below those of callbacks, and above the step's.
    return 1 + (fnv1a(name) & 0x7fff'ffff);
}

duration back_off(const retry_policy& policy, int failures, std::uint64_t entropy) noexcept
{
    assert(failures >= 1);
    const double initial = static_cast<double>(policy.initial.count());
    const double limit = std::max(initial, static_cast<double>(policy.max_interval.count()));
    const double grown =
        policy.multiplier <= 1 ? initial : initial * std::pow(policy.multiplier, failures - 1);
    const double place = static_cast<double>(entropy >> 11) * 0x1p-53;
    const double wait = std::min(grown, limit) * (1 + policy.jitter * place);
    return duration{static_cast<duration::rep>(std::min(wait, 9e15))};
}

std::optional<time_point> wake_time(const record& current, const definition& workflow,
                                    time_point now, std::optional<time_point> mail)
{
    std::optional<time_point> earliest = is_finished(current.state) ? std::nullopt : mail;
    const auto consider = [&](time_point at) {
        if (!earliest || at < *earliest)
            earliest = at;
    };
    if (current.state == run_state::requested_data_deleted)
        consider(now);
    if (current.state == run_state::paused && current.resume_at)
        consider(*current.resume_at);
    const auto* rules = workflow.find(current.status);
    if (is_active(current.state) && rules) {
        for (const auto& armed : current.deadlines)
            consider(armed.at);
        if (rules->step && !current.step_done)
            consider(current.not_before.value_or(now));
    } else if (is_active(current.state)) {
        // A status of another program: the run is due for that program, as it was.
        consider(current.wake_at.value_or(now));
    }
    // A run that stays runnable keeps its place in the order of due runs, and its store keeps the
    // index as it is.
    if (earliest && *earliest <= now && current.wake_at && *current.wake_at <= now)
        return current.wake_at;
    return earliest;
}

} // namespace pawl::core
