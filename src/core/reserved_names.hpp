#pragma once

#include <string_view>

namespace pawl::core {

/// Workflow names with this prefix are reserved for Pawl.
inline constexpr std::string_view reserved_prefix = "pawl.";

/// The workflow whose runs are schedules.
inline constexpr std::string_view schedules_workflow = "pawl.schedules";

/// The workflow whose runs are the bulk changes that operators have started.
inline constexpr std::string_view bulk_workflow = "pawl.bulk";

/// Whether the runs of the workflow are in the shards of other workflows, see shard_home().
constexpr bool has_shard_homes(std::string_view workflow) noexcept
{
    return workflow == schedules_workflow || workflow == bulk_workflow;
}

/// The workflow whose runs are the numbers of limits that operators have set.
inline constexpr std::string_view limits_workflow = "pawl.limits";

} // namespace pawl::core
