#pragma once

#include "core/stimulus.hpp"
#include "engine/run/concurrency_limiter.hpp"
#include "engine/run/loaded_run.hpp"

#include <cstdint>
#include <optional>

namespace pawl::engine_detail {

/// What a run must have before a handler of it begins, besides a place in active_runs: a slot of
/// the status's concurrency limit, and admission of a run that may have ended its engine's process.
class handler_admission {
public:
    /// @param granted  the limiter of which the run has a slot already; may be null.
    handler_admission(loaded_run& run, concurrency_limiter* granted) : run_(run), slot_(granted) {}

    /// Acquires a slot for the step of the run's status. True if the status has no limit.
    bool acquire_slot();
    void release_slot();

    /// Lines the run up for a slot. Called when it is no longer active, because a grant to an
    /// active run is passed on. If a slot has become free meanwhile, it is granted at once.
    void wait_for_slot();

    /// In a run that may have ended its engine's process: what to store before the handler begins,
    /// or instead of the handler.
    std::optional<core::stimulus> judge_attempt(const core::source& handler);

    /// False when too many other suspects are under way; see crash_suspects.
    bool admit_suspect();
    void release_suspect();

    /// The handler has ended, in whatever way.
    void clear_suspicion();

private:
    loaded_run& run_;
    concurrency_limiter* slot_;
    std::uint32_t admitted_suspicion_ = 0; ///< 0: the run is not among the admitted suspects
};

} // namespace pawl::engine_detail
