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

/// Spreads shards evenly over the engines that are alive: each gets the whole part of shards by
/// engines, and the first ones in the order of their names one more. All engines come to the same
/// result from the same facts, so that none takes what another is about to take.
///
/// @param all every shard's lease.
/// @param engines the owners that are alive, in order of their names; `self` is one of them.
shard_plan plan_shards(std::span<const lease> all, std::span<const std::string> engines,
                       std::string_view self);

} // namespace pawl::core
