#pragma once

#include "pawl/record_store.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pawl::core {

/// What an engine should do about the shards of a shared store.
struct shard_plan {
    std::vector<std::uint32_t> claim;   ///< try to take these: nobody alive has them
    std::vector<std::uint32_t> release; ///< give these back: others have fewer
};

/// Spreads the shards of one workflow evenly over the engines that have it and are alive: each gets
/// the whole part of shards by engines, and the first ones in the order of their names one more.
/// All engines come to the same result from the same facts, so that none takes what another is
/// about to take.
///
/// @param all the lease of each of the workflow's shards.
/// @param engines the owners that are alive, in order of their names; `self` is one of them.
/// @param turn how many engines to pass over before the first that gets one more.
shard_plan plan_shards(std::span<const lease> all, std::span<const std::string> engines,
                       std::string_view self, std::size_t turn = 0);

/// An engine that is alive.
struct engine_facts {
    std::string name;
    std::vector<std::uint32_t> workflows; ///< the first shards of those that it has
    std::vector<std::uint32_t> too_old{}; ///< of these: those with data that need a newer program
};

/// The engines that drive the workflow, in order of their names: those that have it and are not too
/// old for it; all that have it if each of them is too old.
std::vector<std::string> driving_engines(std::uint32_t workflow,
                                         std::span<const engine_facts> engines);

/// The same for all workflows of `self`: the shards of each are spread over the engines that drive
/// it, and those that get one more are others for each workflow. An engine that is too old gives
/// its shards back.
///
/// @param all every shard's lease, in order of the shards.
/// @param slices the shards of each workflow.
/// @param engines those that are alive, in order of their names; `self` is one of them.
shard_plan plan_shards(std::span<const lease> all, std::uint32_t slices,
                       std::span<const engine_facts> engines, std::string_view self);

} // namespace pawl::core
