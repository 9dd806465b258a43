#pragma once

#include "rig.hpp"

#include <cstddef>

namespace pawl_bench {

/// The limit of the memory store: the shape of five-step runs in coroutines, strands and posts, and
/// nothing done in them.
///
/// A run is: one post for the trigger's completion, a coroutine spawned on a strand of its own, one
/// coroutine awaited in it for each step, and the way back to who awaits its end. The memory store
/// applies changes in place, so a step posts nothing; where that changes, this has to follow.
load_result drive_coroutines(std::size_t threads, const load& wanted);

} // namespace pawl_bench
