// What callers of pawl::operations ask for.
#pragma once

#include "pawl/audit.hpp"
#include "pawl/message.hpp"
#include "pawl/record_store.hpp"
#include "pawl/time.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace pawl {

/// Who asks for a change, why, and under which conditions.
struct change_request {
    requester by{};

    /// Human-readable. The first 1,024 bytes are kept, cut between characters.
    std::string reason{};

    /// Identifies the change of a run: a further change of the run with the same key is not made
    /// again, and completes as the first one. At most 1,024 bytes, and not beginning with "pawl.".
    /// Default: empty, no key.
    std::string idempotency_key{};

    /// The version of the run that the change is for: it fails with errc::conflict if the run has
    /// another one. For async_retry() and async_move() it is compared when the engine executes the
    /// change, for others when the change is stored. Default: any version.
    std::optional<std::uint64_t> if_version{};

    /// How long to wait until the engine that drives the run has executed the change. Afterwards
    /// the call completes with message_outcome::pending, and the change is executed later. Zero:
    /// not at all. At most 1 h. Default 10 s.
    duration wait_for = std::chrono::seconds{10};
};

/// A callback without types.
struct callback_request {
    std::string name;
    std::string payload; ///< a JSON document

    /// See message::payload_version. Default: the version of this engine's workflow, or 1.
    std::optional<std::uint32_t> payload_version{};
};

/// A start of a run without types.
struct trigger_request {
    std::string foreign_id;
    std::string object; ///< a JSON document, in the present version of the object's schema

    /// The label or the number of the status in which the run begins. Default: the workflow's
    /// start.
    std::string status{};

    id_reuse_policy id_reuse = id_reuse_policy::allow_after_finish;
};

/// Where a paused run continues.
struct move_request {
    std::string status; ///< the label or the number of a status of the workflow

    /// Replaces the object: a JSON document, in the schema version of the object that is stored
    /// (record::object_version). Default: the object stays.
    std::optional<std::string> object{};
};

/// A change that was made, or that is in the inbox of its run.
struct change_result {
    run_id run;

    /// The sequence of the command or callback in the inbox of the run; 0 of a trigger. See
    /// operations::async_outcome().
    std::uint64_t message = 0;

    /// `handled`, or `pending` if the change was not executed within change_request::wait_for.
    message_outcome outcome = message_outcome::pending;

    std::string audit_id; ///< audit_entry::id
};

} // namespace pawl
