#pragma once

#include "pawl/record.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace pawl {

/// What one committed transition was. Stored: never change a number.
enum class event_kind : std::uint8_t {
    started = 1,        ///< a trigger was accepted
    moved = 2,          ///< entered a status that is not an end
    repeated = 3,       ///< the step asked to run again later, or to be skipped
    attempt_failed = 4, ///< a handler failed and will be tried again
    paused = 5,
    resumed = 6,
    cancelled = 7,
    completed = 8,        ///< entered an end status, or finished where it was
    checkpointed = 9,     ///< object and effects were saved in the middle of a step
    message_settled = 10, ///< a message was handled or refused, and nothing else changed
    data_deletion_requested = 11,
    data_deleted = 12,
    message_deferred = 13, ///< a message came that the run cannot take yet; it waits in the inbox
    attempt_begun = 14, ///< a handler begins that was under way at a crash; see record::suspicion
};

std::string to_string(event_kind kind);

/// One entry of the append-only log: the trace of one commit.
///
/// Events of a shard are ordered: each new one has the next `sequence`. Retention removes the
/// events of removed runs, which leaves gaps. The log is at once the outbox, the audit history and
/// the source of hooks and streams.
struct event {
    std::uint32_t shard = 0;
    std::uint64_t sequence = 0; ///< in its shard; the first is 1
    event_kind kind = event_kind::started;
    run_id run;
    std::string workflow;
    std::string foreign_id;
    std::uint64_t version = 0; ///< of the record that the transition stored
    int from = 0;              ///< the status before it; equals `to` when the status did not change
    int to = 0;
    run_state state = run_state::initiated; ///< after it
    int attempt = 0;                        ///< failed attempts of the visit, after it
    std::string error;        ///< of a failed attempt, or the reason of a pause or cancel
    std::string requested_by; ///< who asked for it, where a command did
    time_point at;

    friend bool operator==(const event&, const event&) = default;
};

} // namespace pawl
