#pragma once

#include "pawl/run_id.hpp"
#include "pawl/time.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pawl {

/// Pawl's own lifecycle of a run, apart from the workflow's status.
///
/// Stored: never change a number.
enum class run_state : std::uint8_t {
    initiated = 1,              ///< accepted and durable, no handler has committed yet
    running = 2,                ///< at least one handler has committed
    paused = 3,                 ///< waits for a resume; counts as unfinished
    cancelled = 4,              ///< ended before its goal; final
    completed = 5,              ///< ended in an end status, or by finish(); final
    data_deleted = 6,           ///< final, and its object has been scrubbed
    requested_data_deleted = 7, ///< final, and its object is about to be scrubbed
};

/// "Initiated", "Running", …; "RunState(n)" for a number that is none.
std::string to_string(run_state state);

/// The inverse of to_string(), exact case.
std::optional<run_state> parse_run_state(std::string_view text) noexcept;

/// True for the states that a run never leaves for running: cancelled, completed and the two of
/// data deletion. A finished run frees its foreign id.
constexpr bool is_finished(run_state state) noexcept
{
    return state == run_state::cancelled || state == run_state::completed ||
           state == run_state::data_deleted || state == run_state::requested_data_deleted;
}

/// Why a run is paused. Stored: never change a number.
enum class pause_kind : std::uint8_t {
    none = 0,       ///< not paused
    by_error = 1,   ///< its retries ran out, or an error must not be retried; may resume by itself
    by_request = 2, ///< somebody asked, or a handler returned pause(); resumes only when asked
};

/// One armed timeout of the present visit.
struct deadline {
    std::string timeout; ///< the name of the status's timeout
    time_point at;       ///< when its handler becomes due
    int attempt = 0;     ///< failed attempts of the handler so far

    /// How often its handler has armed it again with repeat_after() in this visit.
    std::uint32_t round = 0;

    friend bool operator==(const deadline&, const deadline&) = default;
};

/// A callback whose handler has failed and is called again.
struct callback_retry {
    std::uint64_t message = 0; ///< its sequence in the run's inbox
    int attempt = 0;           ///< failed attempts so far
    time_point not_before;     ///< no attempt, of it or of a callback behind it, before this time

    friend bool operator==(const callback_retry&, const callback_retry&) = default;
};

/// The recorded result of one `run.once` effect.
struct effect {
    std::string name;
    std::string value;    ///< the codec's bytes
    bool for_run = false; ///< true: recorded by once_per_run, kept for the whole run

    /// Which version of the schema of its type `value` is in: see pawl::schema.
    std::uint32_t version = 1;

    /// Without for_run: the handler that it belongs to, as run_context::handler_number() tells
    /// them apart. 0: the step, until the visit or the step's round ends; a timeout's, until its
    /// handler has succeeded or the visit ends; a callback's, until its message is settled.
    std::uint64_t handler = 0;

    friend bool operator==(const effect&, const effect&) = default;
};

/// The stored state of a run: all that a restart needs to go on.
///
/// A record is a plain value. The engine makes the next one from the last one with a pure function
/// and stores it by compare-and-swap on `version`.
struct record {
    run_id id;
    std::string workflow;
    std::string foreign_id; ///< the caller's own key, e.g. an order number

    std::uint64_t version = 0; ///< grows by one at each commit; the first stored version is 1
    run_state state = run_state::initiated;
    int status = 0; ///< the user's enum, as its number

    std::uint32_t visit = 0; ///< statuses entered so far; the first visit is 1
    time_point entered_at;   ///< when the present visit began
    int attempt = 0;         ///< failed attempts of the present visit's step
    bool step_done = false;  ///< the step said skip(): it does not run again in this visit

    /// How often the step has returned repeat_after() in this visit: each begins a new round.
    std::uint32_t round = 0;

    /// The step does not run before this time: back-off, repeat_after, start_delay. Empty: at once.
    std::optional<time_point> not_before;

    std::vector<deadline> deadlines; ///< of the present visit
    std::vector<effect> effects;

    /// Waiting callbacks whose handler has failed, in the order of their first failure.
    std::vector<callback_retry> callback_retries;

    /// The number of engines that have begun the current attempt since the first crash during it; 0
    /// when no crash is known. Set before the handler begins, cleared when a handler has ended. See
    /// engine_options::max_crashes.
    std::uint32_t suspicion = 0;

    /// When the run next needs an engine; empty when only an outside event can move it.
    /// Derived by core, indexed by stores; see record_store::due.
    std::optional<time_point> wake_at;

    std::string object; ///< the workflow's object, as its codec wrote it

    /// Which version of the object's schema that is: the workflow's at the time of writing.
    std::uint32_t object_version = 1;

    std::string last_error;   ///< of the last failed attempt; cleared by progress
    std::string reason;       ///< why it is paused, cancelled, finished early or deleted
    std::string requested_by; ///< who asked for that; empty: nobody, or somebody unnamed
    pause_kind pause = pause_kind::none;
    int auto_resumes = 0;                ///< resumes after an error pause, since the last progress
    std::optional<time_point> resume_at; ///< when an error pause ends by itself

    std::string start_key;    ///< idempotency key of the trigger; may be empty
    std::string trace_parent; ///< W3C trace context of the trigger; may be empty

    time_point created_at;
    time_point updated_at; ///< time of the last commit

    /// Kept by the store, never by a transition: see `message`.
    std::uint64_t inbox_last = 0;    ///< sequence of the newest message ever delivered
    std::uint32_t inbox_pending = 0; ///< messages not yet settled

    friend bool operator==(const record&, const record&) = default;
};

} // namespace pawl
