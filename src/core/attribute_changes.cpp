#include "core/attribute_changes.hpp"

#include <algorithm>

namespace pawl::core {

attribute_changes changes_between(const std::vector<stored_attribute>& before,
                                  const std::vector<stored_attribute>& after)
{
    attribute_changes changes;
    if (before == after)
        return changes;
    changes.replaces_all =
        !std::ranges::equal(before, after, {}, &stored_attribute::name, &stored_attribute::name);
    for (std::size_t i = 0; i < after.size(); ++i)
        if (changes.replaces_all ? after[i].value.has_value() : after[i] != before[i])
            changes.values.push_back(after[i]);
    return changes;
}

bool are_declared(const std::vector<stored_attribute>& attributes,
                  const std::vector<attribute_rules>& rules) noexcept
{
    return std::ranges::equal(attributes, rules,
                              [](const stored_attribute& stored, const attribute_rules& declared) {
                                  return stored.name == declared.name &&
                                         (!stored.value || kind_of(*stored.value) == declared.kind);
                              });
}

} // namespace pawl::core
