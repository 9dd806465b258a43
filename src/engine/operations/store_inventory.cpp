#include "engine/operations/store_inventory.hpp"

#include "core/reserved_names.hpp"
#include "core/text.hpp"
#include "engine/cluster/shard_manager.hpp"
#include "pawl/error.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace pawl::engine_detail {

namespace asio = boost::asio;

namespace {

status_view view_of(const declared_status& declared)
{
    return {declared.number, declared.label, declared.step, declared.timeouts, declared.callbacks};
}

definition_view view_of(const std::string& workflow, const logged_definition& logged)
{
    definition_view view;
    view.workflow = workflow;
    view.hash = logged.id;
    view.position = logged.position;
    view.first_started_at = logged.at;
    view.object_version = logged.declared.object_version;
    view.hooks = logged.declared.hooks;
    for (const auto& status : logged.declared.statuses)
        view.statuses.push_back(view_of(status));
    std::ranges::sort(view.statuses, {}, &status_view::status);
    return view;
}

} // namespace

void status_labels::add(const definition& rules)
{
    auto& known = labels_[rules.name];
    for (const auto& status : rules.statuses)
        known[status.id] = status.label;
}

void status_labels::add(const std::string& workflow,
                        const std::vector<logged_definition>& definitions)
{
    auto& known = labels_[workflow];
    for (const auto& logged : definitions)
        for (const auto& status : logged.declared.statuses)
            known[status.number] = status.label;
}

std::string status_labels::label(std::string_view workflow, int status) const
{
    const auto known = labels_.find(workflow);
    if (known != labels_.end())
        if (const auto found = known->second.find(status); found != known->second.end())
            return found->second;
    return std::to_string(status);
}

int status_labels::number(std::string_view workflow, const std::string& text) const
{
    if (const auto known = labels_.find(workflow); known != labels_.end())
        for (const auto& [status, label] : known->second)
            if (label == text)
                return status;
    int status = 0;
    const auto* const end = text.data() + text.size();
    const auto read = std::from_chars(text.data(), end, status);
    if (text.empty() || read.ptr != end || read.ec != std::errc{})
        throw error(errc::invalid_argument,
                    core::quoted(text) + " is no status of workflow " +
                        core::quoted(std::string{workflow}) +
                        ": give the label of one of its statuses, or a number");
    return status;
}

asio::awaitable<std::vector<std::string>> store_inventory::workflows() const
{
    std::set<std::string> names;
    for (const auto& [name, entry] : shared_.workflows)
        names.insert(name);
    const auto counts = co_await shared_.store.count("", false);
    for (const auto& count : counts)
        names.insert(count.workflow);
    const auto logged = co_await read_workflow_names(shared_.store);
    names.insert(logged.begin(), logged.end());
    std::erase_if(names, [](const auto& name) { return name.starts_with(core::reserved_prefix); });
    co_return std::vector<std::string>{names.begin(), names.end()};
}

asio::awaitable<void> store_inventory::add_labels(std::set<std::string> names,
                                                  status_labels& labels) const
{
    for (const auto& name : names) {
        if (labels.knows(name))
            continue;
        const auto own = shared_.workflows.find(name);
        if (own != shared_.workflows.end()) {
            labels.add(own->second.impl->rules);
            continue;
        }
        const auto logged = co_await read_definitions(shared_.store, name);
        labels.add(name, logged);
    }
}

asio::awaitable<std::set<std::string>> store_inventory::driven(std::vector<std::string> names) const
{
    std::set<std::string> found;
    // Schedules are in the shards of the workflows that they trigger.
    std::erase_if(names, [](const auto& name) { return name.starts_with(core::reserved_prefix); });
    if (!shared_.store.shared()) {
        for (auto& name : names)
            if (!client_only_ && shared_.workflows.contains(name))
                found.insert(std::move(name));
        co_return found;
    }
    if (names.empty())
        co_return found;
    const auto alive = co_await shared_.shards->engines();
    const auto first_shards = co_await shared_.store.first_shards(names);
    for (std::size_t i = 0; i < names.size(); ++i)
        for (const auto& engine : alive)
            if (std::ranges::find(engine.workflows, first_shards.at(i)) != engine.workflows.end())
                found.insert(names[i]);
    co_return found;
}

asio::awaitable<engines_view> store_inventory::engines() const
{
    engines_view view;
    const auto names = co_await workflows();
    std::map<std::uint32_t, std::string> by_shard;
    std::vector<core::engine_facts> alive;
    const auto slices = shared_.store.shards();
    if (shared_.store.shared()) {
        const auto first_shards = co_await shared_.store.first_shards(names);
        for (std::size_t i = 0; i < names.size(); ++i)
            by_shard.emplace(first_shards.at(i), names[i]);
        alive = co_await shared_.shards->engines();
    } else if (!client_only_) {
        alive.push_back({shared_.shards->owner(), {}, {}});
    }
    const auto leases = co_await shared_.store.leases();
    for (const auto& held : leases) {
        const auto home = by_shard.find(held.shard - held.shard % slices);
        view.shards.push_back({held, home == by_shard.end() ? std::string{} : home->second});
    }
    const auto named = [&](const std::vector<std::uint32_t>& shards) {
        std::vector<std::string> found;
        for (const auto shard : shards)
            if (const auto home = by_shard.find(shard); home != by_shard.end())
                found.push_back(home->second);
        std::ranges::sort(found);
        return found;
    };
    for (const auto& engine : alive) {
        engine_view added{engine.name, named(engine.workflows), named(engine.too_old)};
        added.is_self = engine.name == shared_.shards->owner();
        if (!shared_.store.shared())
            for (const auto& name : names)
                if (shared_.workflows.contains(name))
                    added.workflows.push_back(name);
        added.shards = static_cast<std::size_t>(
            std::ranges::count(leases, engine.name, [](const lease& held) { return held.owner; }));
        view.engines.push_back(std::move(added));
    }
    const auto counts = co_await shared_.store.count("", true);
    std::set<std::string> unfinished;
    for (const auto& count : counts)
        if (!count.workflow.starts_with(core::reserved_prefix))
            unfinished.insert(count.workflow);
    const auto has_engine = co_await driven({unfinished.begin(), unfinished.end()});
    std::ranges::set_difference(unfinished, has_engine, std::back_inserter(view.undriven));
    co_return view;
}

asio::awaitable<workflow_view> store_inventory::definitions_of(std::string workflow) const
{
    workflow_view view;
    view.workflow = std::move(workflow);
    const auto own = shared_.workflows.find(view.workflow);
    const auto own_id =
        own == shared_.workflows.end() ? std::string{} : definition_id(own->second.impl->rules);
    const auto logged = co_await read_definitions(shared_.store, view.workflow);
    for (const auto& entry : logged) {
        view.definitions.push_back(view_of(view.workflow, entry));
        view.definitions.back().is_own = entry.id == own_id;
    }
    co_return view;
}

asio::awaitable<std::pair<std::uint32_t, std::uint32_t>>
store_inventory::shards_of(std::string workflow) const
{
    const auto slices = shared_.store.shards();
    if (!shared_.store.shared())
        co_return std::pair{std::uint32_t{0}, slices};
    if (workflow.empty() || workflow.starts_with(core::reserved_prefix)) {
        const auto leases = co_await shared_.store.leases();
        const auto end = leases.empty() ? 0 : leases.back().shard + 1;
        co_return std::pair{std::uint32_t{0}, end};
    }
    const auto first_shards = co_await shared_.store.first_shards({workflow});
    co_return std::pair{first_shards.at(0), first_shards.at(0) + slices};
}

} // namespace pawl::engine_detail
