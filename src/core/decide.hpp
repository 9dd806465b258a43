#pragma once

#include "core/inbox.hpp"
#include "core/stimulus.hpp"
#include "pawl/definition.hpp"
#include "pawl/record_store.hpp"

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pawl::core {

/// Returns the deadlines of a visit of `status` that begins now. The caller supplies the function
/// because deadlines depend on the decoded object.
using arm_deadlines = std::function<std::vector<deadline>(int status)>;

/// What an engine knows of a run's inbox when it decides.
struct inbox_view {
    std::uint64_t seen = 0;   ///< the sequence of the newest known message
    waiting_messages waiting; ///< the known messages that are not settled

    /// A newer program has used this store: undeclared callbacks and missing steps may belong to
    /// it.
    bool outdated = false;
};

struct start_request {
    run_id id;
    std::string foreign_id;
    int status = 0;
    std::string object;
    std::vector<stored_attribute> attributes; ///< of the object
    id_reuse_policy id_reuse = id_reuse_policy::allow_after_finish;
    std::string start_key;
    std::string trace_parent;
    std::optional<parent_link> parent;
};

/// The first transition of a run. Precondition: `request.status` is a status of the definition, and
/// not an end.
transition start(const definition& workflow, start_request request, time_point now,
                 const arm_deadlines& arm);

/// The transition that a stimulus causes. Empty if the stimulus no longer applies, such as the
/// result of a handler whose run has been paused or has finished in the meantime.
///
/// Deterministic: no clock, no randomness, no I/O. `current` is the stored record; the transition
/// has its version + 1. Jitter is drawn from the run's id and version.
std::optional<transition> decide(const record& current, const definition& workflow, stimulus event,
                                 time_point now, const arm_deadlines& arm, inbox_view inbox = {});

/// The number of failed attempts of the callback with that message sequence.
int failed_attempts(const record& run, std::uint64_t callback) noexcept;

/// What a run needs next.
enum class need {
    nothing,
    step,
    timeout,
    unknown_timeout,
    callback,
    command,
    expire_message,
    resume,
    scrub,
    notify_parent,   ///< a child has finished
    cancel_children, ///< a parent was cancelled
    newer_program,   ///< the workflow lacks the status, or its step: a newer program has it
};

struct action {
    need kind = need::nothing;

    /// need::timeout: its index in status_rules::timeouts; need::unknown_timeout: the index in
    /// record::deadlines of the deadline that no timeout belongs to.
    int timeout = 0;

    std::size_t message = 0; ///< need::callback, command, expire_message: index in the inbox

    friend bool operator==(const action&, const action&) = default;
};

/// The limit of consecutive callback handlers while a passed deadline or a due step waits.
constexpr int max_callbacks_in_a_row = 16;

/// Chooses what the run needs next, in this order:
///
/// 0. Of a finished run: the notification of its parent, the cancellation of its children.
/// 1. Messages that have expired.
/// 2. Commands, in their order: a pause or a cancel does not wait for callbacks that have not
///    started.
/// 3. A passed deadline, the earliest first, unless a callback was sent before it passed. A
/// deadline
///    whose timeout the workflow lacks is handled first: no handler runs for it.
/// 4. Callbacks, in their order. A callback that the present status does not accept stays in the
///    inbox, and a callback that waits for a retry blocks the callbacks after it.
/// 5. The step, unless a timeout's handler waits for a retry: the interrupted step waits until that
///    handler has succeeded.
/// 6. A newer program, for a status that the definition lacks, and, if `outdated`, for a step that
///    it lacks.
///
/// `callbacks_in_a_row` is the number of callbacks handled since the last step or timeout handler,
/// and since a deadline last interrupted a callback. From max_callbacks_in_a_row on, passed
/// deadlines and then a due step precede callbacks, so that a stream of callbacks starves neither.
action next_action(const record& current, const definition& workflow,
                   const waiting_messages& waiting, time_point now, int callbacks_in_a_row = 0,
                   bool outdated = false);

/// The earliest deadline of the visit, ignoring timeouts that the workflow lacks.
std::optional<time_point> next_deadline(const record& current, const definition& workflow) noexcept;

/// The handler number of a timeout, computed from its name alone. Stored, and part of idempotency
/// keys: never change it.
std::uint64_t timeout_handler_number(std::string_view name) noexcept;

/// The backoff after the `failures`-th failed attempt (from 1). `entropy` selects the jitter.
duration retry_delay(const retry_policy& policy, int failures, std::uint64_t entropy) noexcept;

/// The earliest time at which the run needs an engine; see record::wake_at. `messages_due_at` is
/// the time at which its messages need one.
std::optional<time_point> wake_time(const record& current, const definition& workflow,
                                    time_point now, std::optional<time_point> messages_due_at = {},
                                    bool outdated = false);

} // namespace pawl::core
