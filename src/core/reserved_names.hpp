#pragma once

#include <string_view>

namespace pawl::core {

/// Workflow names with this prefix are reserved for Pawl.
inline constexpr std::string_view reserved_prefix = "pawl.";

/// The workflow whose runs are schedules.
inline constexpr std::string_view schedules_workflow = "pawl.schedules";

/// The workflow whose runs are the numbers of limits that operators have set.
inline constexpr std::string_view limits_workflow = "pawl.limits";

} // namespace pawl::core
