#pragma once

#include "core/outcome.hpp"
#include "pawl/definition.hpp"
#include "pawl/record_store.hpp"

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace pawl::core {

/// The deadlines of a visit of `status` that begins now. Depends on the object, so the caller has
/// it.
using arm_deadlines = std::function<std::vector<deadline>(int status)>;

/// What the maker of a transition knows of the run's inbox.
struct inbox_view {
    std::uint64_t seen = 0;           ///< the newest message that it knows
    std::span<const message> waiting; ///< those that are not settled yet
};

struct start_request {
    run_id id;
    std::string foreign_id;
    int status = 0;
    std::string object;
    start_rule rule = start_rule::unless_unfinished;
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
std::optional<transition> decide(const record& current, const definition& workflow, outcome what,
                                 time_point now, const arm_deadlines& arm, inbox_view inbox = {});

/// What a run needs next.
enum class need { nothing, step, timeout, callback, command, expire_message, resume, scrub };

struct action {
    need what = need::nothing;
    int timeout = 0;         ///< need::timeout: which
    std::size_t message = 0; ///< need::callback, command, expire_message: index in the inbox

    friend bool operator==(const action&, const action&) = default;
};

/// Chooses it. Messages go first, in their order; a callback that the present status does not take
/// is passed over and stays in the inbox. Then passed deadlines, the earliest first, then the step.
action next_action(const record& current, const definition& workflow,
                   std::span<const message> inbox, time_point now);

/// The wait after the `failures`-th failed attempt (from 1). `entropy` picks a place in the jitter.
duration back_off(const retry_policy& policy, int failures, std::uint64_t entropy) noexcept;

/// The earliest time at which the run needs an engine; see record::wake_at. `mail` is the time at
/// which its messages need one.
std::optional<time_point> wake_time(const record& current, const definition& workflow,
                                    time_point now, std::optional<time_point> mail = {});

} // namespace pawl::core
