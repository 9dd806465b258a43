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

/// The deadlines of a visit of `status` that begins now. Depends on the object, so the caller has
/// it.
using arm_deadlines = std::function<std::vector<deadline>(int status)>;

/// What the maker of a transition knows of the run's inbox.
struct inbox_view {
    std::uint64_t seen = 0;   ///< the newest message that it knows
    waiting_messages waiting; ///< those that are not settled yet

    /// A newer program has been here: callbacks and steps that this one does not declare may be
    /// its.
    bool outdated = false;
};

struct start_request {
    run_id id;
    std::string foreign_id;
    int status = 0;
    std::string object;
    id_reuse_policy id_reuse = id_reuse_policy::allow_after_finish;
    std::string start_key;
    std::string trace_parent;
};

/// The first transition of a run. Precondition: the definition knows `request.status`, and it is no
/// end.
transition start(const definition& workflow, start_request request, time_point now,
                 const arm_deadlines& arm);

/// The transition that an outcome leads to; empty when the outcome no longer applies (the result of
/// a handler whose run has been paused or has finished meanwhile), and is to be dropped.
///
/// Same input, same output: no clock, no randomness, no I/O. `current` is the stored record; the
/// result carries its version + 1. Jitter is drawn from the run's id and version.
std::optional<transition> decide(const record& current, const definition& workflow, stimulus event,
                                 time_point now, const arm_deadlines& arm, inbox_view inbox = {});

/// Failed attempts of the callback with that sequence so far.
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
    newer_program, ///< the status is none of the workflow's: another program must have it
};

struct action {
    need kind = need::nothing;

    /// need::timeout: its index in status_rules::timeouts; need::unknown_timeout: the index in
    /// record::deadlines of the deadline that no timeout belongs to.
    int timeout = 0;

    std::size_t message = 0; ///< need::callback, command, expire_message: index in the inbox

    friend bool operator==(const action&, const action&) = default;
};

/// Handlers of callbacks that may follow each other while a passed deadline or a due step waits.
constexpr int max_callbacks_in_a_row = 16;

/// Chooses it. In this order:
///
/// 1. Messages whose time limit has passed.
/// 2. Commands, in their order: a pause or a cancel does not wait for callbacks that have not
///    begun.
/// 3. A passed deadline, the earliest first, unless a callback was sent before it passed. One whose
///    timeout the workflow does not have is put away in any case: no handler runs for it.
/// 4. Callbacks, in their order. One that the present status does not take is passed over and stays
///    in the inbox, and one that waits for its next attempt holds up those behind it.
/// 5. The step, unless a timeout's handler has failed and is about to be repeated: the step that it
///    interrupted waits until that has succeeded.
///
/// 6. A newer program, for a status that the definition does not have, and for a step that it lacks
///    where `outdated` says that a newer program has been here.
///
/// `callbacks_in_a_row` says how many callbacks were handled since a step or a timeout's handler
/// had its turn, or a deadline interrupted one of them. From max_callbacks_in_a_row on, passed
/// deadlines and then a due step go before callbacks, so that a stream of callbacks starves
/// neither.
action next_action(const record& current, const definition& workflow,
                   const waiting_messages& waiting, time_point now, int callbacks_in_a_row = 0,
                   bool outdated = false);

/// The earliest deadline of the visit whose timeout the workflow has.
std::optional<time_point> next_deadline(const record& current, const definition& workflow) noexcept;

/// Tells a timeout's handler apart from the others of a visit, by the timeout's name alone. Stored,
/// and part of the keys that the outside world has: never change it.
std::uint64_t timeout_handler_number(std::string_view name) noexcept;

/// The wait after the `failures`-th failed attempt (from 1). `entropy` picks a place in the jitter.
duration retry_delay(const retry_policy& policy, int failures, std::uint64_t entropy) noexcept;

/// The earliest time at which the run needs an engine; see record::wake_at. `mail` is the time at
/// which its messages need one.
std::optional<time_point> wake_time(const record& current, const definition& workflow,
                                    time_point now, std::optional<time_point> mail = {},
                                    bool outdated = false);

} // namespace pawl::core
