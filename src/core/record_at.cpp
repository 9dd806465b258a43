#include "core/record_at.hpp"

namespace pawl::core {

namespace {

/// Whether event::error is the error of an attempt, not a reason. finish() completes a run in its
/// present status, with a reason; a run that enters an end with an error has exhausted its retries.
bool has_attempt_error(const event& entry)
{
    return entry.kind == event_kind::moved || entry.kind == event_kind::attempt_failed ||
           (entry.kind == event_kind::completed && entry.from != entry.to);
}

} // namespace

record record_at(const event& entry, record current)
{
    if (current.version == entry.version)
        return current;
    const bool has_reason = !has_attempt_error(entry);
    current.version = entry.version;
    current.status = entry.to;
    current.state = entry.state;
    current.attempt = entry.attempt;
    current.reason = has_reason ? entry.error : "";
    current.last_error = has_reason ? "" : entry.error;
    current.requested_by = entry.requested_by;
    current.updated_at = entry.at;
    current.wake_at.reset();
    return current;
}

} // namespace pawl::core
