#pragma once

#include "pawl/event.hpp"
#include "pawl/event_source.hpp"
#include "pawl/stream_event.hpp"

#include <chrono>
#include <string>
#include <vector>

namespace pawl {

/// Which committed transitions of a workflow engine::events() delivers, and where it begins.
struct workflow_event_options {
    /// Kinds of transitions. Not empty. Default: the lifecycle events of a run. Attempts, repeats,
    /// checkpoints, and messages that changed nothing else are left out.
    std::vector<event_kind> kinds = {
        event_kind::started,          event_kind::moved,
        event_kind::moved_by_command, event_kind::paused,
        event_kind::resumed,          event_kind::cancelled,
        event_kind::completed,        event_kind::data_deletion_requested,
        event_kind::data_deleted};

    /// Where a new consumer begins: with the oldest transition in the log, or with those that are
    /// committed from now on. Default beginning.
    subscribe_from from = subscribe_from::beginning;

    /// Poll interval for commits of other processes whose notifications were lost. Not used if the
    /// store is not shared. Above zero. Default 5 s.
    duration poll_interval = std::chrono::seconds{5};
};

/// Names of the headers of a workflow's event. Numbers are decimal text. Stored when they are sent
/// to topics: never change.
namespace event_header {
inline constexpr const char* workflow = "workflow_name";
inline constexpr const char* run = "run_id";
inline constexpr const char* foreign_id = "foreign_id";
inline constexpr const char* version = "record_version";
inline constexpr const char* status = "status";                   ///< its number
inline constexpr const char* previous_status = "previous_status"; ///< its number
inline constexpr const char* state = "run_state";                 ///< its number
inline constexpr const char* attempt = "attempt";                 ///< absent if 0
inline constexpr const char* error = "error";                     ///< absent if empty
inline constexpr const char* requested_by = "requested_by";       ///< absent if empty
} // namespace event_header

/// Converts a workflow's event to a stream event: `id` is "<run id>/<version>", `key` the foreign
/// id, `type` the name of the kind, see to_string(event_kind), `at` the time of the commit; the
/// rest is in the headers above. The payload is empty: a consumer that needs the object reads the
/// run.
stream_event to_stream_event(const event& source);

/// The inverse of to_stream_event(). Shard and sequence are 0.
///
/// Errors: throws error (decode_failed), naming the header, if `source` is not an event of a
/// workflow.
event to_workflow_event(const stream_event& source);

} // namespace pawl
