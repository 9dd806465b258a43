#pragma once

#include "pawl/clock.hpp"

#include <cstddef>
#include <memory>
#include <optional>

namespace pawl::testing {

/// A clock that moves only when the test moves it. It drives all time of an engine: retries,
/// timeouts, delays, expiries and the times in records.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class manual_clock final : public clock {
public:
    /// Begins at 2024-01-01T00:00:00Z, or at `start`.
    manual_clock();
    explicit manual_clock(time_point start);
    ~manual_clock() override;

    time_point now() const override;
    duration steady() const override;
    std::unique_ptr<timer> make_timer(const boost::asio::any_io_executor& executor) override;

    /// Moves time forward and posts the handlers of the waits that end by then to their executors,
    /// the earliest first. The handlers see the new time, and waits that they begin are measured
    /// from it. harness::advance() stops at each wait instead.
    void advance(duration span);

    /// Sets the wall clock, which now() returns, forward or (below zero) back, as an operator who
    /// corrects a machine's time. Waits and steady() do not change.
    void step(duration difference);

    /// The time on the wall clock at which the earliest wait ends; empty if there is no wait.
    std::optional<time_point> next_wait() const;

    /// The number of waits in progress.
    std::size_t waits() const;

private:
    class state;
    class manual_timer;
    std::shared_ptr<state> state_;
};

} // namespace pawl::testing
