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

/// Moves the run to `Status`: `co_return pawl::to<Validated>;`. Compiles only in a handler whose
/// return type lists that status. The object is saved with the move, in one commit.
template <auto Status>
    requires std::is_enum_v<decltype(Status)>
inline constexpr detail::to_status<Status> to{};

/// Saves the object and runs the step again after `delay`, in the same visit but a new round:
/// deadlines go on running, attempts start again from zero, effects of run::once are new ones (keep
/// in the object, or with once_per_run, what later rounds must know). From a timeout's handler:
/// arms it again. From a callback's handler: saves the object and leaves the step as it is, without
/// regard to `delay`.
inline detail::outcome_tag repeat_after(any_duration delay)
{
    return {{detail::next_kind::repeat, 0, delay, {}}};
}

/// Leaves the run where it is, without saving the object. A step that skips does not run again in
/// this visit: the run waits for a callback, a timeout or a command. A timeout that skips is done.
///
/// Where the status has no callback and no timeout is armed, nothing would ever move the run: it is
/// paused instead, with a reason that says so, and a resume runs the step again.
inline detail::outcome_tag skip()
{
    return {{detail::next_kind::skip, 0, {}, {}}};
}

/// Saves the object and pauses the run until somebody resumes it; then the step runs again, unless
/// it skipped in this visit. A back-off of the step ends with the resume.
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

/// Where a handler may send its run: the statuses in its type, and nowhere else.
///
/// Converts from to<S> for each S of the list, and from repeat_after(), skip(), pause(), cancel()
/// and finish(). The workflow's graph is read off these types.
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

    const detail::next_value& value() const& noexcept { return value_; }
    detail::next_value&& value() && noexcept { return std::move(value_); }

private:
    detail::next_value value_;
};

/// The return type of steps, callbacks and timeout handlers: a coroutine that may send the run to
/// any of `Statuses`.
///
/// A handler runs at least once. It is cancelled (terminal cancellation of whatever it awaits) when
/// the run is paused or cancelled, when its attempt limit passes, when the drain of a stop is over,
/// and, unless it is a timeout's own, when a deadline of its status passes; what it returns after
/// that is dropped. A callback's handler has engine_options::cancellation_grace before a deadline
/// interrupts it, and comes again after the timeout's handler if the status still takes it.
///
/// An exception of any type is a failed attempt: nothing of the object is saved, and the retry
/// policy says what happens. While a failing timeout's handler is repeated, the step that it
/// interrupted does not run: it waits until the handler has succeeded. Both begin again when the
/// run was paused and is resumed, the timeout's handler first.
template <auto... Statuses>
using step = boost::asio::awaitable<next<Statuses...>>;

} // namespace pawl
