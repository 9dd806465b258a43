// The topics and roles of a memory store.
#include "stores/memory/state.hpp"

#include <algorithm>

namespace pawl::memory {

apply_result state::apply_one(const publication& change)
{
    topic_entry& topic = topics_[change.topic];
    const auto position = topic.first + topic.events.size();
    if (const auto& id = change.content.id; !id.empty()) {
        const auto [same, is_new] = topic.by_id.emplace(id, position);
        if (!is_new)
            return {.status = apply_status::duplicate, .sequence = same->second};
    }
    topic.events.push_back(change.content);
    topic.events.back().position = position;
    return {.sequence = position};
}

apply_result state::apply_one(const topic_trim& change)
{
    const auto found = topics_.find(change.topic);
    if (found == topics_.end())
        return {};
    topic_entry& topic = found->second;
    for (; !topic.events.empty() && topic.first <= change.up_to; ++topic.first) {
        topic.by_id.erase(topic.events.front().id);
        topic.events.pop_front();
    }
    return {};
}

std::vector<stream_event> state::topic_events(std::string_view topic, std::uint64_t after,
                                              std::size_t limit) const
{
    std::vector<stream_event> found;
    const auto named = topics_.find(topic);
    if (named == topics_.end() || after == ~std::uint64_t{})
        return found;
    const topic_entry& entry = named->second;
    for (auto i = std::max(after + 1, entry.first) - entry.first;
         i < entry.events.size() && found.size() < limit; ++i)
        found.push_back(entry.events[i]);
    return found;
}

std::uint64_t state::topic_end(std::string_view topic) const
{
    const auto named = topics_.find(topic);
    return named == topics_.end() ? 0 : named->second.first + named->second.events.size() - 1;
}

std::optional<role_lease> state::claim_role(std::string_view role, std::string_view owner,
                                            time_point now, time_point until)
{
    core::check_role(role);
    core::check_owner(owner);
    role_entry& entry = roles_[std::string{role}];
    const bool is_owner = entry.owner == owner;
    if (!is_owner && !entry.owner.empty() && entry.until > now)
        return {};
    if (!is_owner)
        ++entry.epoch;
    entry.owner = owner;
    entry.until = until;
    return role_lease{std::string{role}, entry.epoch, entry.owner, until};
}

void state::release_role(const role_lease& held)
{
    const auto found = roles_.find(held.role);
    if (found != roles_.end() && found->second.epoch == held.epoch)
        found->second.owner.clear();
}

std::vector<role_lease> state::roles(std::string_view prefix, time_point now) const
{
    std::vector<role_lease> held;
    for (auto role = roles_.lower_bound(prefix);
         role != roles_.end() && role->first.starts_with(prefix); ++role)
        if (const auto& entry = role->second; !entry.owner.empty() && entry.until > now)
            held.push_back({role->first, entry.epoch, entry.owner, entry.until});
    return held;
}

void state::forget_roles(std::string_view prefix, time_point now)
{
    for (auto role = roles_.lower_bound(prefix);
         role != roles_.end() && role->first.starts_with(prefix);)
        if (role->second.owner.empty() || role->second.until <= now)
            role = roles_.erase(role);
        else
            ++role;
}

} // namespace pawl::memory
