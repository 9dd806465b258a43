#pragma once

#include "pawl/record.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace pawl {

/// What a committed transition did. Stored: never change a number.
enum class event_kind : std::uint8_t {
    started = 1,        ///< a trigger was accepted
    moved = 2,          ///< entered a status that is not an end
    repeated = 3,       ///< a step or timeout returned repeat_after() or skip()
    attempt_failed = 4, ///< a handler failed and will be retried
    paused = 5,
    resumed = 6,
    cancelled = 7,
    completed = 8,        ///< entered an end status, or finished where it was
    checkpointed = 9,     ///< object or effects were saved inside a handler
    message_settled = 10, ///< a message was settled, and the run stayed in its status
    data_deletion_requested = 11,
    data_deleted = 12,
    message_deferred = 13, ///< a message arrived that the run cannot take yet
    attempt_begun = 14,    ///< a handler that was running at a crash begins; see record::suspicion
    parent_notified = 15,  ///< of a finished child: its parent has the end in its inbox
    children_cancelled =
        16,       ///< of a cancelled parent: its children have the command in their inboxes
    retried = 17, ///< a command has set the failed attempts to zero
    moved_by_command = 18, ///< entered a status that is not an end, by a command
};

/// Returns the name of the enumerator, such as "attempt_failed".
std::string to_string(event_kind kind);

/// An entry of the append-only event log: one committed transition.
///
/// The log is the outbox, the audit history and the source of hooks and streams. Within a shard
/// each new event has the next `sequence`; gaps are left only by retention, which removes the
/// events of removed runs.
struct event {
    std::uint32_t shard = 0;
    std::uint64_t sequence = 0; ///< in the shard; the first is 1
    event_kind kind = event_kind::started;
    run_id run;
    std::string workflow;
    std::string foreign_id;
    std::uint64_t version = 0; ///< of the record that the transition stored
    int from = 0;              ///< the status before it; `to` when the status did not change
    int to = 0;                ///< the status after it
    run_state state = run_state::initiated; ///< after it
    int attempt = 0;                        ///< failed attempts of the visit, after it
    std::string error;        ///< an error, or the reason of a command: see pawl::transition
    std::string requested_by; ///< of a command: command_reason::by
    time_point at;

    friend bool operator==(const event&, const event&) = default;
};

} // namespace pawl
