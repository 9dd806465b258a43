#pragma once

#include "pawl/definition.hpp"
#include "pawl/message.hpp"
#include "pawl/record.hpp"

#include <algorithm>
#include <optional>

namespace pawl::core {

/// Whether handlers may run.
inline bool is_active(run_state state) noexcept
{
    return state == run_state::initiated || state == run_state::running;
}

/// Whether the parent of a finished child must be notified of its end.
inline bool has_unreported_end(const record& run) noexcept
{
    return is_finished(run.state) && run.parent && !run.parent->is_notified &&
           !run.parent->callback.empty();
}

/// A run accepts commands at any time, if only to reject them, and a callback in the statuses that
/// declare it. `rules` are those of the run's status, or null.
inline bool accepts_message(const record& run, const status_rules* rules, const message& waiting)
{
    if (waiting.kind != message_kind::callback)
        return true;
    return is_active(run.state) && rules &&
           std::ranges::find(rules->callbacks, waiting.name) != rules->callbacks.end();
}

/// Whether the command interrupts a handler. A run rejects other commands while a handler runs.
inline bool interrupts_handler(message_kind kind)
{
    return kind == message_kind::pause || kind == message_kind::cancel;
}

/// Whether the message is a callback that no status of the workflow declares.
inline bool is_undeclared_callback(const definition& workflow, const message& waiting)
{
    return waiting.kind == message_kind::callback &&
           std::ranges::none_of(workflow.statuses, [&](const status_rules& status) {
               return std::ranges::find(status.callbacks, waiting.name) != status.callbacks.end();
           });
}

/// Whether a timeout's handler waits for a retry. The interrupted step does not run until that
/// handler has succeeded or a resume has reset its attempts. A deadline that is kept for a newer
/// program does not count.
inline bool timeout_is_failing(const record& run, const status_rules& rules)
{
    return std::ranges::any_of(run.deadlines, [&](const deadline& armed) {
        return armed.attempt > 0 && rules.find_timeout(armed.timeout);
    });
}

/// Whether the step runs in this visit, now or at record::not_before.
inline bool step_is_pending(const record& run, const status_rules* rules)
{
    return is_active(run.state) && rules && rules->step && !run.step_done &&
           !timeout_is_failing(run, *rules);
}

/// Whether the step of this visit has not run and this program lacks it. The step then belongs to a
/// newer program, if one has used this store.
inline bool step_needs_newer_program(const record& run, const status_rules& rules, bool outdated)
{
    return outdated && is_active(run.state) && !rules.step && !run.step_done &&
           !timeout_is_failing(run, rules);
}

/// Computes when a run accepts each message of its inbox. To be called in the order of the
/// messages: a callback that waits for a retry blocks the callbacks after it.
class inbox_order {
public:
    /// @param rules of the run's status, or null.
    inbox_order(const record& run, const status_rules* rules) : run_(run), rules_(rules) {}

    /// time_point::min(): at any time; empty: never in the run's present state and status.
    std::optional<time_point> acceptable_from(const message& next)
    {
        if (!accepts_message(run_, rules_, next))
            return std::nullopt;
        if (next.kind != message_kind::callback)
            return time_point::min();
        const auto failed =
            std::ranges::find(run_.callback_retries, next.sequence, &callback_retry::message);
        if (failed != run_.callback_retries.end())
            callbacks_from_ = std::max(callbacks_from_, failed->not_before);
        return callbacks_from_;
    }

private:
    const record& run_;
    const status_rules* const rules_;
    time_point callbacks_from_ = time_point::min();
};

} // namespace pawl::core
