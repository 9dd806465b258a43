#include "engine/cluster/definition_log.hpp"

#include "core/stable_hash.hpp"
#include "pawl/codec.hpp"
#include "pawl/error.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace pawl::engine_detail {

namespace asio = boost::asio;

namespace {

/// The newest definitions of a workflow that are kept.
constexpr std::size_t max_definitions = 256;
constexpr std::size_t events_per_page = 100;

/// The topic with the name of each workflow that has a log. Stored: never change.
constexpr const char* workflows_topic = "pawl.workflows";

/// Stored: never change.
std::string topic_of(const std::string& workflow)
{
    return "pawl.definitions/" + workflow;
}

declared_workflow declared_by(const definition& rules)
{
    declared_workflow declared;
    declared.object_version = rules.object_version;
    declared.hooks = rules.hooks;
    for (const auto& status : rules.statuses) {
        declared_status added{
            status.id, status.label, status.step.has_value(), {}, status.callbacks};
        for (const auto& timeout : status.timeouts)
            added.timeouts.push_back(timeout.name);
        declared.statuses.push_back(std::move(added));
    }
    return declared;
}

std::string text_of(const declared_workflow& declared)
{
    std::string text;
    codec<declared_workflow>::encode(declared, text);
    return text;
}

std::string id_of(const std::string& text)
{
    return fmt::format("{:016x}-{}", core::fnv1a(text), text.size());
}

/// @param own_position 0 if `rules` is started for the first time, and so is the newest.
bool is_newer(const declared_workflow& other, std::uint64_t position, const definition& rules,
              std::uint64_t own_position)
{
    if (other.object_version != rules.object_version)
        return other.object_version > rules.object_version;
    return own_position != 0 && position > own_position;
}

bool contains(const std::vector<std::string>& names, const std::string& name)
{
    return std::ranges::find(names, name) != names.end();
}

} // namespace

const declared_status* declared_workflow::find(int status) const noexcept
{
    const auto found = std::ranges::find(statuses, status, &declared_status::number);
    return found == statuses.end() ? nullptr : &*found;
}

std::string definition_id(const definition& rules)
{
    return id_of(text_of(declared_by(rules)));
}

asio::awaitable<std::vector<logged_definition>> read_definitions(record_store& store,
                                                                 std::string workflow)
{
    std::vector<logged_definition> found;
    const auto topic = topic_of(workflow);
    std::uint64_t end = 0;
    for (bool more = true; more;) {
        const auto events = co_await store.topic_events(topic, end, events_per_page);
        more = events.size() == events_per_page;
        for (const auto& event : events) {
            end = event.position;
            found.push_back({event.position, codec<declared_workflow>::decode(event.payload),
                             event.id, event.at});
        }
    }
    co_return found;
}

asio::awaitable<std::vector<std::string>> read_workflow_names(record_store& store)
{
    std::vector<std::string> names;
    std::uint64_t end = 0;
    for (bool more = true; more;) {
        auto events = co_await store.topic_events(workflows_topic, end, events_per_page);
        more = events.size() == events_per_page;
        for (auto& event : events) {
            end = event.position;
            names.push_back(std::move(event.id));
        }
    }
    co_return names;
}

asio::awaitable<definition_log> definition_log::read(record_store& store, const definition& rules)
{
    definition_log log;
    log.rules_ = &rules;
    log.entries_ = co_await read_definitions(store, rules.name);
    const auto own = std::ranges::find(log.entries_, definition_id(rules), &logged_definition::id);
    if (own != log.entries_.end())
        log.position_ = own->position;
    if (!log.entries_.empty())
        log.end_ = log.entries_.back().position;
    co_return log;
}

asio::awaitable<void> definition_log::append(record_store& store, time_point now)
{
    if (position_ != 0)
        co_return;
    const auto declared = declared_by(*rules_);
    publication added{topic_of(rules_->name), {}};
    added.content.payload = text_of(declared);
    added.content.id = id_of(added.content.payload);
    added.content.type = "definition";
    added.content.at = now;
    publication name{workflows_topic, {}};
    name.content.id = rules_->name;
    name.content.type = "workflow";
    name.content.at = now;
    const auto id = added.content.id;
    std::vector<change> batch{std::move(added), std::move(name)};
    if (entries_.size() >= max_definitions)
        batch.emplace_back(topic_trim{topic_of(rules_->name),
                                      entries_[entries_.size() - max_definitions].position});
    const auto results = co_await store.apply(batch);
    position_ = results.front().sequence;
    entries_.push_back({position_, declared, id, now});
}

bool definition_log::is_newer(const logged_definition& other) const noexcept
{
    return engine_detail::is_newer(other.declared, other.position, *rules_, position_);
}

bool definition_log::outdated() const noexcept
{
    return std::ranges::any_of(entries_,
                               [this](const logged_definition& other) { return is_newer(other); });
}

bool definition_log::is_newer(int status) const noexcept
{
    return std::ranges::any_of(entries_, [&](const logged_definition& other) {
        return is_newer(other) && other.declared.find(status);
    });
}

std::vector<relabeled_status> definition_log::relabeled() const
{
    std::vector<relabeled_status> found;
    if (position_ != 0)
        return found;
    for (const auto& status : rules_->statuses) {
        // The label of an enum without a description is its number, and identifies nothing.
        const auto number = std::to_string(status.id);
        std::vector<std::string> before;
        for (const auto& earlier : entries_)
            if (const auto* known = earlier.declared.find(status.id);
                known && known->label != number)
                before.push_back(known->label);
        const bool declared = std::ranges::any_of(rules_->renamed, [&](const auto& renamed) {
            return renamed.first == status.id && contains(before, renamed.second);
        });
        if (!before.empty() && status.label != number && !contains(before, status.label) &&
            !declared)
            found.push_back({status.id, status.label, before.back()});
    }
    return found;
}

std::vector<std::string> definition_log::changes(int status) const
{
    std::vector<std::string> found;
    const auto* current = rules_->find(status);
    const auto* before = entries_.empty() ? nullptr : entries_.back().declared.find(status);
    if (position_ != 0 || !current || !before)
        return found;
    if (current->step && !before->step)
        found.emplace_back("its step was added: it runs for those that enter the status from now "
                           "on");
    for (const auto& timeout : current->timeouts)
        if (!contains(before->timeouts, timeout.name))
            found.push_back("its timeout \"" + timeout.name +
                            "\" was added: it is armed for those that enter the status from now "
                            "on");
    for (const auto& timeout : before->timeouts)
        if (!current->find_timeout(timeout))
            found.push_back("its timeout \"" + timeout +
                            "\" was removed: its deadlines are dropped");
    for (const auto& callback : before->callbacks)
        if (!contains(current->callbacks, callback))
            found.push_back("its callback \"" + callback +
                            "\" was removed: messages for it stay in the inbox");
    return found;
}

asio::awaitable<void> check_for_newer_definitions(engine_parts& shared)
{
    for (auto& [name, entry] : shared.workflows) {
        const auto position = entry.definition_position.load();
        if (position == 0 || entry.outdated)
            continue;
        const auto topic = topic_of(name);
        const auto end = co_await shared.store.topic_end(topic);
        while (entry.definitions_read < end && !entry.outdated) {
            const auto added =
                co_await shared.store.topic_events(topic, entry.definitions_read, events_per_page);
            for (const auto& event : added)
                if (is_newer(codec<declared_workflow>::decode(event.payload), event.position,
                             entry.impl->rules, position))
                    entry.outdated = true;
            entry.definitions_read = added.empty() ? end : added.back().position;
        }
    }
}

} // namespace pawl::engine_detail
