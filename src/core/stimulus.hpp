#pragma once

#include "pawl/message.hpp"
#include "pawl/record.hpp"
#include "pawl/step.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

namespace pawl::core {

/// Which handler an outcome comes from.
struct from_step {};
struct from_timeout {
    int timeout = 0; ///< its index in status_rules::timeouts of the present status
};
struct from_callback {
    std::uint64_t message = 0;
};
using source = std::variant<from_step, from_timeout, from_callback>;

/// The numbers that tell the handlers of a run apart, see run_context::handler_number(). A
/// timeout's is timeout_handler_number().
inline constexpr std::uint64_t step_handler_number = 0;

constexpr std::uint64_t callback_handler_number(std::uint64_t message) noexcept
{
    return (1ull << 32) + message;
}

/// A handler came to its end.
struct handler_returned {
    source by;
    detail::next_value value;
    std::string object; ///< encoded; ignored by skip
};

/// A handler threw, passed its time limit, or left an object that cannot be encoded.
struct handler_failed {
    source by;
    std::string error;
    bool permanent = false; ///< must not be tried again
};

/// A running step asks for its object to be saved, with at most one more effect.
struct checkpoint_wanted {
    std::string object;
    std::optional<effect> added;
};

/// A handler is about to begin in a run that may have ended the process of an engine before.
struct attempt_suspected {
    std::uint32_t suspicion = 0; ///< see record::suspicion
};

/// A command from the inbox: pause, resume, cancel or delete_data.
struct command_received {
    std::uint64_t message = 0;
    message_kind kind = message_kind::pause;
    std::string reason;
    std::string by = {};
};

/// A message's time limit has passed.
struct message_expired {
    std::uint64_t message = 0;
};

/// The time of an error pause is over.
struct pause_elapsed {};

/// The object of a run whose data is to be deleted has been replaced.
struct data_scrubbed {
    std::string object;
};

/// The run stands in a status that its workflow no longer has.
struct status_retired {
    int successor = 0;
};

/// A deadline has passed whose timeout the workflow does not have.
struct timeout_unknown {
    std::string timeout;

    /// A newer program has been here, so the timeout may be one of its own: it is kept for it.
    bool kept = false;
};

/// The transition that was to be made cannot be made.
struct transition_failed {
    std::string error;
};

/// Messages have arrived that must wait; from now on the store need not keep the run due for them.
struct message_deferred {};

using stimulus =
    std::variant<handler_returned, handler_failed, checkpoint_wanted, attempt_suspected,
                 command_received, message_expired, pause_elapsed, data_scrubbed, status_retired,
                 timeout_unknown, transition_failed, message_deferred>;

} // namespace pawl::core
