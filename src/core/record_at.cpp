#include "core/record_at.hpp"

namespace pawl::core {

namespace {

/// Whether the event's error is that of attempts. finish() gives a reason, and completes a run
/// where it stands; one that entered an end with an error did so because its attempts had run out.
bool tells_last_error(const event& what)
{
    return what.kind == event_kind::moved || what.kind == event_kind::attempt_failed ||
           (what.kind == event_kind::completed && what.from != what.to);
}

} // namespace

record record_at(const event& what, record current)
{
    if (current.version == what.version)
        return current;
    const bool has_reason = !tells_last_error(what);
    current.version = what.version;
    current.status = what.to;
    current.state = what.state;
    current.attempt = what.attempt;
    current.reason = has_reason ? what.error : "";
    current.last_error = has_reason ? "" : what.error;
    current.requested_by = what.requested_by;
    current.updated_at = what.at;
    current.wake_at.reset();
    return current;
}

} // namespace pawl::core
