#include "core/reserved_names.hpp"
#include "core/stable_hash.hpp"
#include "pawl/record_store.hpp"

namespace pawl {

std::uint32_t shard_of(std::string_view foreign_id, std::uint32_t shards) noexcept
{
    return static_cast<std::uint32_t>(core::mix(core::fnv1a(foreign_id)) % shards);
}

std::string_view shard_home(std::string_view workflow, std::string_view foreign_id) noexcept
{
    if (!core::has_shard_homes(workflow))
        return workflow;
    // A workflow's name contains no '/'.
    return foreign_id.substr(0, foreign_id.find('/'));
}

} // namespace pawl
