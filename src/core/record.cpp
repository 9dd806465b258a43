#include "pawl/record.hpp"
#include "pawl/event.hpp"

#include <array>
#include <utility>

namespace pawl {

namespace {

constexpr std::array<std::pair<run_state, std::string_view>, 7> run_states{{
    {run_state::initiated, "Initiated"},
    {run_state::running, "Running"},
    {run_state::paused, "Paused"},
    {run_state::cancelled, "Cancelled"},
    {run_state::completed, "Completed"},
    {run_state::data_deleted, "DataDeleted"},
    {run_state::requested_data_deleted, "RequestedDataDeleted"},
}};

} // namespace

std::string to_string(run_state state)
{
    for (const auto& [value, name] : run_states)
        if (value == state)
            return std::string{name};
    return "RunState(" + std::to_string(static_cast<int>(state)) + ")";
}

std::optional<run_state> parse_run_state(std::string_view text) noexcept
{
    for (const auto& [value, name] : run_states)
        if (name == text)
            return value;
    return {};
}

std::string to_string(event_kind kind)
{
    switch (kind) {
    case event_kind::started:
        return "started";
    case event_kind::moved:
        return "moved";
    case event_kind::repeated:
        return "repeated";
    case event_kind::attempt_failed:
        return "attempt_failed";
    case event_kind::paused:
        return "paused";
    case event_kind::resumed:
        return "resumed";
    case event_kind::cancelled:
        return "cancelled";
    case event_kind::completed:
        return "completed";
    case event_kind::checkpointed:
        return "checkpointed";
    case event_kind::message_settled:
        return "message_settled";
    case event_kind::data_deletion_requested:
        return "data_deletion_requested";
    case event_kind::data_deleted:
        return "data_deleted";
    case event_kind::message_deferred:
        return "message_deferred";
    case event_kind::attempt_begun:
        return "attempt_begun";
    case event_kind::parent_notified:
        return "parent_notified";
    case event_kind::children_cancelled:
        return "children_cancelled";
    case event_kind::retried:
        return "retried";
    case event_kind::moved_by_command:
        return "moved_by_command";
    }
    return "event(" + std::to_string(static_cast<int>(kind)) + ")";
}

} // namespace pawl
