#include "core/saturating_add.hpp"
#include "definition/check_definition.hpp"
#include "pawl/detail/callable.hpp"
#include "pawl/detail/draft.hpp"
#include "pawl/detail/exception_text.hpp"
#include "pawl/error.hpp"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

namespace pawl::detail {

namespace {

void add_edges(status_rules& rules, const std::vector<int>& destinations, edge_cause cause,
               const std::string& name = {})
{
    for (const int destination : destinations)
        if (edge added{destination, cause, name};
            std::ranges::find(rules.edges, added) == rules.edges.end())
            rules.edges.push_back(std::move(added));
}

step_rules merge_options(const handler_options& options, const step_defaults& defaults)
{
    step_rules rules;
    rules.retry = options.retry.value_or(defaults.retry);
    rules.exhausted = options.exhausted;
    rules.attempt_timeout = options.attempt_timeout.value_or(defaults.attempt_timeout);
    rules.max_concurrency = options.max_concurrency.value_or(defaults.max_concurrency);
    rules.start_delay = options.start_delay.value_or(defaults.start_delay);
    for (const auto& used : options.limits)
        rules.limits.push_back(used.rules);
    rules.takes_turns = static_cast<bool>(options.turn_key);
    return rules;
}

status_rules make_rules(int id, const status_draft& draft, const workflow_draft& all)
{
    status_rules rules;
    rules.id = id;
    rules.label = all.label(id);
    rules.end = draft.end;
    for (const auto& step : draft.steps) {
        if (!rules.step)
            rules.step = merge_options(step->options, all.defaults);
        add_edges(rules, step->destinations, edge_cause::step);
        if (step->options.exhausted)
            add_edges(rules, {*step->options.exhausted}, edge_cause::step);
    }
    for (const auto& callback : draft.callbacks) {
        rules.callbacks.push_back(callback.name);
        auto options = merge_options(*callback.options, all.defaults);
        rules.callback_policies.push_back(
            {std::move(options.retry), options.attempt_timeout, options.exhausted});
        add_edges(rules, callback.destinations, edge_cause::callback, callback.name);
        if (options.exhausted)
            add_edges(rules, {*options.exhausted}, edge_cause::callback, callback.name);
    }
    for (const auto& timeout : draft.timeouts) {
        auto options = merge_options(timeout->options, all.defaults);
        rules.timeouts.push_back(
            {timeout->name.empty() ? std::string{unnamed_timeout} : timeout->name,
             std::move(options.retry), options.attempt_timeout});
        add_edges(rules, timeout->destinations, edge_cause::timeout);
    }
    return rules;
}

/// Marks the statuses where runs start: the declared starts, and those without an edge from
/// another.
void mark_starts(definition& rules, const workflow_draft& draft)
{
    const auto has_predecessor = [&](int id) {
        return std::ranges::any_of(rules.statuses, [&](const status_rules& from) {
            return from.id != id &&
                   std::ranges::find(from.edges, id, &edge::to) != from.edges.end();
        });
    };
    auto starts = draft.starts;
    for (const int id : draft.order)
        if (!has_predecessor(id))
            starts.push_back(id);
    for (auto& status : rules.statuses)
        status.start = std::ranges::find(starts, status.id) != starts.end();
    if (!starts.empty())
        rules.default_start = starts.front();
}

definition make_definition(workflow_draft& draft)
{
    definition rules;
    rules.name = draft.name;
    rules.resume_after = draft.resume_after;
    rules.max_auto_resumes = draft.max_auto_resumes;

    rules.object_version = static_cast<std::uint32_t>(draft.upgrades.size()) + 1;
    rules.write_version = draft.write_version.value_or(rules.object_version);
    rules.retired = draft.retired;
    rules.renamed = draft.renamed;
    rules.uses = draft.uses;
    for (const auto& hook : draft.impl.hooks)
        rules.hooks.push_back(hook.name);

    std::ranges::sort(draft.attributes, {},
                      [](const attribute_draft& declared) { return declared.rules.name; });
    for (const auto& declared : draft.attributes)
        rules.attributes.push_back(declared.rules);

    for (const int id : draft.starts)
        draft.statuses.try_emplace(id);
    std::vector<edge> edges;
    for (const auto& [id, status] : draft.statuses) {
        const auto status_edges = make_rules(id, status, draft);
        edges.insert(edges.end(), status_edges.edges.begin(), status_edges.edges.end());
    }
    for (const auto& destination : edges)
        draft.statuses.try_emplace(destination.to);

    for (const auto& [id, status] : draft.statuses)
        rules.statuses.push_back(make_rules(id, status, draft));
    mark_starts(rules, draft);
    return rules;
}

/// Checks the names of hooks, under which their cursors are stored.
void check_hooks(const workflow_draft& draft, std::vector<std::string>& problems)
{
    constexpr std::size_t max_size = 128;
    std::set<std::string_view> seen;
    for (const auto& hook : draft.impl.hooks) {
        const auto slash = hook.name.find('/');
        const auto function = hook.name.substr(0, slash);
        const auto name = slash == std::string::npos ? "" : hook.name.substr(slash + 1);
        if (slash != std::string::npos && (name.empty() || name.size() > max_size))
            problems.push_back("the name of a hook " + function + " has " +
                               std::to_string(name.size()) + " bytes; it must have 1 to 128 bytes");
        else if (seen.insert(hook.name).second)
            continue;
        else if (name.empty())
            problems.push_back("it has two hooks " + function +
                               " without a name, under which its cursor is stored: name one, as " +
                               function + "(\"mail\", fn)");
        else
            problems.push_back("it has two hooks " + function + " named \"" + name + "\"");
    }
}

void check_write_version(const workflow_draft& draft, std::vector<std::string>& problems)
{
    const auto present = static_cast<std::uint32_t>(draft.upgrades.size()) + 1;
    const auto wanted = draft.write_version.value_or(present);
    if (wanted < 1 || wanted > present) {
        problems.push_back("write_version is " + std::to_string(wanted) +
                           ", but the object's schema has versions 1 to " +
                           std::to_string(present));
        return;
    }
    for (auto version = wanted; version < present; ++version)
        if (!draft.downgrades.contains(version))
            problems.push_back("write_version is " + std::to_string(wanted) +
                               ", but there is no downgrade from version " +
                               std::to_string(version + 1) + ": add it with upgrade(" +
                               std::to_string(version) + ", up, down)");
}

/// Checks what the definition does not contain.
std::vector<std::string> check_draft(const workflow_draft& draft)
{
    std::vector<std::string> problems;
    for (const auto& [id, status] : draft.statuses) {
        const auto name = core::status_name(draft.label(id), id);
        if (status.steps.size() > 1)
            problems.push_back(name + ": it has " + std::to_string(status.steps.size()) +
                               " steps; a status has at most one");
        for (const auto& timeout : status.timeouts) {
            if (timeout->fixed && *timeout->fixed <= duration::zero())
                problems.push_back(name + ": " +
                                   (timeout->name.empty()
                                        ? "its timeout"
                                        : "its timeout \"" + timeout->name + "\"") +
                                   "'s duration must be above zero");
            if (timeout->name.empty() && status.timeouts.size() > 1)
                problems.push_back(name + ": it has " + std::to_string(status.timeouts.size()) +
                                   " timeouts, but one has no name, under which its deadlines are "
                                   "stored: name it, as timeout<...>(\"remind\", 48h, fn); "
                                   "the name of an only timeout is \"timeout\"");
        }
    }
    check_hooks(draft, problems);
    try {
        draft.impl.blank();
    } catch (...) {
        problems.push_back("a default-constructed Object cannot be encoded, but it replaces the "
                           "object when the data of a run is deleted: give its members default "
                           "values that can be encoded (" +
                           exception_text(std::current_exception()) + ")");
    }
    if (const auto& retention = draft.impl.retention) {
        if (retention->keep <= duration::zero())
            problems.push_back("retention: keep must be above zero");
        if (retention->batch < 1 || retention->batch > 1'000)
            problems.push_back("retention: batch must be from 1 to 1,000");
    }
    for (const auto version : draft.repeated_upgrades)
        problems.push_back("there are two upgrades from version " + std::to_string(version));
    std::uint32_t wanted = 1;
    for (const auto& [version, upgrade] : draft.upgrades) {
        if (version != wanted) {
            problems.push_back("there is an upgrade from version " + std::to_string(version) +
                               ", but none from version " + std::to_string(wanted));
            break;
        }
        ++wanted;
    }
    check_write_version(draft, problems);
    return problems;
}

status_handlers take_handlers(status_draft& draft)
{
    status_handlers handlers;
    if (!draft.steps.empty()) {
        auto& step = *draft.steps.front();
        handlers.step = std::move(step.run);
        for (auto& used : step.options.limits)
            handlers.limit_keys.push_back(std::move(used.key));
        handlers.turn_key = std::move(step.options.turn_key);
    }
    for (auto& callback : draft.callbacks)
        handlers.callbacks.push_back(std::move(callback.run));
    for (auto& timeout : draft.timeouts)
        handlers.timeouts.push_back(std::move(timeout->handler));
    return handlers;
}

} // namespace

status_draft& workflow_draft::handled(int status)
{
    if (std::ranges::find(order, status) == order.end())
        order.push_back(status);
    return statuses[status];
}

timer_function make_timer(duration span)
{
    return [span](const object_ptr&, run_context& context) -> std::optional<time_point> {
        return core::saturating_add(context.now(), span);
    };
}

timer_function make_timer(time_point due)
{
    return [due](const object_ptr&, run_context&) -> std::optional<time_point> {
        return due;
    };
}

std::shared_ptr<const workflow_impl> finish(workflow_draft draft)
{
    auto problems = check_draft(draft);
    auto impl = std::make_shared<workflow_impl>(std::move(draft.impl));
    impl->rules = make_definition(draft);

    for (auto& problem : core::check_definition(impl->rules))
        problems.push_back(std::move(problem));
    for (const auto& hook : impl->hooks)
        for (const int status : hook.entering)
            if (!impl->rules.find(status))
                problems.push_back(hook.name + ": no run enters status " +
                                   core::status_name(draft.label(status), status) +
                                   ", which no step, callback, timeout or end<>() declares");
    if (!problems.empty()) {
        std::string text = "workflow \"" + draft.name + "\" cannot be built:";
        for (const auto& problem : problems)
            text += "\n- " + problem;
        throw definition_error{text};
    }

    for (auto& [id, status] : draft.statuses)
        impl->handlers.emplace(id, take_handlers(status));
    for (auto& [version, upgrade] : draft.upgrades)
        impl->upgrades.push_back(std::move(upgrade));
    impl->downgrades.resize(impl->upgrades.size());
    for (auto& declared : draft.attributes)
        impl->attributes.push_back(std::move(declared.read));
    for (auto& [version, downgrade] : draft.downgrades)
        if (version >= 1 && version <= impl->downgrades.size())
            impl->downgrades[version - 1] = std::move(downgrade);
    return impl;
}

} // namespace pawl::detail
