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
    std::vector<std::uint32_t> claim;   ///< shards without a live owner, to be acquired
    std::vector<std::uint32_t> release; ///< own shards that other engines need
};

/// Distributes the shards of one workflow evenly over its live engines: each engine gets
/// floor(shards / engines), and the first engines in the order of their names get one more. All
/// engines compute the same result from the same facts, so they do not compete for shards.
///
/// @param leases the lease of each shard of the workflow.
/// @param engines the live owners, in order of their names; `self` is one of them.
/// @param turn the number of engines to skip before the first one that gets one more.
shard_plan plan_shards(std::span<const lease> leases, std::span<const std::string> engines,
                       std::string_view self, std::size_t turn = 0);

/// A live engine.
struct engine_facts {
    std::string name;
    std::vector<std::uint32_t> workflows; ///< the first shard of each workflow that it has
    std::vector<std::uint32_t> too_old{}; ///< the workflows with data of a newer program
};

/// The engines that drive the workflow, in order of their names: the engines that have it and are
/// not too old for it, or all that have it if each of them is too old.
std::vector<std::string> driving_engines(std::uint32_t workflow,
                                         std::span<const engine_facts> engines);

/// Distributes the shards of all workflows of `self`, those of each workflow over the engines that
/// drive it. The engines that get one more differ from workflow to workflow. An engine that is too
/// old releases its shards.
///
/// @param leases the lease of every shard, in order of the shards.
/// @param engines the live engines, in order of their names; `self` is one of them.
shard_plan plan_shards(std::span<const lease> leases, std::uint32_t shards_per_workflow,
                       std::span<const engine_facts> engines, std::string_view self);

} // namespace pawl::core
