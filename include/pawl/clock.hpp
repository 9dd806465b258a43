#pragma once

#include "pawl/time.hpp"

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>

#include <memory>

namespace pawl {

/// A timer of a clock, with one wait at a time.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Unsafe.
class timer {
public:
    virtual ~timer() = default;

    /// Calls `handler` when `span` has passed, or soon after cancel(), through its associated
    /// executor and never inside this call. A wait that is in progress is cancelled first.
    ///
    /// The handler does not learn why it is called: it may come late, and also after cancel().
    /// Callers check their condition themselves.
    virtual void wait(duration span, boost::asio::any_completion_handler<void()> handler) = 0;

    /// Ends the wait, if there is one; its handler is called soon.
    virtual void cancel() = 0;
};

/// The source of an engine's time. Replace it to run on simulated time: testing::manual_clock.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class clock {
public:
    virtual ~clock() = default;

    /// The wall-clock time, for records and events. With a shared store the store's clock is used
    /// instead, see record_store::now().
    virtual time_point now() const = 0;

    /// The time since a fixed but arbitrary moment, on a clock that is never set. Engines of a
    /// shared store measure with it the time since they last read the store's clock.
    ///
    /// Default: now(), for clocks that are never set.
    virtual duration steady() const { return now().time_since_epoch(); }

    /// Makes a timer whose waits are measured on a steady clock.
    virtual std::unique_ptr<timer> make_timer(const boost::asio::any_io_executor& executor) = 0;
};

/// Returns the machine's clocks: system time for now(), steady_timer for waits.
std::shared_ptr<clock> default_clock();

} // namespace pawl
