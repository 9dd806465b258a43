#pragma once

#include "pawl/event.hpp"
#include "pawl/event_source.hpp"
#include "pawl/stream_event.hpp"

#include <chrono>
#include <string>
#include <vector>

namespace pawl {

/// Which of a workflow's committed transitions engine::events() gives, and from where on.
struct workflow_event_options {
    /// Default: each turn of a run's life that somebody outside may care for. Those left out are
    /// attempts, repeats, checkpoints and messages that changed nothing else.
    std::vector<event_kind> kinds = {event_kind::started,
                                     event_kind::moved,
                                     event_kind::paused,
                                     event_kind::resumed,
                                     event_kind::cancelled,
                                     event_kind::completed,
                                     event_kind::data_deletion_requested,
                                     event_kind::data_deleted};

    /// Where a consumer begins that is new: with the oldest transition that the log has, or with
    /// those committed from now on. Default: beginning.
    subscribe_from from = subscribe_from::beginning;

    /// In a store that other processes share: how long after the last look one looks for what they
    /// committed, though no news of it came. Above zero. Default 5 s.
    duration look = std::chrono::seconds{5};
};

/// The names of headers that say which run a workflow's event is of. Numbers are decimal text.
/// Stored, where they are sent to topics: never change.
namespace event_header {
inline constexpr const char* workflow = "workflow_name";
inline constexpr const char* run = "run_id";
inline constexpr const char* foreign_id = "foreign_id";
inline constexpr const char* version = "record_version";
inline constexpr const char* status = "status";                   ///< its number
inline constexpr const char* previous_status = "previous_status"; ///< its number
inline constexpr const char* state = "run_state";                 ///< its number
inline constexpr const char* attempt = "attempt";                 ///< left out when it is 0
inline constexpr const char* error = "error";                     ///< left out when it is empty
inline constexpr const char* requested_by = "requested_by";       ///< left out when it is empty
} // namespace event_header

/// A workflow's event on its way to others: `id` is made of the run's id and version, `key` is the
/// foreign id, `type` the kind by its name, the rest stands in the headers above. The object is not
/// in it: who needs it reads the run.
stream_event to_stream_event(const event& what);

/// The inverse, without shard and sequence. Throws error (decode_failed), which names the header,
/// when the event is not one of a workflow.
event to_workflow_event(const stream_event& what);

} // namespace pawl
