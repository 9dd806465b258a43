#pragma once

#include <string_view>

namespace pawl::core {

/// The workflow whose runs are schedules. The names that begin like it are Pawl's own.
inline constexpr std::string_view schedules_workflow = "pawl.schedules";
inline constexpr std::string_view reserved_prefix = "pawl.";

} // namespace pawl::core
