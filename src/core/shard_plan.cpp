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

/// @param engines those that share the shards.
/// @param alive those that may have some.
shard_plan plan_for(std::span<const lease> all, std::span<const std::string> engines,
                    std::span<const std::string> alive, std::string_view self, std::size_t turn)
{
    const auto own = std::ranges::find(engines, self);
    std::size_t rank = 0;
    std::size_t quota = 0;
    if (own != engines.end()) {
        rank = (static_cast<std::size_t>(own - engines.begin()) + engines.size() -
                turn % engines.size()) %
               engines.size();
        quota = all.size() / engines.size() + (rank < all.size() % engines.size() ? 1 : 0);
    }

    shard_plan plan;
    std::size_t held = 0;
    std::vector<std::uint32_t> free;
    for (const auto& each : all) {
        if (each.owner != self) {
            if (!std::ranges::binary_search(alive, each.owner))
                free.push_back(each.shard);
        } else if (++held > quota) {
            plan.release.push_back(each.shard);
        }
    }
    const auto wanted = held < quota ? std::min(quota - held, free.size()) : 0;
    // Each engine begins at another place, so that those who look at once do not all take the same.
    for (std::size_t i = 0; i < wanted; ++i)
        plan.claim.push_back(free[(free.size() * rank / engines.size() + i) % free.size()]);
    return plan;
}

} // namespace

shard_plan plan_shards(std::span<const lease> all, std::span<const std::string> engines,
                       std::string_view self, std::size_t turn)
{
    assert(std::ranges::find(engines, self) != engines.end());
    return plan_for(all, engines, engines, self, turn);
}

std::vector<std::string> driving_engines(std::uint32_t workflow,
                                         std::span<const engine_facts> engines)
{
    std::vector<std::string> having;
    std::vector<std::string> new_enough;
    for (const auto& each : engines) {
        if (!contains(each.workflows, workflow))
            continue;
        having.push_back(each.name);
        if (!contains(each.too_old, workflow))
            new_enough.push_back(each.name);
    }
    return new_enough.empty() ? having : new_enough;
}

shard_plan plan_shards(std::span<const lease> all, std::uint32_t slices,
                       std::span<const engine_facts> engines, std::string_view self)
{
    shard_plan plan;
    const auto own = std::ranges::find(engines, self, &engine_facts::name);
    assert(own != engines.end());
    std::vector<std::string> alive;
    for (const auto& each : engines)
        alive.push_back(each.name);
    for (const auto first : own->workflows) {
        const auto begin = std::ranges::lower_bound(all, first, {}, &lease::shard);
        const auto end = std::ranges::lower_bound(all, first + slices, {}, &lease::shard);
        const auto part = plan_for(std::span{begin, end}, driving_engines(first, engines), alive,
                                   self, first / slices);
        std::ranges::copy(part.claim, std::back_inserter(plan.claim));
        std::ranges::copy(part.release, std::back_inserter(plan.release));
    }
    return plan;
}

} // namespace pawl::core
