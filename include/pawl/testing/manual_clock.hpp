#pragma once

#include "pawl/clock.hpp"

#include <cstddef>
#include <memory>
#include <optional>

namespace pawl::testing {

/// A clock that moves only when the test says so; it drives all time of an engine: retries,
/// timeouts, delays, time limits and the times in records.
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

    /// Moves time on and ends the waits that are over then, the earliest first. Their handlers run
    /// when their executors do. Waits that they begin are measured from the new time.
    void advance(duration span);

    /// Sets the wall clock forward, or back: what now() says, and no wait, as when somebody
    /// corrects a machine's time.
    void step(duration by);

    /// When the earliest wait ends, by the present wall clock; empty when nobody waits.
    std::optional<time_point> next_wait() const;

    /// Waits that are under way.
    std::size_t waits() const;

private:
    class state;
    class manual_timer;
    std::shared_ptr<state> state_;
};

} // namespace pawl::testing
