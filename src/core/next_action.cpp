#include "core/decide.hpp"
#include "core/message_acceptance.hpp"
#include "core/stable_hash.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace pawl::core {

namespace {

template <class Predicate>
std::optional<std::size_t> find_index(std::span<const message> inbox, Predicate predicate)
{
    const auto found = std::ranges::find_if(inbox, predicate);
    if (found == inbox.end())
        return std::nullopt;
    return static_cast<std::size_t>(found - inbox.begin());
}

} // namespace

action next_action(const record& current, const definition& workflow,
                   const waiting_messages& waiting, time_point now, int callbacks_in_a_row,
                   bool outdated)
{
    const auto inbox = waiting.all;
    // First, because the parent gets the object, which a command may delete.
    if (has_unreported_end(current))
        return {need::notify_parent};
    if (current.cancels_children)
        return {need::cancel_children};
    if (waiting.first_expiry && *waiting.first_expiry <= now) {
        const auto expired = find_index(
            inbox, [&](const message& m) { return m.expires_at && *m.expires_at <= now; });
        if (expired)
            return {need::expire_message, 0, *expired};
    }
    if (waiting.has_commands) {
        const auto command =
            find_index(inbox, [](const message& m) { return m.kind != message_kind::callback; });
        if (command)
            return {need::command, 0, *command};
    }
    if (current.state == run_state::requested_data_deleted)
        return {need::scrub};
    if (current.state == run_state::paused && current.resume_at && *current.resume_at <= now)
        return {need::resume};
    if (!is_active(current.state))
        return {};
    const auto* rules = workflow.find(current.status);
    if (!rules)
        return {need::newer_program};

    inbox_order order{current, rules};
    const auto callback = find_index(inbox, [&](const message& m) {
        const auto from = order.acceptable_from(m);
        return from && *from <= now;
    });
    const auto first = std::ranges::min_element(current.deadlines, {}, &deadline::at);
    const bool deadline_passed = first != current.deadlines.end() && first->at <= now;
    const auto timeout = deadline_passed ? rules->find_timeout(first->timeout) : std::nullopt;
    if (deadline_passed && !timeout)
        return {need::unknown_timeout, static_cast<int>(first - current.deadlines.begin())};
    const bool may_step = !current.not_before || *current.not_before <= now;
    const bool step_due = may_step && step_is_pending(current, rules);
    const bool callbacks_had_their_turn = callbacks_in_a_row >= max_callbacks_in_a_row;
    if (timeout && (!callback || callbacks_had_their_turn || first->at < inbox[*callback].sent_at))
        return {need::timeout, static_cast<int>(*timeout)};
    if (callback && !(step_due && callbacks_had_their_turn))
        return {need::callback, 0, *callback};
    if (step_due)
        return {need::step};
    if (may_step && step_needs_newer_program(current, *rules, outdated))
        return {need::newer_program};
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

std::uint64_t timeout_handler_number(std::string_view name) noexcept
{
    // Greater than the step's number, less than those of callbacks.
    return 1 + (fnv1a(name) & 0x7fff'ffff);
}

duration retry_delay(const retry_policy& policy, int failures, std::uint64_t entropy) noexcept
{
    assert(failures >= 1);
    const double initial = static_cast<double>(policy.initial.count());
    const double limit = std::max(initial, static_cast<double>(policy.max_interval.count()));
    const double grown =
        policy.multiplier <= 1 ? initial : initial * std::pow(policy.multiplier, failures - 1);
    const double fraction = static_cast<double>(entropy >> 11) * 0x1p-53;
    const double wait = std::min(grown, limit) * (1 + policy.jitter * fraction);
    return duration{static_cast<duration::rep>(std::min(wait, 9e15))};
}

std::optional<time_point> wake_time(const record& current, const definition& workflow,
                                    time_point now, std::optional<time_point> messages_due_at,
                                    bool outdated)
{
    std::optional<time_point> earliest = messages_due_at;
    const auto consider = [&](time_point time) {
        if (!earliest || time < *earliest)
            earliest = time;
    };
    if (current.state == run_state::requested_data_deleted || has_unreported_end(current) ||
        current.cancels_children)
        consider(now);
    if (current.state == run_state::paused && current.resume_at)
        consider(*current.resume_at);
    const auto* rules = workflow.find(current.status);
    if (is_active(current.state) && rules) {
        for (const auto& armed : current.deadlines)
            consider(armed.at);
        const bool kept = step_needs_newer_program(current, *rules, outdated);
        if (step_is_pending(current, rules) || kept)
            consider(current.not_before.value_or(now));
    } else if (is_active(current.state)) {
        // The status belongs to another program: the run stays due for that program.
        consider(current.wake_at.value_or(now));
    }
    // A run that stays runnable keeps its position among the due runs, which saves its store an
    // index update.
    if (earliest && *earliest <= now && current.wake_at && *current.wake_at <= now)
        return current.wake_at;
    return earliest;
}

} // namespace pawl::core
