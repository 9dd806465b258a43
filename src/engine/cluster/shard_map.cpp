#include "engine/cluster/shard_map.hpp"

#include "pawl/record_store.hpp"

#include <algorithm>
#include <utility>

namespace pawl::engine_detail {

shard_map::shard_map(std::uint32_t slices,
                     std::map<std::string, std::uint32_t, std::less<>> first_shards)
    : slices_(slices), count_(0), common_(false), first_shards_(std::move(first_shards))
{
    for (const auto& [workflow, first] : first_shards_)
        count_ = std::max(count_, first + slices_);
}

std::uint32_t shard_map::shard_of(std::string_view workflow, std::string_view foreign_id) const
{
    const auto slice = pawl::shard_of(foreign_id, slices_);
    if (common_)
        return slice;
    const auto home = first_shards_.find(shard_home(workflow, foreign_id));
    return home == first_shards_.end() ? count_ : home->second + slice;
}

shard_map::range shard_map::shards_of(std::string_view workflow) const
{
    if (common_)
        return {0, slices_};
    const auto known = first_shards_.find(workflow);
    return known == first_shards_.end() ? range{} : range{known->second, known->second + slices_};
}

} // namespace pawl::engine_detail
