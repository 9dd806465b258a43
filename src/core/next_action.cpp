#include "core/decide.hpp"

#include <algorithm>

namespace pawl::core {

bool is_active(run_state state) noexcept
{
    return state == run_state::initiated || state == run_state::running;
}

bool can_take(const record& run, const status_rules* rules, const message& waiting)
{
    if (waiting.kind != message_kind::callback)
        return true;
    return is_active(run.state) && rules &&
           std::ranges::find(rules->callbacks, waiting.name) != rules->callbacks.end();
}

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
    if (!active || !rules)
        return {};
    const auto first = std::ranges::min_element(current.deadlines, {}, &deadline::at);
    if (first != current.deadlines.end() && first->at <= now)
        return {need::timeout, first->timeout};
    if (rules->step && !current.step_done && (!current.not_before || *current.not_before <= now))
        return {need::step};
    return {};
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
    }
    // A run that stays runnable keeps its place in the order of due runs, and its store keeps the
    // index as it is.
    if (earliest && *earliest <= now && current.wake_at && *current.wake_at <= now)
        return current.wake_at;
    return earliest;
}

} // namespace pawl::core
