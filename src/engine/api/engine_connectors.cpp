// Connectors of an engine: their validation and start, and the log as an event source.
#include "core/option_check.hpp"
#include "definition/check_definition.hpp"
#include "engine/api/engine_core.hpp"
#include "streams/workflow_source.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace pawl::detail {

namespace {

constexpr std::size_t max_name = 128;

/// The longest name of a role's owner.
constexpr std::size_t max_owner = 900;

bool is_name(const std::string& text)
{
    return !text.empty() && text.size() <= max_name && std::ranges::all_of(text, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '-' || c == '_' || c == '.';
    });
}

void check_connector(const connector_impl& connector)
{
    const auto owner = "connector \"" + connector.name + "\": ";
    const core::option_check check{owner};
    const auto& options = connector.options;
    check.require(is_name(connector.name),
                  "a name has 1 to 128 bytes of letters, digits, '-', '_' and '.'");
    check.require(connector.source != nullptr, "the source must not be null");
    check.within("max_concurrency", options.max_concurrency, 1, max_concurrency_ceiling);
    check.at_least("prefetch", options.prefetch, 1);
    check.at_least("attempt_timeout", options.attempt_timeout, duration::zero());
    check.at_least("delay", options.delay, duration::zero());
    for (const auto& problem : core::retry_problems(options.retry))
        check.require(false, "retry." + problem);
}

} // namespace

void engine_core::connect(connector_impl added)
{
    if (phase_ != phase::fresh)
        throw definition_error("connector \"" + added.name +
                               "\": connect() it before the engine is started; it was started "
                               "already");
    check_connector(added);
    if (options_.client_only)
        throw definition_error("connector \"" + added.name +
                               "\": engine_options::client_only is true, and an engine that drives "
                               "nothing runs no connectors; connect it to one that does");
    if (!shared_.workflows.contains(added.workflow))
        throw definition_error("connector \"" + added.name + "\": the engine has no workflow \"" +
                               added.workflow + "\"; add() it first");
    const auto same = [&](const auto& runner) {
        return runner->connector().name == added.name;
    };
    if (std::ranges::any_of(connectors_, same))
        throw definition_error("connector names need to be unique: the engine already has a "
                               "connector named \"" +
                               added.name + "\"");
    if (!roles_ && options_.roles)
        roles_ = options_.roles;
    else if (!roles_ && shared_.store.shared())
        roles_ = store_role_scheduler(
            options_.store, {.owner = options_.name.substr(0, max_owner), .clock = options_.clock});
    connectors_.push_back(
        std::make_shared<engine_detail::connector_runner>(shared_, std::move(added), roles_));
    consumers_->add(connectors_.back()->consumer());
}

void engine_core::start_connectors()
{
    for (const auto& runner : connectors_)
        runner->start(weak_from_this());
}

std::shared_ptr<event_source> engine_core::events(std::string workflow,
                                                  workflow_event_options options)
{
    if (phase_ == phase::stopped)
        throw definition_error("engine::events: the engine has been stopped");
    if (workflow.empty())
        throw definition_error("engine::events: the workflow needs a name");
    // In a shared store it may be a workflow of another program.
    if (!shared_.workflows.contains(workflow) && !shared_.store.shared())
        throw definition_error("engine::events: the engine has no workflow \"" + workflow +
                               "\"; add() it first");
    if (options.kinds.empty())
        throw definition_error("workflow_event_options::kinds must not be empty");
    core::option_check{"workflow_event_options::"}.above_zero("poll_interval",
                                                              options.poll_interval);
    const auto source = std::make_shared<streams::workflow_source>(
        options_.store, commit_feed_, options_.clock, std::move(workflow), std::move(options));
    consumers_->add(source);
    return source;
}

} // namespace pawl::detail

namespace pawl {

void engine::connect_untyped(detail::connector_impl added)
{
    core_->connect(std::move(added));
}

std::shared_ptr<event_source> engine::events(std::string workflow, workflow_event_options options)
{
    return core_->events(std::move(workflow), std::move(options));
}

} // namespace pawl
