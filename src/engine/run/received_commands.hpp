#pragma once

#include "core/stimulus.hpp"
#include "engine/run/loaded_run.hpp"
#include "engine/run/run_commits.hpp"
#include "pawl/message.hpp"

#include <optional>

namespace pawl::engine_detail {

/// The stimulus of a command in the inbox of the run. For a move of a paused run it checks the
/// object by the codec of the workflow, and computes the deadlines of the new status for the next
/// run_commits::decide(). Empty if the run was left to a newer program.
std::optional<core::stimulus> stimulus_of_command(loaded_run& run, run_commits& commits,
                                                  const message& command);

} // namespace pawl::engine_detail
