// The start of an engine: checks and moves the runs that are in the store already.
#include "core/decide.hpp"
#include "engine/api/engine_core.hpp"
#include "engine/run/detached_run_context.hpp"
#include "engine/run/exception_info.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

namespace pawl::detail {

namespace asio = boost::asio;

using action_kind = start_plan::action_kind;

namespace {

/// The number of runs that are moved in one transaction.
constexpr std::size_t move_page = 256;

/// The number of schedules that are read at once.
constexpr std::size_t schedule_page = 256;

std::string text_of(const start_plan& entry)
{
    return fmt::format("{} runs of \"{}\" in status {} ({})", entry.runs, entry.workflow,
                       entry.label, to_string(entry.state));
}

/// The transition of a run from its retired status to the successor.
transition moved(const workflow_impl& workflow, const record& run, int successor,
                 engine_detail::detached_run_context& context)
{
    const auto arm = [&](int status) {
        std::string upgraded;
        const auto object = workflow.decode(present_object(workflow, run, upgraded), nullptr);
        return arm_timeouts(workflow, status, object, context);
    };
    // The inbox is not read: unread messages keep the run due.
    auto change =
        core::decide(run, workflow.rules, core::status_retired{successor}, context.now(), arm, {});
    return std::move(*change);
}

/// This engine owns the shards, so that no other engine may change the runs. In a shared store the
/// previous owner may still do so; then the shards are claimed again.
void check_moved(const std::vector<apply_result>& results)
{
    for (const auto& result : results)
        if (result.status == apply_status::fenced)
            throw error(errc::fenced, "a run in a retired status was not moved");
        else if (result.status != apply_status::accepted)
            throw error(errc::conflict, "a run in a retired status was not moved");
}

} // namespace

asio::awaitable<engine_core::definition_logs> engine_core::read_definitions()
{
    definition_logs logs;
    for (const auto& [name, entry] : shared_.workflows) {
        if (name.starts_with(engine_detail::reserved_prefix))
            continue;
        auto log = co_await engine_detail::definition_log::read(shared_.store, entry.impl->rules);
        logs.emplace(name, std::move(log));
    }
    co_return logs;
}

asio::awaitable<std::vector<start_plan>> engine_core::read_plan()
{
    const auto definitions = co_await read_definitions();
    auto plan = co_await make_plan(definitions);
    co_return plan;
}

/// Plans the action for the runs of one workflow and status.
void engine_core::plan_status(start_plan& entry, const workflow_impl& workflow,
                              const engine_detail::definition_log* log)
{
    const auto& rules = workflow.rules;
    const auto* status = rules.find(entry.status);
    entry.label = rules.label(entry.status);
    if (const auto successor = rules.successor(entry.status)) {
        entry.action = action_kind::moves;
        entry.successor = *successor;
    } else if (!status ||
               (!status->step && status->callbacks.empty() && status->timeouts.empty())) {
        entry.action = !status && log && log->is_newer(entry.status) ? action_kind::left_to_newer
                                                                     : action_kind::unhandled;
    }
    if (log)
        entry.notes = log->changes(entry.status);
}

asio::awaitable<std::vector<start_plan>> engine_core::make_plan(const definition_logs& definitions)
{
    auto counts = co_await shared_.store.count("", true);
    // Numbers of limits wait for an engine that has limits again.
    if (!shared_.workflows.contains(engine_detail::limits_workflow))
        std::erase_if(counts, [](const status_count& count) {
            return count.workflow == engine_detail::limits_workflow;
        });
    std::vector<core::engine_facts> alive;
    if (shared_.store.shared())
        alive = co_await shards_->engines();
    std::vector<std::string> unknown;
    for (const auto& count : counts)
        if (!shared_.workflows.contains(count.workflow))
            unknown.push_back(count.workflow);
    const auto elsewhere = co_await driven_elsewhere(std::move(unknown), std::move(alive));
    std::vector<start_plan> plan;
    for (const auto& count : counts) {
        start_plan entry{count.workflow, count.status, std::to_string(count.status), count.state,
                         count.runs};
        const auto known = shared_.workflows.find(count.workflow);
        const auto log = definitions.find(count.workflow);
        if (known == shared_.workflows.end())
            entry.action = elsewhere.contains(count.workflow) ? action_kind::elsewhere
                                                              : action_kind::unknown_workflow;
        else
            plan_status(entry, *known->second.impl,
                        log == definitions.end() ? nullptr : &log->second);
        plan.push_back(std::move(entry));
    }
    for (const auto& [name, log] : definitions)
        for (const auto& status : log.relabeled()) {
            bool has_runs = false;
            for (auto& entry : plan)
                if (entry.workflow == name && entry.status == status.number) {
                    entry.action = action_kind::relabeled;
                    entry.label_before = status.before;
                    has_runs = true;
                }
            if (!has_runs)
                plan.push_back({name, status.number, status.label, run_state::running, 0,
                                action_kind::relabeled, 0, status.before});
        }
    co_return plan;
}

/// Which of the workflows another engine of the shared store has.
asio::awaitable<std::set<std::string>>
engine_core::driven_elsewhere(std::vector<std::string> workflows,
                              std::vector<core::engine_facts> alive)
{
    std::set<std::string> driven;
    if (!shared_.store.shared() || workflows.empty())
        co_return driven;
    const auto first_shards = co_await shared_.store.first_shards(workflows);
    for (std::size_t i = 0; i < workflows.size(); ++i)
        for (const auto& engine : alive)
            if (std::ranges::find(engine.workflows, first_shards.at(i)) != engine.workflows.end())
                driven.insert(workflows[i]);
    co_return driven;
}

asio::awaitable<std::vector<undriven_workflow>>
engine_core::find_undriven(std::vector<core::engine_facts> alive)
{
    std::map<std::string, undriven_workflow> found;
    const auto counts = co_await shared_.store.count("", true);
    for (const auto& count : counts)
        found[count.workflow].runs += count.runs;
    found.erase(std::string{engine_detail::schedules_workflow});
    found.erase(std::string{engine_detail::limits_workflow});
    found.erase(std::string{core::bulk_workflow});
    record_query query;
    query.workflow = engine_detail::schedules_workflow;
    query.states = {run_state::initiated, run_state::running, run_state::paused};
    query.limit = schedule_page;
    do {
        const auto page = co_await shared_.store.list(query);
        for (const auto& run : page.runs)
            ++found[std::string{shard_home(run.workflow, run.foreign_id)}].schedules;
        query.after = page.next;
    } while (query.after);
    std::vector<std::string> names;
    for (const auto& [name, entry] : found)
        if (options_.client_only || !shared_.workflows.contains(name))
            names.push_back(name);
    const auto driven = co_await driven_elsewhere(names, std::move(alive));
    std::vector<undriven_workflow> undriven;
    for (const auto& name : names)
        if (!driven.contains(name))
            undriven.push_back({name, found[name].runs, found[name].schedules});
    co_return undriven;
}

/// Logs each workflow once, and again only if an engine has driven it since.
asio::awaitable<void> engine_core::report_undriven(std::vector<core::engine_facts> alive)
{
    const auto undriven = co_await find_undriven(std::move(alive));
    std::set<std::string, std::less<>> present;
    for (const auto& entry : undriven) {
        present.insert(entry.workflow);
        if (shared_.report_once(entry.workflow))
            shared_.log({log_level::warn,
                         fmt::format("no engine has workflow \"{}\": {} unfinished runs and {} "
                                     "schedules of it are not driven",
                                     entry.workflow, entry.runs, entry.schedules)});
    }
    const std::lock_guard lock{shared_.reported_mutex};
    shared_.reported = std::move(present);
}

/// Throws error (missing_workflow) if a handler reaches a workflow that the engine does not have.
void engine_core::check_uses() const
{
    std::string missing;
    for (const auto& [name, entry] : shared_.workflows)
        for (const auto& used : entry.impl->rules.uses)
            if (!options_.client_only && !used.is_foreign && !shared_.workflows.contains(used.name))
                missing += fmt::format("{}workflow \"{}\" uses workflow \"{}\"",
                                       missing.empty() ? "" : ", ", name, used.name);
    if (!missing.empty())
        throw error(errc::missing_workflow, missing);
}

void engine_core::check_labels(const std::vector<start_plan>& plan) const
{
    std::string relabeled;
    for (const auto& entry : plan)
        if (entry.action == action_kind::relabeled)
            relabeled += fmt::format(
                "\n- status number {} of workflow \"{}\" is now {}, and was {} ({} unfinished "
                "runs): put new enumerators at the end, or, if {} is the new name of {}, say "
                "renamed<{}>(\"{}\")",
                entry.status, entry.workflow, entry.label, entry.label_before, entry.runs,
                entry.label, entry.label_before, entry.label, entry.label_before);
    if (!relabeled.empty())
        throw error(errc::status_relabeled,
                    "statuses have other labels than in earlier programs:" + relabeled);
}

void engine_core::check_unfinished(const std::vector<start_plan>& plan) const
{
    std::string unhandled;
    for (const auto& entry : plan) {
        if (entry.action == action_kind::continues)
            shared_.log({log_level::info, text_of(entry) + " continue"});
        else if (entry.action == action_kind::left_to_newer)
            shared_.log({log_level::warn, "leaving unfinished runs in a status of a newer program "
                                          "to engines that have it: " +
                                              text_of(entry)});
        else if (entry.action == action_kind::moves)
            shared_.log(
                {log_level::info,
                 text_of(entry) + " move to status " +
                     shared_.workflows.at(entry.workflow).impl->rules.label(entry.successor)});
        else if (entry.action == action_kind::unhandled)
            unhandled += (unhandled.empty() ? "" : ", ") + text_of(entry);
        for (const auto& note : entry.notes)
            shared_.log({log_level::info, text_of(entry) + ": " + note});
    }
    if (unhandled.empty())
        return;
    const auto text = "unfinished runs that no step, callback or timeout handles: " + unhandled;
    if (!options_.allow_unhandled_statuses)
        throw error(errc::unhandled_status, text);
    shared_.log({log_level::warn, text});
}

asio::awaitable<void> engine_core::append_definitions(definition_logs& definitions)
{
    for (auto& [name, log] : definitions) {
        co_await log.append(shared_.store, shared_.clock.now());
        auto& entry = shared_.workflows.find(name)->second;
        entry.definitions_read = log.end();
        entry.outdated = log.outdated();
        entry.definition_position = log.position();
    }
    co_await engine_detail::check_for_newer_definitions(shared_);
}

asio::awaitable<void> engine_core::move_retired()
{
    for (const auto& [name, entry] : shared_.workflows)
        if (!entry.impl->rules.retired.empty())
            co_await move_retired(*entry.impl);
}

/// Moves the runs in the engine's shards. In a store that is not shared, no run is active yet.
asio::awaitable<void> engine_core::move_retired(const workflow_impl& workflow)
{
    record_query query;
    query.workflow = workflow.rules.name;
    query.states = {run_state::initiated, run_state::running, run_state::paused};
    query.limit = move_page;
    query.statuses.emplace();
    // The runs are listed only if there is one to be moved.
    const auto counts = co_await shared_.store.count(query.workflow, true);
    for (const auto& [status, successor] : workflow.rules.retired)
        if (std::ranges::find(counts, status, &status_count::status) != counts.end())
            query.statuses->push_back(status);
    if (query.statuses->empty())
        co_return;
    do {
        const auto page = co_await shared_.store.list(query);
        std::vector<change> batch;
        for (const auto& run : page.runs) {
            const auto epoch = shared_.epochs[shared_.shard_of(run)].load();
            if (epoch == 0)
                continue;
            engine_detail::detached_run_context context{shared_.clock, shared_.log, run};
            try {
                auto change = moved(workflow, run, *workflow.rules.successor(run.status), context);
                change.epoch = epoch;
                batch.push_back(std::move(change));
            } catch (...) {
                shared_.log(
                    {log_level::error, "run " + to_string(run.id) + " of " + run.workflow +
                                           " cannot be moved from its retired status: " +
                                           detail::exception_text(std::current_exception())});
            }
        }
        if (!batch.empty()) {
            const auto results = co_await shared_.store.apply(batch);
            check_moved(results);
        }
        query.after = page.next;
    } while (query.after);
}

} // namespace pawl::detail
