#pragma once

#include "pawl/detail/compiler.hpp"
#include "pawl/time.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>

namespace pawl {

namespace detail {

enum class next_kind : std::uint8_t { move, repeat, skip, pause, cancel, finish };

/// What a handler returned, without its types.
struct next_value {
    next_kind kind = next_kind::skip;
    int status = 0;   ///< move
    duration delay{}; ///< repeat
    std::string reason;
};

template <auto Status>
struct to_status {};

struct outcome_tag : next_value {};

template <auto S, auto... Listed>
concept one_of = ((std::is_same_v<decltype(S), decltype(Listed)> && S == Listed) || ...);

} // namespace detail

/// Moves the run to `Status`: `co_return pawl::to<Validated>;`.
///
/// Compiles only in a handler whose return type lists `Status`. The object is saved in the same
/// commit. In the new status the step's attempts start from zero and the status's timeouts are
/// armed; the deadlines of the old status are dropped. If `Status` is an end, the run is completed.
template <auto Status>
    requires std::is_enum_v<decltype(Status)>
inline constexpr detail::to_status<Status> to{};

/// Saves the object and runs the handler again after `delay`, in the same visit of the status.
///
/// A step begins a new round: its attempts start from zero, its effects under run::once are
/// forgotten, and the deadlines of the status keep running. Keep what later rounds must know in the
/// object or under run::once_per_run. A timeout is armed again and fires after `delay`. A
/// callback's message is handled; `delay` has no effect, and a step that waits is not delayed. See
/// the table at pawl::step.
inline detail::outcome_tag repeat_after(any_duration delay)
{
    return {{detail::next_kind::repeat, 0, delay, {}}};
}

/// Leaves the run in its status and does not save the object.
///
/// A step does not run again in this visit: the run waits for a callback, a timeout or a command. A
/// timeout is done and does not fire again in this visit. A callback's message is handled, and the
/// step is unaffected. See the table at pawl::step.
///
/// A step that skips in a status without callbacks and armed timeouts would leave the run waiting
/// forever. The run is paused instead, with a reason that says so; a resume runs the step again.
/// Only steps are checked in this way.
inline detail::outcome_tag skip()
{
    return {{detail::next_kind::skip, 0, {}, {}}};
}

/// Saves the object and pauses the run until client::async_resume.
///
/// After the resume the step runs again, unless it has skipped in this visit. The attempts of the
/// step start from zero, and its retry backoff ends. The pause does not end by itself (see
/// builder::auto_resume).
inline detail::outcome_tag pause(std::string reason)
{
    return {{detail::next_kind::pause, 0, {}, std::move(reason)}};
}

/// Saves the object and ends the run in its present status, as cancelled.
inline detail::outcome_tag cancel(std::string reason)
{
    return {{detail::next_kind::cancel, 0, {}, std::move(reason)}};
}

/// Saves the object and ends the run in its present status, as completed.
inline detail::outcome_tag finish(std::string reason)
{
    return {{detail::next_kind::finish, 0, {}, std::move(reason)}};
}

/// The outcome of a handler that may move its run to the listed statuses and to no others.
///
/// Converts from to<S> for each listed S, and from repeat_after(), skip(), pause(), cancel() and
/// finish(). The graph of the workflow is derived from these types.
template <auto... Statuses>
class next {
    static_assert((std::is_enum_v<decltype(Statuses)> && ...),
                  "list the enumerators of the workflow's status");

public:
    template <auto S>
    next(detail::to_status<S>) : value_{detail::next_kind::move, static_cast<int>(S), {}, {}}
    {
        static_assert(
            detail::one_of<S, Statuses...>,
            "this step does not declare that destination: add it to the step's return type");
    }

    next(detail::outcome_tag outcome) : value_(std::move(outcome)) {}

    /// Internal.
    const detail::next_value& value() const& noexcept { return value_; }
    detail::next_value&& value() && noexcept { return std::move(value_); }

private:
    detail::next_value value_;
};

/// The return type of steps, callbacks and timeout handlers: a coroutine that may move the run to
/// any of `Statuses`.
///
/// A handler runs at least once. What its calls and outcomes mean depends on its kind:
///
/// |              | step                    | callback                | timeout                 |
/// |--------------|-------------------------|-------------------------|-------------------------|
/// | once         | once in a visit, or in  | once for a message,     | once for a firing,      |
/// |              | a round after           | until it is settled, in | until its handler       |
/// |              | repeat_after()          | any visit               | succeeds or the visit   |
/// |              |                         |                         | ends                    |
/// |--------------|-------------------------|-------------------------|-------------------------|
/// | once_per_run | once in the run         | once in the run         | once in the run         |
/// |--------------|-------------------------|-------------------------|-------------------------|
/// | checkpoint   | saves the object: the   | the same                | the same                |
/// |              | next attempt starts     |                         |                         |
/// |              | from it                 |                         |                         |
/// |--------------|-------------------------|-------------------------|-------------------------|
/// | skip         | object not saved; the   | object not saved; the   | object not saved; the   |
/// |              | step does not run again | message is handled, the | timeout is done for     |
/// |              | in this visit           | step is unaffected      | this visit              |
/// |--------------|-------------------------|-------------------------|-------------------------|
/// | repeat_after | object saved; the step  | object saved; the       | object saved; the       |
/// |              | runs again after the    | message is handled, the | timeout fires again     |
/// |              | delay, in a new round   | delay has no effect     | after the delay, as a   |
/// |              |                         |                         | new firing              |
///
/// Effects of once_per_run have one namespace for all handlers of the run. A step that a deadline
/// interrupted runs again after the timeout's handler, unless that
/// handler moved, paused or ended the run.
///
/// A successful outcome of a step or a timeout also resets the step's attempt count and ends its
/// retry backoff; skip() and repeat_after() of a callback do neither.
///
/// Cancellation: a handler gets a terminal cancellation of whatever it awaits when the run is
/// paused or cancelled by a command, when `attempt_timeout` passes, when the drain of
/// engine::async_stop is over, when the engine loses the run's shard, and, except for timeout
/// handlers, when a deadline of the status passes. What it returns afterwards is discarded. A
/// callback's handler has engine_options::cancellation_grace before a deadline interrupts it; if
/// the status still takes the message, its handler runs again after the timeout's.
///
/// Exceptions: an exception of any type is a failed attempt. Changes of the object since it was
/// last saved are discarded, and the retry policy decides what follows. While a failing timeout
/// handler is retried, the step that it interrupted does not run. After a pause and a resume both
/// start again, the timeout handler first.
template <auto... Statuses>
using step = boost::asio::awaitable<next<Statuses...>>;

} // namespace pawl
