#pragma once

#include "pawl/run_id.hpp"
#include "pawl/time.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <unordered_set>

namespace pawl::engine_detail {

/// Permits for the attempts of one step that may run at a time, with a line of runs that wait for
/// one.
///
/// Runs wait by id, not in memory. The line is bounded: a run that does not fit stays due in the
/// store, and the earliest such time is remembered, to scan from there again once the line is
/// short.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class step_limiter {
public:
    step_limiter(std::size_t permits, std::size_t max_waiting)
        : free_(permits), max_waiting_(max_waiting)
    {
    }

    bool try_acquire();

    /// Takes a permit, or joins the line (once) and returns false. `due_since` is the run's
    /// wake_at.
    bool acquire_or_wait(run_id run, time_point due_since);

    struct released {
        /// The permit has gone to this run, which the caller wakes.
        std::optional<run_id> granted;
        /// Runs were turned away since this time: the caller scans from there again.
        std::optional<time_point> rescan_from;
    };

    /// Gives a permit back.
    released release();

private:
    std::mutex mutex_;
    std::size_t free_;
    const std::size_t max_waiting_;
    std::deque<run_id> line_;
    std::unordered_set<run_id> in_line_;
    std::optional<time_point> turned_away_;
};

} // namespace pawl::engine_detail
