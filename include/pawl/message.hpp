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
};

/// How a message ended. Stored: never change a number.
enum class message_outcome : std::uint8_t {
    pending = 0,  ///< in the inbox
    handled = 1,  ///< did what it asked for
    rejected = 2, ///< the run could not do that: see the detail
    failed = 3,   ///< the callback's handler failed for the last time: see the detail
    expired = 4,  ///< its time limit passed in the inbox
};

/// One durable entry of a run's inbox. Named by (run, sequence).
struct message {
    run_id run;
    std::uint64_t sequence = 0; ///< in its run, given by the store; the first is 1
    message_kind kind = message_kind::callback;
    std::string name;    ///< the callback's name
    std::string payload; ///< of a callback: the codec's bytes; of a command: the reason

    /// Of a callback: which version of the schema of its type the payload is in, see pawl::schema.
    std::uint32_t payload_version = 1;

    /// Idempotency key: a second message of the run with this name and key is not stored, unless
    /// the first one was settled as failed. May be empty.
    std::string key;

    std::string requested_by; ///< of a command: who asks, as the caller named them; may be empty
    time_point sent_at;
    std::optional<time_point> expires_at;

    friend bool operator==(const message&, const message&) = default;
};

/// What became of a message.
struct settlement {
    std::uint64_t sequence = 0;
    message_outcome outcome = message_outcome::pending;
    std::string detail; ///< why it was refused or failed

    friend bool operator==(const settlement&, const settlement&) = default;
};

} // namespace pawl
