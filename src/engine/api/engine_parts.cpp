#include "engine/api/engine_parts.hpp"

#include "engine/cluster/shard_manager.hpp"

namespace pawl::engine_detail {

bool engine_parts::mark_too_old(engine_workflow& entry)
{
    if (entry.too_old.exchange(true))
        return false;
    shards->recheck_leases();
    return true;
}

} // namespace pawl::engine_detail
