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

} // namespace pawl::core
