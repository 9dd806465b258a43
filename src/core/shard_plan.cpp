#include "core/shard_plan.hpp"

#include <algorithm>
#include <cassert>
#include <iterator>

namespace pawl::core {

namespace {

bool contains(std::span<const std::uint32_t> shards, std::uint32_t shard)
{
    return std::ranges::find(shards, shard) != shards.end();
}

/// @param engines the engines that share the shards.
/// @param alive all live engines: only they can own a shard.
shard_plan plan_workflow(std::span<const lease> leases, std::span<const std::string> engines,
                         std::span<const std::string> alive, std::string_view self,
                         std::size_t turn)
{
    const auto position = std::ranges::find(engines, self);
    std::size_t rank = 0;
    std::size_t quota = 0;
    if (position != engines.end()) {
        rank = (static_cast<std::size_t>(position - engines.begin()) + engines.size() -
                turn % engines.size()) %
               engines.size();
        quota = leases.size() / engines.size() + (rank < leases.size() % engines.size() ? 1 : 0);
    }

    shard_plan plan;
    std::size_t held = 0;
    std::vector<std::uint32_t> free;
    for (const auto& lease : leases) {
        if (lease.owner != self) {
            if (!std::ranges::binary_search(alive, lease.owner))
                free.push_back(lease.shard);
        } else if (++held > quota) {
            plan.release.push_back(lease.shard);
        }
    }
    const auto wanted = held < quota ? std::min(quota - held, free.size()) : 0;
    // Each engine starts at a different shard, so that concurrent engines do not claim the same
    // one.
    for (std::size_t i = 0; i < wanted; ++i)
        plan.claim.push_back(free[(free.size() * rank / engines.size() + i) % free.size()]);
    return plan;
}

} // namespace

shard_plan plan_shards(std::span<const lease> leases, std::span<const std::string> engines,
                       std::string_view self, std::size_t turn)
{
    assert(std::ranges::find(engines, self) != engines.end());
    return plan_workflow(leases, engines, engines, self, turn);
}

std::vector<std::string> driving_engines(std::uint32_t workflow,
                                         std::span<const engine_facts> engines)
{
    std::vector<std::string> with_workflow;
    std::vector<std::string> new_enough;
    for (const auto& engine : engines) {
        if (!contains(engine.workflows, workflow))
            continue;
        with_workflow.push_back(engine.name);
        if (!contains(engine.too_old, workflow))
            new_enough.push_back(engine.name);
    }
    return new_enough.empty() ? with_workflow : new_enough;
}

shard_plan plan_shards(std::span<const lease> leases, std::uint32_t shards_per_workflow,
                       std::span<const engine_facts> engines, std::string_view self)
{
    shard_plan plan;
    const auto facts = std::ranges::find(engines, self, &engine_facts::name);
    assert(facts != engines.end());
    std::vector<std::string> alive;
    for (const auto& engine : engines)
        alive.push_back(engine.name);
    for (const auto first : facts->workflows) {
        const auto begin = std::ranges::lower_bound(leases, first, {}, &lease::shard);
        const auto end =
            std::ranges::lower_bound(leases, first + shards_per_workflow, {}, &lease::shard);
        const auto part = plan_workflow(std::span{begin, end}, driving_engines(first, engines),
                                        alive, self, first / shards_per_workflow);
        std::ranges::copy(part.claim, std::back_inserter(plan.claim));
        std::ranges::copy(part.release, std::back_inserter(plan.release));
    }
    return plan;
}

} // namespace pawl::core
