#pragma once

#include "pawl/definition.hpp"
#include "pawl/message.hpp"
#include "pawl/record.hpp"

#include <algorithm>

namespace pawl::core {

/// Handlers may run.
inline bool is_active(run_state state) noexcept
{
    return state == run_state::initiated || state == run_state::running;
}

/// Commands are taken at any time, if only to be refused; a callback by the statuses that declare
/// it. `rules` are those of the run's status, or null.
inline bool can_take(const record& run, const status_rules* rules, const message& waiting)
{
    if (waiting.kind != message_kind::callback)
        return true;
    return is_active(run.state) && rules &&
           std::ranges::find(rules->callbacks, waiting.name) != rules->callbacks.end();
}

/// A callback that no status of the workflow declares.
inline bool is_unknown(const definition& workflow, const message& waiting)
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

} // namespace pawl::core
