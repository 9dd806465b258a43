#pragma once

#include "pawl/definition.hpp"
#include "pawl/message.hpp"
#include "pawl/record.hpp"

#include <algorithm>
#include <optional>

namespace pawl::core {

/// Handlers may run.
inline bool is_active(run_state state) noexcept
{
    return state == run_state::initiated || state == run_state::running;
}

/// Commands are taken at any time, if only to be refused; a callback by the statuses that declare
/// it. `rules` are those of the run's status, or null.
inline bool accepts_message(const record& run, const status_rules* rules, const message& waiting)
{
    if (waiting.kind != message_kind::callback)
        return true;
    return is_active(run.state) && rules &&
           std::ranges::find(rules->callbacks, waiting.name) != rules->callbacks.end();
}

/// Commands that interrupt a handler. A run whose handler runs refuses the others.
inline bool interrupts_handler(message_kind kind)
{
    return kind == message_kind::pause || kind == message_kind::cancel;
}

/// A callback that no status of the workflow declares.
inline bool is_undeclared_callback(const definition& workflow, const message& waiting)
{
    return waiting.kind == message_kind::callback &&
           std::ranges::none_of(workflow.statuses, [&](const status_rules& status) {
               return std::ranges::find(status.callbacks, waiting.name) != status.callbacks.end();
           });
}

/// A timeout's handler has failed and is about to be repeated: until it has succeeded, or a resume
/// has begun its attempts again, the step that it interrupted does not run. A deadline that is kept
/// for a newer program holds up nothing here.
inline bool timeout_is_failing(const record& run, const status_rules& rules)
{
    return std::ranges::any_of(run.deadlines, [&](const deadline& armed) {
        return armed.attempt > 0 && rules.find_timeout(armed.timeout);
    });
}

/// The step has something to do in this visit, now or at record::not_before.
inline bool step_is_pending(const record& run, const status_rules* rules)
{
    return is_active(run.state) && rules && rules->step && !run.step_done &&
           !timeout_is_failing(run, *rules);
}

/// The step of this visit is still to run, and the program has none for the status: it is a newer
/// program's, where there has been one.
inline bool step_needs_newer_program(const record& run, const status_rules& rules, bool outdated)
{
    return outdated && is_active(run.state) && !rules.step && !run.step_done &&
           !timeout_is_failing(run, rules);
}

/// When a run takes the messages of its inbox, asked for in their order: a callback that waits for
/// its next attempt holds up the callbacks behind it.
class inbox_order {
public:
    /// @param rules those of the run's status, or null.
    inbox_order(const record& run, const status_rules* rules) : run_(run), rules_(rules) {}

    /// time_point::min(): at any time; empty: not in the run's present state and status.
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
