// The planted bug that is active in this process.
#pragma once

#include <string_view>

namespace simulation_test {

/// Whether the bug with this name is active.
bool is_planted(std::string_view bug) noexcept;

/// Activates a bug. The name must outlive the process's use of it.
void plant(std::string_view bug) noexcept;

} // namespace simulation_test
