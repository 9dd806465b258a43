#pragma once

#include "core/stimulus.hpp"
#include "engine/run/loaded_run.hpp"
#include "engine/run/run_limiter.hpp"

#include <cstdint>
#include <optional>
#include <utility>

namespace pawl::engine_detail {

/// What a run must have before a handler of it begins, besides a place in active_runs: a permit of
/// the limits of its step, and admission of a run that may have ended its engine's process.
class handler_admission {
public:
    explicit handler_admission(loaded_run& run) : run_(run) {}

    /// Before the activation begins.
    void give_permit(step_permit granted) { permit_ = std::move(granted); }

    /// Acquires a permit for the step of the run's status. True if the step has no limit.
    bool acquire_permit();
    void release_permit();

    /// An attempt begins: it counts, whatever becomes of it.
    void use_permit() noexcept { permit_.used = true; }

    /// Lines the run up for a permit. Called when it is no longer active, because a grant to an
    /// active run is passed on. If a permit has become free meanwhile, it is granted at once.
    void wait_for_permit();

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
    step_permit permit_;
    lane_key wanted_;                      ///< the keys for which acquire_permit() failed
    std::uint32_t admitted_suspicion_ = 0; ///< 0: the run is not among the admitted suspects
};

} // namespace pawl::engine_detail
