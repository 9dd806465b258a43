#pragma once

#include "core/repair.hpp"
#include "pawl/message.hpp"
#include "pawl/record.hpp"
#include "pawl/step.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace pawl::core {

// The handler that a stimulus comes from.
struct from_step {};
struct from_timeout {
    int timeout = 0; ///< its index in status_rules::timeouts of the present status
};
struct from_callback {
    std::uint64_t message = 0;
};
using source = std::variant<from_step, from_timeout, from_callback>;

/// Numbers that identify the handlers of a run, see run_context::handler_number(). The number of a
/// timeout is timeout_handler_number().
inline constexpr std::uint64_t step_handler_number = 0;

constexpr std::uint64_t callback_handler_number(std::uint64_t message) noexcept
{
    return (1ull << 32) + message;
}

struct handler_returned {
    source handler;
    detail::next_value value;
    std::string object;                            ///< encoded; ignored by skip
    std::vector<stored_attribute> attributes = {}; ///< of the object
};

/// A handler threw, exceeded its attempt timeout, or left an object that cannot be encoded.
struct handler_failed {
    source handler;
    std::string error;
    bool permanent = false; ///< must not be retried
};

/// A running handler saves the object, and records at most one effect.
struct checkpoint_wanted {
    std::string object;
    std::optional<effect> added;
    std::vector<stored_attribute> attributes = {}; ///< of the object
};

/// A handler is about to start in a run whose handler may have crashed the process of an engine.
struct attempt_suspected {
    std::uint32_t suspicion = 0; ///< see record::suspicion
};

/// A command from the inbox: pause, resume, cancel or delete_data.
struct command_received {
    std::uint64_t message = 0;
    message_kind kind = message_kind::pause;
    std::string reason;
    std::string requested_by = {};
};

/// A command to begin the attempts again.
struct retry_received {
    std::uint64_t message = 0;
    repair_request request;
    std::string requested_by;
};

/// A command to continue a paused run in another status.
struct move_received {
    std::uint64_t message = 0;
    repair_request request; ///< `object` as the workflow writes it, if it is given
    std::string requested_by;
    std::vector<stored_attribute> attributes = {}; ///< of the object

    /// Why the command cannot be executed; empty if it can.
    std::string problem = {};
};

struct message_expired {
    std::uint64_t message = 0;
};

/// record::resume_at of a pause by an error has passed.
struct pause_elapsed {};

/// The scrubber has replaced the object of a run whose data is to be deleted.
struct data_scrubbed {
    std::string object;
};

/// The workflow no longer has the status of the run.
struct status_retired {
    int successor = 0;
};

/// A deadline has passed, but the workflow does not have its timeout.
struct timeout_unknown {
    std::string timeout;

    /// Keeps the deadline: it may belong to a newer program, which has used this store.
    bool kept = false;
};

/// The intended transition is not possible.
struct transition_failed {
    std::string error;
};

/// The parent of the finished run has got its end, or needs it no longer.
struct parent_notified {};

/// The children of the cancelled run have got the command to cancel.
struct children_cancelled {};

/// New messages must wait; the store need not keep the run due because of them.
struct message_deferred {};

using stimulus =
    std::variant<handler_returned, handler_failed, checkpoint_wanted, attempt_suspected,
                 command_received, retry_received, move_received, message_expired, pause_elapsed,
                 data_scrubbed, status_retired, timeout_unknown, transition_failed, parent_notified,
                 children_cancelled, message_deferred>;

} // namespace pawl::core
