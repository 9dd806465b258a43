#include "pawl/definition.hpp"

#include <algorithm>

namespace pawl {

std::optional<std::size_t> status_rules::find_timeout(std::string_view timeout) const noexcept
{
    const auto at = std::ranges::find(timeouts, timeout, &timeout_rules::name);
    if (at == timeouts.end())
        return std::nullopt;
    return static_cast<std::size_t>(at - timeouts.begin());
}

const status_rules* definition::find(int status) const noexcept
{
    const auto at = std::ranges::lower_bound(statuses, status, {}, &status_rules::id);
    return at != statuses.end() && at->id == status ? &*at : nullptr;
}

const callback_rules& status_rules::policy_of(std::string_view callback) const noexcept
{
    static const callback_rules usual;
    const auto at = std::ranges::find(callbacks, callback) - callbacks.begin();
    const auto index = static_cast<std::size_t>(at);
    return index < callback_policies.size() ? callback_policies[index] : usual;
}

std::optional<int> definition::successor(int status) const noexcept
{
    const auto at = std::ranges::find(retired, status, &std::pair<int, int>::first);
    return at != retired.end() ? std::optional{at->second} : std::nullopt;
}

std::string definition::label(int status) const
{
    const auto* rules = find(status);
    return rules ? rules->label : std::to_string(status);
}

} // namespace pawl
