#pragma once

#include "pawl/definition.hpp"

#include <string>
#include <vector>

namespace pawl::core {

/// All problems of a definition, one sentence each, with the labels and numbers of statuses. Empty
/// when an engine can run it.
std::vector<std::string> check_definition(const definition& rules);

/// The fields of a retry policy that are out of range, one sentence each that begins with the name.
std::vector<std::string> retry_problems(const retry_policy& policy);

/// The numbers of a limit that are out of range, one sentence each that begins with the name.
std::vector<std::string> limit_problems(const limit_options& numbers);

/// Why two steps cannot share a limit of one name, one sentence each without its subject.
std::vector<std::string> limit_conflicts(const step_limit& first, const step_limit& second);

/// `label (number)`, the name of a status in these sentences.
std::string status_name(const std::string& label, int status);

} // namespace pawl::core
