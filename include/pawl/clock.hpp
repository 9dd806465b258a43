#pragma once

#include "pawl/time.hpp"

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>

#include <memory>

namespace pawl {

/// One wait at a time, on a clock.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Unsafe.
class timer {
public:
    virtual ~timer() = default;

    /// Calls `handler` when `span` has passed, or soon after cancel(); either way through its
    /// associated executor, never inside this call. A wait that is under way is cancelled first.
    ///
    /// A handler may come late and may come after cancel(): whoever waits checks what it waited
    /// for.
    virtual void wait(duration span, boost::asio::any_completion_handler<void()> handler) = 0;

    virtual void cancel() = 0;
};

/// What an engine takes time from. Replace it to run on simulated time: testing::manual_clock.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class clock {
public:
    virtual ~clock() = default;

    /// Wall-clock time, for records and events. In a shared store the store's clock is used
    /// instead, see record_store::now().
    virtual time_point now() const = 0;

    /// Time since any one moment, on a clock that nobody sets. The engines of a shared store, which
    /// take the wall-clock time from the store, count from one reading of it to the next by this.
    ///
    /// Default: now(), for clocks that are never set.
    virtual duration steady() const { return now().time_since_epoch(); }

    /// A timer whose waits are measured on a steady clock.
    virtual std::unique_ptr<timer> make_timer(const boost::asio::any_io_executor& executor) = 0;
};

/// The machine's clocks: system time for now(), steady_timer for waits.
std::shared_ptr<clock> default_clock();

} // namespace pawl
