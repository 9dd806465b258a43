#pragma once

#include "pawl/run_id.hpp"
#include "pawl/time.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace pawl {

/// What a message asks of its run. Stored: never change a number.
enum class message_kind : std::uint8_t {
    callback = 1,
    pause = 2,
    resume = 3,
    cancel = 4,
    delete_data = 5,
    retry = 6, ///< attempts from zero, now; see operations::async_retry()
    move = 7,  ///< a paused run continues in another status; see operations::async_move()
};

/// How a message ended. Stored: never change a number.
enum class message_outcome : std::uint8_t {
    pending = 0,  ///< in the inbox
    handled = 1,  ///< the handler returned, or the command was executed
    rejected = 2, ///< the run has finished, or its state does not allow the command
    failed = 3,   ///< the attempts of the callback's handler are used up: see the detail
    expired = 4,  ///< it waited in the inbox for longer than it may
};

/// A durable entry of a run's inbox, identified by the run and `sequence`.
struct message {
    run_id run;
    std::uint64_t sequence = 0; ///< in its run, assigned by the store; the first is 1
    message_kind kind = message_kind::callback;
    std::string name;    ///< of a callback
    std::string payload; ///< of a callback: the codec's bytes; of a command: the reason. Of retry
                         ///< and move: a JSON document that holds the reason

    /// Of a callback: the version of the payload's schema, see pawl::schema.
    std::uint32_t payload_version = 1;

    /// Idempotency key: a second message of the run with the same name and key is not stored,
    /// unless the first one was settled as failed. May be empty.
    std::string key;

    std::string requested_by; ///< of a command: command_reason::by; may be empty
    time_point sent_at;
    std::optional<time_point> expires_at;

    friend bool operator==(const message&, const message&) = default;
};

/// The outcome of a message.
struct settlement {
    std::uint64_t sequence = 0;
    message_outcome outcome = message_outcome::pending;
    std::string detail; ///< why it was rejected or failed

    friend bool operator==(const settlement&, const settlement&) = default;
};

} // namespace pawl
