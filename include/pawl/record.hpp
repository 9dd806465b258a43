#pragma once

#include "pawl/attribute_value.hpp"
#include "pawl/run_id.hpp"
#include "pawl/time.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pawl {

/// Pawl's own lifecycle of a run, independent of the workflow's status. Stored: never change a
/// number.
enum class run_state : std::uint8_t {
    initiated = 1,              ///< accepted and durable, no handler has committed yet
    running = 2,                ///< at least one handler has committed
    paused = 3,                 ///< waits for a resume; unfinished
    cancelled = 4,              ///< ended before its goal; final
    completed = 5,              ///< ended in an end status, or by finish(); final
    data_deleted = 6,           ///< final, and its object has been scrubbed
    requested_data_deleted = 7, ///< final, and its object is about to be scrubbed
};

/// Returns "Initiated", "Running" and so on; "RunState(n)" for an unknown number.
std::string to_string(run_state state);

/// The inverse of to_string(), case-sensitive. Empty for any other text.
std::optional<run_state> parse_run_state(std::string_view text) noexcept;

/// Returns true for cancelled, completed and the two states of data deletion. A finished run never
/// runs again and frees its foreign id.
constexpr bool is_finished(run_state state) noexcept
{
    return state == run_state::cancelled || state == run_state::completed ||
           state == run_state::data_deleted || state == run_state::requested_data_deleted;
}

/// Why a run is paused. Stored: never change a number.
enum class pause_kind : std::uint8_t {
    none = 0,       ///< not paused
    by_error = 1,   ///< attempts used up, or a permanent error; may resume by itself
    by_request = 2, ///< by a command or a handler; resumes only by a command
};

/// An armed timeout of the present visit.
struct deadline {
    std::string timeout; ///< the name of the status's timeout
    time_point at;       ///< when its handler becomes due
    int attempt = 0;     ///< failed attempts of the handler so far

    /// How often its handler has armed it again with repeat_after() in this visit.
    std::uint32_t round = 0;

    friend bool operator==(const deadline&, const deadline&) = default;
};

/// A callback whose handler has failed and will be retried.
struct callback_retry {
    std::uint64_t message = 0; ///< the sequence of the message in the run's inbox
    int attempt = 0;           ///< failed attempts so far
    time_point not_before;     ///< neither it nor a later callback is handled before this time

    friend bool operator==(const callback_retry&, const callback_retry&) = default;
};

/// The recorded result of run::once or run::once_per_run.
struct effect {
    std::string name;
    std::string value;    ///< the codec's bytes
    bool for_run = false; ///< true: recorded by once_per_run, kept for the whole run

    /// The version of the schema of `value`, see pawl::schema.
    std::uint32_t version = 1;

    /// Without for_run: the handler that the effect belongs to. 0: the step, until the visit or the
    /// step's round ends. Below 2^32: a timeout, until its handler has succeeded or the visit ends.
    /// From 2^32: the callback of message number `handler` - 2^32, until that is settled.
    std::uint64_t handler = 0;

    friend bool operator==(const effect&, const effect&) = default;
};

/// What happens to a child when its parent is cancelled. Stored: never change a number.
enum class parent_cancel : std::uint8_t {
    leave = 0,  ///< nothing
    cancel = 1, ///< the child is cancelled, too
};

/// The run that has started a run as its child, see run::start(). Never changes, except for
/// `is_notified`.
struct parent_link {
    run_id run;
    std::string callback; ///< receives the end of the child; empty: none
    parent_cancel on_cancel = parent_cancel::leave;
    bool is_notified = false; ///< the end is in the parent's inbox, or the parent has finished

    friend bool operator==(const parent_link&, const parent_link&) = default;
};

/// The stored state of a run: all that a restart needs to continue it.
///
/// A plain value. The engine computes the next record from the present one with a pure function and
/// stores it by compare-and-swap on `version`.
struct record {
    run_id id;
    std::string workflow;
    std::string foreign_id; ///< the application's name for the run, such as an order number

    std::uint64_t version = 0; ///< grows by one at each commit; the first stored version is 1
    run_state state = run_state::initiated;
    int status = 0; ///< the number of the user's enumerator

    std::uint32_t visit = 0; ///< statuses entered so far; the first visit is 1
    time_point entered_at;   ///< when the present visit began
    int attempt = 0;         ///< failed attempts of the present visit's step
    bool step_done = false;  ///< no step in this visit, or it returned skip() and is done

    /// How often the step has returned repeat_after() in this visit. Each begins a new round.
    std::uint32_t round = 0;

    /// The step does not run before this time: retry backoff, repeat_after, start_delay. Empty: at
    /// once.
    std::optional<time_point> not_before;

    std::vector<deadline> deadlines; ///< of the present visit
    std::vector<effect> effects;

    /// Pending callbacks whose handler has failed, in the order of their first failure.
    std::vector<callback_retry> callback_retries;

    /// The number of engines that have begun the current attempt since the first crash during it; 0
    /// when no crash is known. Set before the handler begins, cleared when a handler has ended or
    /// has recorded an effect. See engine_options::max_crashes.
    std::uint32_t suspicion = 0;

    /// When the run next needs an engine; empty when only an outside event can move it. Computed by
    /// the engine, indexed by stores; see record_store::due.
    std::optional<time_point> wake_at;

    std::string object; ///< the workflow's object, encoded

    /// The version of the schema of `object`: the one that the workflow wrote.
    std::uint32_t object_version = 1;

    /// The attributes that the commits of the run have stored, in the order of their names, also
    /// those without a value: the next commit stores what has changed. The store finds runs by
    /// transition::attributes, not by these.
    std::vector<stored_attribute> attributes;

    std::string last_error;   ///< of the last failed attempt; cleared by progress
    std::string reason;       ///< why it is paused, cancelled, finished early or deleted, or was
                              ///< resumed, retried or moved by a command; cleared by progress
    std::string requested_by; ///< who gave that command; empty: unnamed, or no command
    pause_kind pause = pause_kind::none;
    int auto_resumes = 0;                ///< automatic resumes since the last progress
    std::optional<time_point> resume_at; ///< when an error pause ends by itself

    std::string start_key;    ///< idempotency key of the trigger; may be empty
    std::string trace_parent; ///< W3C trace context of the trigger; may be empty

    std::optional<parent_link> parent; ///< of a child

    /// The run was cancelled, and its children are not yet cancelled.
    bool cancels_children = false;

    time_point created_at;
    time_point updated_at; ///< time of the last commit

    /// Maintained by the store, not by transitions; see pawl::message.
    std::uint64_t inbox_last = 0;    ///< sequence of the newest message
    std::uint32_t inbox_pending = 0; ///< messages that are not settled

    friend bool operator==(const record&, const record&) = default;
};

} // namespace pawl
