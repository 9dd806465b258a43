#pragma once

#include "pawl/attribute_value.hpp"
#include "pawl/definition.hpp"

#include <vector>

namespace pawl::core {

/// What brings a run from the attributes that its commits have stored to others; both in the order
/// of the names. If a name was added or has gone, all attributes are replaced: the stored ones may
/// have been changed without a commit, see attribute_update.
attribute_changes changes_between(const std::vector<stored_attribute>& before,
                                  const std::vector<stored_attribute>& after);

/// Whether these are the attributes of a workflow, each without a value or with one of its kind.
bool are_declared(const std::vector<stored_attribute>& attributes,
                  const std::vector<attribute_rules>& rules) noexcept;

} // namespace pawl::core
