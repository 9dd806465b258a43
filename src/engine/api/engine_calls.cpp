// The calls of clients: one coroutine per call, which ends in the caller's completion handler.
#include "async/complete.hpp"
#include "core/decide.hpp"
#include "core/text.hpp"
#include "engine/api/engine_core.hpp"
#include "engine/api/launch.hpp"
#include "engine/run/exception_info.hpp"
#include "engine/run/run_attributes.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <utility>

namespace pawl::detail {

namespace asio = boost::asio;
using core::quoted;
using engine_detail::pending_commit;

using engine_detail::page_size;
using engine_detail::status_watcher;
using engine_detail::watcher;

namespace {

/// Names the existing run that a start was rejected for.
std::string other_run_text(const transition& start, const char* state, run_id other)
{
    return "foreign id " + quoted(start.next.foreign_id) + " of " + quoted(start.next.workflow) +
           " has the " + state + " run " + to_string(other);
}

/// Why the store rejected a start or a message; no failure if it was accepted.
failure rejection_of(const pending_commit& item)
{
    const auto* start = std::get_if<transition>(&item.change);
    const auto* message = std::get_if<delivery>(&item.change);
    const auto run = message ? "run " + to_string(message->content.run) : std::string{};
    switch (item.result.status) {
    case apply_status::accepted:
    case apply_status::duplicate:
        return {};
    case apply_status::conflict:
        return errc::conflict;
    case apply_status::already_running:
        return {errc::already_running,
                start ? other_run_text(*start, "unfinished", item.result.existing) : ""};
    case apply_status::already_ran:
        return {errc::already_ran,
                start ? other_run_text(*start, "finished", item.result.existing) : ""};
    case apply_status::finished:
        return {errc::already_finished, message ? run + " has finished" : ""};
    case apply_status::fenced:
        return errc::fenced;
    case apply_status::not_found:
        return {errc::not_found, message ? "there is no " + run : ""};
    case apply_status::inbox_full:
        return {errc::inbox_full, message ? run + " has " + std::to_string(message->max_pending) +
                                                " pending messages or more"
                                          : ""};
    }
    return errc::unexpected_exception;
}

} // namespace

void engine_core::plan(completion<std::vector<start_plan>> done)
{
    if (tasks_.enter())
        tasks_.start(shared_.executor, finish(read_plan(), std::move(done)));
    else
        async::complete(shared_.executor, std::move(done), make_error_code(errc::not_running),
                        std::vector<start_plan>{});
}

void engine_core::warn(std::string_view workflow, std::string_view text)
{
    log_entry entry{log_level::warn, text};
    entry.workflow = workflow;
    shared_.log(entry);
}

/// Logs and throws the failure of the typed layer, if there is one.
void engine_core::check_early(const failure& early, const std::string& workflow,
                              const char* subject)
{
    if (!early)
        return;
    warn(workflow, std::string{subject} + " cannot be encoded: " + early.detail);
    std::rethrow_exception(exception_of(early));
}

/// Counts a call that waits for its commit. False, without counting it, if too many calls wait.
bool engine_core::count_waiting_call()
{
    if (waiting_calls_.fetch_add(1) < options_.max_waiting_calls)
        return true;
    --waiting_calls_;
    return false;
}

asio::awaitable<engine_core::result<apply_result>> engine_core::commit_call(pending_commit& item)
{
    if (!count_waiting_call())
        co_return failure{errc::overloaded, overloaded_text()};
    if (!committer_.try_apply(item))
        co_await committer_.async_submit(item, asio::use_awaitable);
    --waiting_calls_;
    co_return result_of(item);
}

engine_core::result<apply_result> engine_core::result_of(const pending_commit& item)
{
    if (item.failure) {
        // The change may have been stored all the same.
        if (const auto* message = std::get_if<delivery>(&item.change)) {
            if (!active_.invalidate_inbox(message->content.run))
                scanner_->retry_run(std::nullopt, message->content.run, 1);
        } else {
            const auto& started = std::get<transition>(item.change).next;
            // Otherwise another engine finds the run.
            if (const auto shard = shared_.shard_of(started); shared_.owns(shard))
                scanner_->retry_run(shard, started.id, 1);
        }
        std::rethrow_exception(item.failure);
    }
    if (auto rejection = rejection_of(item))
        return rejection;
    return item.result;
}

void engine_core::statistics(completion<engine_statistics> done)
{
    launch(read_statistics(), std::move(done));
}

asio::awaitable<engine_statistics> engine_core::read_statistics()
{
    engine_statistics now;
    now.active_runs = active_.size();
    now.waiting_calls = waiting_calls_;
    now.waiting_changes = committer_.waiting();
    for (const auto& runner : hooks_)
        now.waiting_hooks += runner->follower().open();
    for (const auto& runner : connectors_)
        now.waiting_events += runner->open();
    now.left_to_newer = active_.count_passed_over();
    now.leases = shards_->leases();
    const auto places = active_.places();
    now.urgent_runs = places.urgent;
    now.waiting_handlers = places.waiting;
    now.stalled_for = scanner_->stalls().stalled_for();
    if (!options_.client_only)
        co_await read_due_lag(now);
    co_return now;
}

/// The scanner knows the runs that wait for admission. The store may know due runs that the scanner
/// does not: they are searched past the active runs, in a limited number of pages.
asio::awaitable<void> engine_core::read_due_lag(engine_statistics& now)
{
    const auto read_at = shared_.clock.now();
    if (const auto first = scanner_->longest_waiting(); first && first->at < read_at) {
        const auto run = co_await shared_.store.find(first->id);
        if (run && !active_.contains(run->id)) {
            now.due_lag = read_at - first->at;
            now.due_workflow = run->workflow;
        }
    }
    std::size_t more_pages = 8;
    for (const auto& held : now.leases) {
        for (std::optional<due_position> from = due_position{}; from && from->at <= read_at;) {
            due_page due;
            std::exception_ptr failure;
            try {
                due = co_await shared_.store.due(held.shard, *from, read_at, page_size);
            } catch (...) {
                failure = std::current_exception();
            }
            // The scanner reports a run that cannot be read.
            if (failure && engine_detail::is_data_error(engine_detail::error_code_of(failure)))
                break;
            if (failure)
                std::rethrow_exception(failure);
            from = due.next;
            const auto waiting = std::ranges::find_if(
                due.runs, [&](const record& run) { return !active_.contains(run.id); });
            if (waiting != due.runs.end()) {
                if (read_at - *waiting->wake_at > now.due_lag) {
                    now.due_lag = read_at - *waiting->wake_at;
                    now.due_workflow = waiting->workflow;
                }
                break;
            }
            if (more_pages == 0)
                break;
            --more_pages;
        }
    }
}

void engine_core::cluster(completion<cluster_view> done)
{
    launch(read_cluster(), std::move(done));
}

asio::awaitable<cluster_view> engine_core::read_cluster()
{
    cluster_view view;
    view.self = shards_->owner();
    auto alive = co_await shards_->engines();
    for (const auto& engine : alive)
        view.engines.push_back(engine.name);
    view.undriven = co_await find_undriven(std::move(alive));
    view.shards = co_await shared_.store.leases();
    co_return view;
}

asio::awaitable<void> engine_core::check_watcher(std::shared_ptr<watcher> waiting)
{
    try {
        if (shared_.store.shared())
            co_await remote_changes_->attend_watcher(waiting);
        else
            co_await waiting->ask_store(shared_.store, *watchers_);
    } catch (...) {
        watchers_->fail(waiting, failure_of(std::current_exception()));
    }
}

void engine_core::await(std::string workflow, run_id run, std::optional<std::vector<int>> statuses,
                        completion<record> done)
{
    if (statuses && statuses->empty()) {
        async::complete(shared_.executor, std::move(done),
                        failure{errc::invalid_argument,
                                "async_await: `statuses` is empty; it must name at least one "
                                "status. To wait for the end of a run, call async_await_finished"},
                        record{});
        return;
    }
    if (!admits() || !tasks_.enter()) {
        async::complete(shared_.executor, std::move(done), make_error_code(errc::not_running),
                        record{});
        return;
    }
    const auto waiting = std::make_shared<status_watcher>(
        shared_.executor, std::move(workflow), run, std::move(statuses), std::move(done));
    // An exception of the store is not lost: the store throws again in check_watcher().
    const auto find_now = [&]() -> std::optional<record> {
        try {
            return shared_.store.shared() ? std::nullopt : shared_.store.try_find(run);
        } catch (...) {
            return std::nullopt;
        }
    };
    // In a store that answers synchronously, the run has often finished already.
    if (auto known = find_now(); known && waiting->offer_read(std::move(*known))) {
        tasks_.leave();
        return;
    }
    const bool is_for_itself = active_.run_of_handler(waiting->executor()) == run;
    waiting->hold(active_.begin_wait(waiting->executor()));
    bind_cancellation(watchers_, waiting);
    watchers_->add(waiting);
    if (auto known = find_now()) {
        watchers_->offer_read(*waiting, std::move(*known));
        tasks_.leave();
    } else if (!active_.show_record(run, waiting)) {
        shared_.check_watcher(waiting);
    }
    if (is_for_itself) // unless the present record has ended the wait
        watchers_->fail(waiting, failure{errc::called_by_handler,
                                         "a handler of run " + to_string(run) +
                                             " waits for its own run, which stays in its status "
                                             "until the handler has ended"});
}

namespace {

asio::awaitable<std::vector<event>> read_history(record_store& store, std::string workflow,
                                                 run_id run, std::uint64_t after, std::size_t limit)
{
    if (limit < 1 || limit > 1000)
        throw error(errc::invalid_argument, "the limit of a history is " + std::to_string(limit) +
                                                "; it must be from 1 to 1000");
    auto events = co_await store.history(run, after, limit);
    if (!events.empty() && events.front().workflow != workflow)
        events.clear();
    co_return events;
}

asio::awaitable<std::optional<record>> read_run(record_store& store, std::string workflow,
                                                run_id run)
{
    auto found = co_await store.find(run);
    if (found && found->workflow != workflow)
        found.reset();
    co_return found;
}

asio::awaitable<record_page> read_list(std::shared_ptr<const workflow_impl> workflow,
                                       record_store& store, record_query query)
{
    if (query.limit < 1 || query.limit > 1000)
        throw error(errc::invalid_argument, "record_query::limit is " +
                                                std::to_string(query.limit) +
                                                "; it must be from 1 to 1000");
    if (workflow)
        engine_detail::check_attribute_filters(*workflow, query);
    auto page = co_await store.list(query);
    co_return page;
}

asio::awaitable<std::optional<record>> read_latest(record_store& store, std::string workflow,
                                                   std::string foreign_id)
{
    auto found = co_await store.latest(workflow, foreign_id);
    co_return found;
}

} // namespace

void engine_core::find(std::string workflow, run_id run, completion<std::optional<record>> done)
{
    launch(read_run(shared_.store, std::move(workflow), run), std::move(done));
}

void engine_core::latest(std::string workflow, std::string foreign_id,
                         completion<std::optional<record>> done)
{
    launch(read_latest(shared_.store, std::move(workflow), std::move(foreign_id)), std::move(done));
}

void engine_core::list(record_query query, completion<record_page> done)
{
    const auto known = shared_.workflows.find(query.workflow);
    auto workflow = known == shared_.workflows.end() ? nullptr : known->second.impl;
    launch(read_list(std::move(workflow), shared_.store, std::move(query)), std::move(done));
}

namespace {

asio::awaitable<std::vector<status_count>> read_counts(record_store& store, std::string workflow,
                                                       bool unfinished_only)
{
    auto counts = co_await store.count(workflow, unfinished_only);
    co_return counts;
}

} // namespace

void engine_core::count(std::string workflow, bool unfinished_only,
                        completion<std::vector<status_count>> done)
{
    launch(read_counts(shared_.store, std::move(workflow), unfinished_only), std::move(done));
}

void engine_core::history(std::string workflow, run_id run, std::uint64_t after, std::size_t limit,
                          completion<std::vector<event>> done)
{
    launch(read_history(shared_.store, std::move(workflow), run, after, limit), std::move(done));
}

} // namespace pawl::detail
