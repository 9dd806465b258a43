#pragma once

#include "pawl/retry_policy.hpp"

#include <exception>
#include <string>

namespace pawl::engine_detail {

/// Whether an error must not be repeated: a payload or a recorded effect cannot be read, or the
/// policy says so. A predicate that throws says no; `problem` tells what it threw.
bool is_permanent(const retry_policy& policy, const std::exception_ptr& failure,
                  std::string& problem);

/// Whether a function failed because of what Pawl runs on: a store that fails, an engine that is
/// overloaded or stops. The event that the function was called for is not to blame.
bool is_infrastructure_failure(const std::exception_ptr& failure);

} // namespace pawl::engine_detail
