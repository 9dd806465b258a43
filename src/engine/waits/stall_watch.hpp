#pragma once

#include "engine/api/context.hpp"

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>

namespace pawl::engine_detail {

/// Notices that an engine stands still: runs are due, all places are taken, and none has become
/// free for a while. Says so in the log, once and then now and then, and says when it is over.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: check_places() is called by one thread at a time; the
/// others are safe.
class stall_watch {
public:
    /// Since the last place became free.
    static constexpr duration stall_time = std::chrono::seconds{10};

    /// Between two lines of one stall.
    static constexpr duration repeat_time = std::chrono::minutes{5};

    explicit stall_watch(context& shared) : shared_(shared) {}

    /// Looks at the places. `steps_wait` says that runs wait for a place, `urgent_wait` that runs
    /// wait for one of the reserve. Gives the time at which to look again, if that matters.
    std::optional<time_point> check_places(bool steps_wait, bool urgent_wait,
                                           std::optional<time_point> longest_due);

    /// How long the engine stands still; zero while it does not.
    duration stalled_for() const noexcept;

private:
    void report(time_point now, bool urgent_wait, std::optional<time_point> longest_due) const;
    std::string busiest() const;

    context& shared_;
    std::uint64_t freed_ = 0;
    bool stuck_ = false;
    bool waits_ = false; ///< urgent work does
    time_point since_{};
    time_point reported_{};
    std::atomic<time_point::rep> stalled_since_{0};
};

} // namespace pawl::engine_detail
