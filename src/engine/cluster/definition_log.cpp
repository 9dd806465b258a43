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

/// Definitions that are kept of a workflow: those of the programs that were first started last.
constexpr std::size_t most_definitions = 256;
constexpr std::size_t events_per_page = 100;

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

/// @param own_position 0: it is started for the first time, so later than all.
bool is_newer(const declared_workflow& other, std::uint64_t position, const definition& own,
              std::uint64_t own_position)
{
    if (other.object_version != own.object_version)
        return other.object_version > own.object_version;
    return own_position != 0 && position > own_position;
}

bool contains(const std::vector<std::string>& names, const std::string& name)
{
    return std::ranges::find(names, name) != names.end();
}

} // namespace

const declared_status* declared_workflow::find(int status) const noexcept
{
    const auto at = std::ranges::find(statuses, status, &declared_status::number);
    return at == statuses.end() ? nullptr : &*at;
}

asio::awaitable<definition_log> definition_log::read(record_store& store, const definition& own)
{
    definition_log log;
    log.own_ = &own;
    const auto topic = topic_of(own.name);
    const auto id = id_of(text_of(declared_by(own)));
    for (bool more = true; more;) {
        const auto events = co_await store.topic_events(topic, log.end_, events_per_page);
        more = events.size() == events_per_page;
        for (const auto& event : events) {
            log.end_ = event.position;
            if (event.id == id)
                log.position_ = event.position;
            log.entries_.push_back(
                {event.position, codec<declared_workflow>::decode(event.payload)});
        }
    }
    co_return log;
}

asio::awaitable<void> definition_log::append(record_store& store, time_point now)
{
    if (position_ != 0)
        co_return;
    const auto declared = declared_by(*own_);
    publication added{topic_of(own_->name), {}};
    added.content.payload = text_of(declared);
    added.content.id = id_of(added.content.payload);
    added.content.type = "definition";
    added.content.at = now;
    std::vector<change> batch{std::move(added)};
    if (entries_.size() >= most_definitions)
        batch.emplace_back(topic_trim{topic_of(own_->name),
                                      entries_[entries_.size() - most_definitions].position});
    const auto results = co_await store.apply(batch);
    position_ = results.front().sequence;
    entries_.push_back({position_, declared});
}

bool definition_log::is_newer(const entry& other) const noexcept
{
    return engine_detail::is_newer(other.declared, other.position, *own_, position_);
}

bool definition_log::outdated() const noexcept
{
    return std::ranges::any_of(entries_, [this](const entry& each) { return is_newer(each); });
}

bool definition_log::is_newer(int status) const noexcept
{
    return std::ranges::any_of(
        entries_, [&](const entry& each) { return is_newer(each) && each.declared.find(status); });
}

std::vector<relabeled_status> definition_log::relabeled() const
{
    std::vector<relabeled_status> found;
    if (position_ != 0)
        return found;
    for (const auto& status : own_->statuses) {
        // The label of an enum that is not described is its number, and says nothing.
        const auto number = std::to_string(status.id);
        std::vector<std::string> before;
        for (const auto& each : entries_)
            if (const auto* known = each.declared.find(status.id); known && known->label != number)
                before.push_back(known->label);
        const bool said = std::ranges::any_of(own_->renamed, [&](const auto& renamed) {
            return renamed.first == status.id && contains(before, renamed.second);
        });
        if (!before.empty() && status.label != number && !contains(before, status.label) && !said)
            found.push_back({status.id, status.label, before.back()});
    }
    return found;
}

std::vector<std::string> definition_log::changes(int status) const
{
    std::vector<std::string> found;
    const auto* own = own_->find(status);
    const auto* before = entries_.empty() ? nullptr : entries_.back().declared.find(status);
    if (position_ != 0 || !own || !before)
        return found;
    if (own->step && !before->step)
        found.emplace_back("its step was added: it runs for those that enter the status from now "
                           "on");
    for (const auto& timeout : own->timeouts)
        if (!contains(before->timeouts, timeout.name))
            found.push_back("its timeout \"" + timeout.name +
                            "\" was added: it is armed for those that enter the status from now "
                            "on");
    for (const auto& timeout : before->timeouts)
        if (!own->find_timeout(timeout))
            found.push_back("its timeout \"" + timeout +
                            "\" was removed: its deadlines are dropped");
    for (const auto& callback : before->callbacks)
        if (!contains(own->callbacks, callback))
            found.push_back("its callback \"" + callback +
                            "\" was removed: messages for it stay in the inbox");
    return found;
}

asio::awaitable<void> look_for_newer_definitions(engine_parts& shared)
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
