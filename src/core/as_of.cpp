#include "core/as_of.hpp"

namespace pawl::core {

record as_of(const event& what, record current)
{
    if (current.version == what.version)
        return current;
    // An attempt that failed, for the last time too, tells an error; finish() gives a reason.
    const bool has_reason = what.kind != event_kind::moved &&
                            what.kind != event_kind::attempt_failed &&
                            !(what.kind == event_kind::completed && what.from != what.to);
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
