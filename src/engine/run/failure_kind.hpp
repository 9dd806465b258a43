#pragma once

#include "pawl/retry_policy.hpp"

#include <exception>
#include <string>

namespace pawl::engine_detail {

/// Whether the failed attempt must not be retried: a payload or a recorded effect cannot be read,
/// or the policy says so. If the policy's predicate throws, returns false and describes the
/// exception in `problem`.
bool is_permanent(const retry_policy& policy, const std::exception_ptr& failure,
                  std::string& problem);

/// Whether the cause is infrastructure, and not the event for which the function was called: the
/// store fails, or the engine is overloaded or stops.
bool is_infrastructure_failure(const std::exception_ptr& failure);

} // namespace pawl::engine_detail
