#pragma once

#include "engine/api/engine_parts.hpp"

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

namespace pawl::engine_detail {

/// Detects a stalled engine: runs are due, all places are taken, and no place has become free for a
/// while. Logs the stall once, repeats the entry at intervals, and logs the end of the stall.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe, but only one thread at a time may call
/// check_places().
class stall_watch {
public:
    /// The time without a freed place after which the engine counts as stalled.
    static constexpr duration stall_time = std::chrono::seconds{10};

    /// The interval between two log entries about one stall.
    static constexpr duration repeat_time = std::chrono::minutes{5};

    explicit stall_watch(engine_parts& shared) : shared_(shared) {}

    /// Checks the places for runs. Returns when to call this function again, if a stall is
    /// possible.
    ///
    /// @param steps_wait runs wait for a place for steps.
    /// @param urgent_wait runs wait for a place of the reserve.
    std::optional<time_point> check_places(bool steps_wait, bool urgent_wait,
                                           std::optional<time_point> longest_due);

    /// How long the engine has been stalled; zero if it is not.
    duration stalled_for() const noexcept;

private:
    void report(time_point now, bool urgent_wait, std::optional<time_point> longest_due) const;
    std::string describe_handlers() const;

    engine_parts& shared_;
    std::uint64_t freed_ = 0;
    bool no_place_ = false;
    bool urgent_waits_ = false;
    time_point since_{};
    time_point reported_{};
    std::atomic<time_point::rep> stalled_since_{0};
};

} // namespace pawl::engine_detail
