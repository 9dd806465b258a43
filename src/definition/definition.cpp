#include "pawl/definition.hpp"

#include <algorithm>

namespace pawl {

std::optional<std::size_t> status_rules::find_timeout(std::string_view timeout) const noexcept
{
    const auto found = std::ranges::find(timeouts, timeout, &timeout_rules::name);
    if (found == timeouts.end())
        return std::nullopt;
    return static_cast<std::size_t>(found - timeouts.begin());
}

const status_rules* definition::find(int status) const noexcept
{
    const auto found = std::ranges::lower_bound(statuses, status, {}, &status_rules::id);
    return found != statuses.end() && found->id == status ? &*found : nullptr;
}

const callback_rules& status_rules::policy_of(std::string_view callback) const noexcept
{
    static const callback_rules default_rules;
    const auto found = std::ranges::find(callbacks, callback) - callbacks.begin();
    const auto index = static_cast<std::size_t>(found);
    return index < callback_policies.size() ? callback_policies[index] : default_rules;
}

const used_workflow* definition::find_used(std::string_view other) const noexcept
{
    const auto found = std::ranges::find(uses, other, &used_workflow::name);
    return found == uses.end() ? nullptr : &*found;
}

std::optional<int> definition::successor(int status) const noexcept
{
    const auto found = std::ranges::find(retired, status, &std::pair<int, int>::first);
    return found != retired.end() ? std::optional{found->second} : std::nullopt;
}

std::string definition::label(int status) const
{
    const auto* rules = find(status);
    return rules ? rules->label : std::to_string(status);
}

} // namespace pawl
