#include "engine/background/hook_runner.hpp"

#include "core/dead_letter.hpp"
#include "core/decide.hpp"
#include "core/record_at.hpp"
#include "core/stable_hash.hpp"
#include "core/trace.hpp"
#include "engine/run/exception_info.hpp"
#include "engine/run/failure_kind.hpp"
#include "pawl/dead_letter.hpp"
#include "pawl/workflow_events.hpp"
#include "streams/topic_waiters.hpp"

#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <stdexcept>
#include <utility>
#include <vector>

namespace pawl::engine_detail {

namespace asio = boost::asio;

namespace {

/// Stored: never change.
std::string cursor_of(const std::string& workflow, const std::string& hook)
{
    return "hooks/" + workflow + "/" + hook;
}

std::vector<std::string> cursors_of(const detail::workflow_impl& workflow)
{
    std::vector<std::string> cursors;
    for (const auto& hook : workflow.hooks)
        cursors.push_back(cursor_of(workflow.rules.name, hook.name));
    return cursors;
}

/// Takes its arguments by value, so that a call that was abandoned does not outlive them.
asio::awaitable<void> call_hook(const detail::hook* hook, event current, record seen)
{
    co_await (*hook)(current, seen);
}

} // namespace

hook_runner::hook_runner(engine_parts& shared, const detail::workflow_impl& workflow,
                         hook_rules rules)
    : shared_(shared), workflow_(workflow), rules_(std::move(rules)),
      follower_(std::make_shared<log_follower>(
          shared, "the hooks of " + workflow.rules.name, cursors_of(workflow),
          [this](const event_summary& event) { return wants(event); },
          [this](run_lane& lane, const event& event) { return process_event(lane, event); }))
{
}

/// Reads the ends of the log, then reads again whether the cursors exist, then stores the new
/// cursors in one transaction. In this order, no cursor passes over an event of a run that was
/// accepted after either of two engines had started.
asio::awaitable<void> hook_runner::create_cursors()
{
    const auto shards = shared_.layout.shards_of(workflow_.rules.name);
    std::vector<std::string> added;
    for (const auto& name : cursors_of(workflow_)) {
        const auto known = co_await shared_.store.cursor(name, shards.begin);
        if (known == 0)
            added.push_back(name);
    }
    if (added.empty())
        co_return;
    bool from_beginning = workflow_.hooks_from_beginning;
    if (!from_beginning) {
        const auto counts = co_await shared_.store.count(workflow_.rules.name, false);
        from_beginning = std::ranges::all_of(counts, [](const status_count& count) {
            return count.runs == 0 || count.state == run_state::initiated;
        });
    }
    std::vector<std::uint64_t> next; // by shard
    for (auto shard = shards.begin; shard < shards.end; ++shard) {
        std::uint64_t end = 0;
        if (!from_beginning)
            end = co_await shared_.store.log_end(shard);
        next.push_back(end + 1);
    }
    std::vector<change> batch;
    for (const auto& name : added) {
        const auto known = co_await shared_.store.cursor(name, shards.begin);
        for (auto shard = shards.begin; shard < shards.end && known == 0; ++shard)
            batch.push_back(cursor_move{name, shard, next[shard - shards.begin]});
    }
    if (!batch.empty())
        co_await shared_.store.apply(batch);
}

bool hook_runner::wants(const event_summary& event) const
{
    return event.workflow == workflow_.rules.name &&
           std::ranges::any_of(workflow_.hooks, [&](const detail::declared_hook& hook) {
               return hook.wants(event.kind, event.from, event.to);
           });
}

asio::awaitable<bool> hook_runner::process_event(run_lane& lane, const event& event)
{
    std::optional<record> current;
    const bool known = co_await read_run(lane, current);
    if (!known)
        co_return false;
    if (!current) {
        shared_.log({log_level::warn, "no hook on " + to_string(event.kind) + " of " +
                                          event.workflow + " " + event.foreign_id +
                                          ": its run has been removed"});
        co_return true;
    }
    const auto seen = core::record_at(event, std::move(*current));
    for (std::size_t i = 0; i < workflow_.hooks.size(); ++i) {
        const auto& hook = workflow_.hooks[i];
        if (event.sequence <= lane.start_positions.at(i) ||
            !hook.wants(event.kind, event.from, event.to))
            continue;
        const bool done = co_await run_hook(lane, hook, event, seen);
        if (!done)
            co_return false;
    }
    co_return true;
}

/// Repeats the hook until it returns or its event is a dead letter. False if the lane ends first.
asio::awaitable<bool> hook_runner::run_hook(run_lane& lane, const detail::declared_hook& hook,
                                            const event& event, const record& seen)
{
    int failures = 0;
    for (int delays = 0; !follower_->must_end(lane);) {
        const auto started_at = shared_.clock.now();
        const auto failure = co_await try_hook(lane, hook, event, seen);
        if (failure && follower_->must_end(lane))
            co_return false; // the event is processed again later
        if (failure && is_too_old(failure)) {
            // The event needs a newer program. This does not count as an attempt.
            report_too_old(event, failure);
            co_await follower_->sleep(lane, too_old_pause);
            continue;
        }
        if (failure && is_infrastructure_failure(failure)) {
            if (is_worth_a_line(++delays))
                shared_.log({log_level::warn, "a hook of " + event.workflow + " on " +
                                                  event.foreign_id +
                                                  " waits: " + detail::exception_text(failure)});
            co_await follower_->sleep(lane,
                                      core::retry_delay(rules_.retry, delays, event.sequence));
            continue;
        }
        if (!failure) {
            report_attempt(hook, event, seen, failures + 1, started_at, failure, false);
            co_return true;
        }
        ++failures;
        std::string problem;
        const bool last = is_permanent(rules_.retry, failure, problem) ||
                          (rules_.retry.max_attempts > 0 && failures >= rules_.retry.max_attempts);
        if (!problem.empty())
            shared_.log({log_level::error, problem});
        report_attempt(hook, event, seen, failures, started_at, failure, last);
        if (last) {
            const bool stored = co_await store_dead_letter(lane, hook, event, failures,
                                                           detail::exception_text(failure));
            co_return stored;
        }
        co_await follower_->sleep(lane, core::retry_delay(rules_.retry, failures, event.sequence));
    }
    co_return false;
}

record hook_runner::in_present_version(record seen) const
{
    std::string upgraded;
    seen.object = detail::present_object(workflow_, seen, upgraded);
    seen.object_version = workflow_.rules.object_version;
    return seen;
}

asio::awaitable<std::exception_ptr> hook_runner::try_hook(run_lane& lane,
                                                          const detail::declared_hook& hook,
                                                          const event& event, const record& seen)
{
    const auto late = std::make_shared<bool>(false);
    std::exception_ptr failure;
    try {
        auto called = call_hook(&hook.run, event, in_present_version(seen));
        limit_attempt(lane, late);
        failure = co_await lane.call.run(std::move(called));
    } catch (...) {
        failure = std::current_exception();
    }
    lane.limit->cancel();
    if (*late) // also if it returned after its cancellation
        failure =
            std::make_exception_ptr(std::runtime_error("it took longer than hook_attempt_timeout"));
    *late = true; // disarms a timer handler that is queued already
    co_return failure;
}

/// Cancels the attempt after attempt_timeout, and abandons it if it ignores the cancellation.
void hook_runner::limit_attempt(run_lane& lane, const std::shared_ptr<bool>& late)
{
    if (rules_.attempt_timeout == duration::zero())
        return;
    lane.limit->wait(rules_.attempt_timeout, [this, &lane, late] {
        if (std::exchange(*late, true))
            return;
        lane.call.cancel();
        // `late` is true from here on; the attempt has ended if it expired.
        lane.limit->wait(
            shared_.cancellation_grace, [this, &lane, weak_late = std::weak_ptr{late}] {
                if (weak_late.expired() || shared_.stopping)
                    return;
                shared_.log({log_level::error, "a hook of " + workflow_.rules.name +
                                                   " ignored its cancellation; abandoning it"});
                lane.call.abandon(
                    std::make_exception_ptr(std::runtime_error("it did not end when cancelled")));
            });
    });
}

/// Repeats until the store has the dead letter: only then is the event processed.
asio::awaitable<bool> hook_runner::store_dead_letter(run_lane& lane,
                                                     const detail::declared_hook& hook,
                                                     const event& event, int attempts,
                                                     std::string error)
{
    const auto topic = hook_dead_letter_topic(workflow_.rules.name);
    auto letter = core::make_dead_letter(to_stream_event(event), dead_letter_header::hook,
                                         hook.name, attempts, std::move(error));
    letter.id += "/" + hook.name; // several hooks may fail on one event
    for (int failures = 1; !follower_->must_end(lane); ++failures) {
        pending_commit item{publication{topic, letter}, {}, {}};
        if (!shared_.commits.try_apply(item))
            co_await shared_.commits.async_submit(item, asio::use_awaitable);
        if (!item.failure) {
            streams::topic_waiters::of(shared_.store)->notify_topic(topic);
            co_return true;
        }
        if (is_worth_a_line(failures))
            shared_.log({log_level::error, "cannot store a dead letter in topic " + topic + ": " +
                                               detail::exception_text(item.failure)});
        co_await follower_->sleep(lane, failure_pause);
    }
    co_return false;
}

asio::awaitable<void> hook_runner::redrive(stream_event letter)
{
    const auto name = letter.headers[dead_letter_header::hook];
    const auto hook = std::ranges::find(workflow_.hooks, name, &detail::declared_hook::name);
    if (hook == workflow_.hooks.end())
        throw error(errc::not_found, "the workflow has no hook named \"" + name + "\"");
    const auto event = to_workflow_event(core::restore_event(std::move(letter)));
    auto current = co_await shared_.store.find(event.run);
    if (!current)
        throw error(errc::not_found, "its run has been removed");
    auto called = call_hook(&hook->run, event,
                            in_present_version(core::record_at(event, std::move(*current))));
    co_await std::move(called);
}

void hook_runner::report_attempt(const detail::declared_hook& hook, const event& event,
                                 const record& seen, int attempt, time_point began_at,
                                 const std::exception_ptr& failure, bool last)
{
    const auto process = to_string(event.kind) + "-hook";
    const auto error = failure ? detail::exception_text(failure) : std::string{};
    const auto more = failure && (last || is_worth_a_line(attempt))
                          ? lines_.admit(shared_.clock.now())
                          : std::nullopt;
    if (more) {
        const auto text =
            (last ? "a hook failed and its retries are exhausted; its event is in topic " +
                        hook_dead_letter_topic(event.workflow)
                  : std::string{"a hook failed"}) +
            *more;
        log_entry entry{last ? log_level::error : log_level::warn, text};
        entry.workflow = event.workflow;
        entry.foreign_id = event.foreign_id;
        entry.run = event.run;
        entry.process = process;
        entry.attempt = attempt;
        entry.error = error;
        shared_.log(entry);
    }
    if (!shared_.observer)
        return;
    handler_report report;
    report.workflow = event.workflow;
    report.kind = handler_kind::hook;
    report.process = process;
    report.run = event.run;
    report.foreign_id = event.foreign_id;
    report.attempt = attempt;
    report.began_at = began_at;
    report.took = shared_.clock.now() - began_at;
    report.result = !failure ? handler_result::returned
                    : last   ? handler_result::given_up
                             : handler_result::failed;
    report.error = error;
    const auto placed = core::attempt_span(
        seen, {core::fnv1a(hook.name), attempt, event.version, began_at}, shared_.tracing);
    report.span = placed.span;
    report.parent_span = placed.parent;
    report.start_span = placed.start;
    shared_.observer->handler_ended(report);
}

void hook_runner::report_too_old(const event& event, const std::exception_ptr& failure) const
{
    if (!shared_.mark_too_old(shared_.workflows.find(event.workflow)->second))
        return;
    const auto text = "a hook needs a newer program, and waits for an engine that has it (logged "
                      "once for the workflow): " +
                      detail::exception_text(failure);
    log_entry entry{log_level::warn, text};
    entry.workflow = event.workflow;
    entry.foreign_id = event.foreign_id;
    entry.run = event.run;
    shared_.log(entry);
}

/// Reads the run until the store answers. Failures do not count as attempts of the hook.
asio::awaitable<bool> hook_runner::read_run(run_lane& lane, std::optional<record>& run)
{
    for (int failures = 1; !follower_->must_end(lane); ++failures) {
        std::exception_ptr failure;
        try {
            run = co_await shared_.store.find(lane.run);
        } catch (...) {
            failure = std::current_exception();
        }
        if (!failure)
            co_return true;
        if (is_worth_a_line(failures))
            shared_.log({log_level::warn, "cannot read run " + to_string(lane.run) +
                                              " for a hook: " + detail::exception_text(failure)});
        co_await follower_->sleep(lane, failure_pause);
    }
    co_return false;
}

} // namespace pawl::engine_detail
