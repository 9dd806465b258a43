#pragma once

#include "rig.hpp"

#include <cstddef>

namespace pawl_bench {

/// The limit of the memory store: the same number of coroutines, strands and posts as five-step
/// runs take, and nothing done in them.
///
/// A run is: one suspension for the trigger's commit, a coroutine spawned on a strand of its own,
/// one suspension there for each step's commit, one for who awaits its end.
load_result drive_coroutines(std::size_t threads, const load& wanted);

} // namespace pawl_bench
