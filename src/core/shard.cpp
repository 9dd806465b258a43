#include "core/hash.hpp"
#include "pawl/record_store.hpp"

namespace pawl {

std::uint32_t shard_of(std::string_view foreign_id, std::uint32_t shards) noexcept
{
    // The remainder is taken of an unsigned number: a signed one would give negative shards.
    return static_cast<std::uint32_t>(core::mix(core::fnv1a(foreign_id)) % shards);
}

} // namespace pawl
