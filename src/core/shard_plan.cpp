#include "core/shard_plan.hpp"

#include <algorithm>
#include <cassert>
#include <iterator>

namespace pawl::core {

shard_plan plan_shards(std::span<const lease> all, std::span<const std::string> engines,
                       std::string_view self, std::size_t turn)
{
    const auto own = std::ranges::find(engines, self);
    assert(own != engines.end());
    const auto rank =
        (static_cast<std::size_t>(own - engines.begin()) + engines.size() - turn % engines.size()) %
        engines.size();
    const auto quota = all.size() / engines.size() + (rank < all.size() % engines.size() ? 1 : 0);

    shard_plan plan;
    std::size_t held = 0;
    std::vector<std::uint32_t> free;
    for (const auto& each : all) {
        if (each.owner != self) {
            const bool alive = std::ranges::binary_search(engines, each.owner);
            if (!alive)
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

shard_plan plan_shards(std::span<const lease> all, std::uint32_t slices,
                       std::span<const engine_facts> engines, std::string_view self)
{
    shard_plan plan;
    const auto own = std::ranges::find(engines, self, &engine_facts::name);
    assert(own != engines.end());
    for (const auto first : own->workflows) {
        std::vector<std::string> having;
        for (const auto& each : engines)
            if (std::ranges::find(each.workflows, first) != each.workflows.end())
                having.push_back(each.name);
        const auto begin = std::ranges::lower_bound(all, first, {}, &lease::shard);
        const auto end = std::ranges::lower_bound(all, first + slices, {}, &lease::shard);
        const auto part = plan_shards(std::span{begin, end}, having, self, first / slices);
        std::ranges::copy(part.claim, std::back_inserter(plan.claim));
        std::ranges::copy(part.release, std::back_inserter(plan.release));
    }
    return plan;
}

} // namespace pawl::core
