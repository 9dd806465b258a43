#pragma once

#include "pawl/definition.hpp"

#include <string>
#include <vector>

namespace pawl::core {

/// Everything that is wrong with a definition, a sentence each, with statuses by label and number.
/// Empty: an engine can run it.
std::vector<std::string> check_definition(const definition& rules);

/// What is out of its range in a retry policy, a sentence each that begins with the field's name.
std::vector<std::string> retry_problems(const retry_policy& policy);

/// `label (number)`, as the sentences name a status.
std::string status_name(const std::string& label, int status);

} // namespace pawl::core
