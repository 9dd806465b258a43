#include "engine/background/hook_runner.hpp"

#include "core/dead_letter.hpp"
#include "core/decide.hpp"
#include "core/record_at.hpp"
#include "core/trace.hpp"
#include "engine/run/exception_info.hpp"
#include "engine/run/failure.hpp"
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

/// Its arguments are its own, so that one that is left behind does not outlive them.
asio::awaitable<void> call(const detail::hook* hook, event what, record seen)
{
    co_await (*hook)(what, seen);
}

} // namespace

hook_runner::hook_runner(engine_parts& shared, const detail::workflow_impl& workflow,
                         hook_rules rules)
    : shared_(shared), workflow_(workflow), rules_(std::move(rules)),
      follower_(std::make_shared<log_follower>(
          shared, "the hooks of " + workflow.rules.name, cursors_of(workflow),
          [this](const event_glance& what) { return wants(what); },
          [this](lane& within, const event& what) { return work(within, what); }))
{
}

/// In this order: where the log ends, then whether a cursor is there, then the cursors, in one
/// transaction. So whatever two engines that begin at the same time store, no event of a run that
/// was accepted after one of them had started is before it.
asio::awaitable<void> hook_runner::begin()
{
    const auto shards = shared_.layout.of(workflow_.rules.name);
    std::vector<std::string> begun;
    for (const auto& name : cursors_of(workflow_)) {
        const auto known = co_await shared_.store.cursor(name, shards.begin);
        if (known == 0)
            begun.push_back(name);
    }
    if (begun.empty())
        co_return;
    bool from_beginning = workflow_.hooks_from_beginning;
    if (!from_beginning) {
        const auto counts = co_await shared_.store.count(workflow_.rules.name, false);
        from_beginning = std::ranges::all_of(counts, [](const status_count& each) {
            return each.runs == 0 || each.state == run_state::initiated;
        });
    }
    std::vector<std::uint64_t> next; // of each shard
    for (auto shard = shards.begin; shard < shards.end; ++shard) {
        std::uint64_t end = 0;
        if (!from_beginning)
            end = co_await shared_.store.log_end(shard);
        next.push_back(end + 1);
    }
    std::vector<change> batch;
    for (const auto& name : begun) {
        const auto known = co_await shared_.store.cursor(name, shards.begin);
        for (auto shard = shards.begin; shard < shards.end && known == 0; ++shard)
            batch.push_back(cursor_move{name, shard, next[shard - shards.begin]});
    }
    if (!batch.empty())
        co_await shared_.store.apply(batch);
}

bool hook_runner::wants(const event_glance& what) const
{
    return what.workflow == workflow_.rules.name &&
           std::ranges::any_of(workflow_.hooks, [&](const detail::declared_hook& each) {
               return each.wants(what.kind, what.from, what.to);
           });
}

asio::awaitable<bool> hook_runner::work(lane& within, const event& what)
{
    std::optional<record> current;
    const bool known = co_await read_run(within, current);
    if (!known)
        co_return false;
    if (!current) {
        shared_.log({log_level::warn, "no hook on " + to_string(what.kind) + " of " +
                                          what.workflow + " " + what.foreign_id +
                                          ": its run has been removed"});
        co_return true;
    }
    const auto seen = core::record_at(what, std::move(*current));
    for (std::size_t i = 0; i < workflow_.hooks.size(); ++i) {
        const auto& hook = workflow_.hooks[i];
        if (what.sequence <= within.begins.at(i) || !hook.wants(what.kind, what.from, what.to))
            continue;
        const bool done = co_await run_hook(within, hook, what, seen);
        if (!done)
            co_return false;
    }
    co_return true;
}

/// With its repetitions, until it has returned or its event is a dead letter.
asio::awaitable<bool> hook_runner::run_hook(lane& within, const detail::declared_hook& hook,
                                            const event& what, const record& seen)
{
    int failures = 0;
    for (int delays = 0; !follower_->ends(within);) {
        const auto begun = shared_.clock.now();
        const auto failure = co_await try_hook(within, hook, what, seen);
        const auto took = shared_.clock.now() - begun;
        if (failure && follower_->ends(within))
            co_return false; // it comes again
        if (failure && is_too_old(failure)) {
            // The event is for the hook of a newer program: that is no attempt.
            report_too_old(what, failure);
            co_await follower_->sleep(within, too_old_pause);
            continue;
        }
        if (failure && is_infrastructure_failure(failure)) {
            if (is_worth_a_line(++delays))
                shared_.log({log_level::warn, "a hook of " + what.workflow + " on " +
                                                  what.foreign_id +
                                                  " waits: " + detail::exception_text(failure)});
            co_await follower_->sleep(within,
                                      core::retry_delay(rules_.retry, delays, what.sequence));
            continue;
        }
        if (!failure) {
            report(what, seen, failures + 1, took, failure, false);
            co_return true;
        }
        ++failures;
        std::string problem;
        const bool last = is_permanent(rules_.retry, failure, problem) ||
                          (rules_.retry.max_attempts > 0 && failures >= rules_.retry.max_attempts);
        if (!problem.empty())
            shared_.log({log_level::error, problem});
        report(what, seen, failures, took, failure, last);
        if (last) {
            const bool buried =
                co_await bury(within, hook, what, failures, detail::exception_text(failure));
            co_return buried;
        }
        co_await follower_->sleep(within, core::retry_delay(rules_.retry, failures, what.sequence));
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

asio::awaitable<std::exception_ptr> hook_runner::try_hook(lane& within,
                                                          const detail::declared_hook& hook,
                                                          const event& what, const record& seen)
{
    const auto late = std::make_shared<bool>(false);
    std::exception_ptr failure;
    try {
        auto called = call(&hook.run, what, in_present_version(seen));
        limit_attempt(within, late);
        failure = co_await within.call.run(std::move(called));
    } catch (...) {
        failure = std::current_exception();
    }
    within.limit->cancel();
    if (*late) // also when it returned then: it was cut off
        failure =
            std::make_exception_ptr(std::runtime_error("it took longer than hook_attempt_limit"));
    *late = true; // a timer that comes after that finds nothing to do
    co_return failure;
}

/// Cancels the attempt when its time is over, and goes on without it if it does not end then.
void hook_runner::limit_attempt(lane& within, const std::shared_ptr<bool>& late)
{
    if (rules_.attempt_timeout == duration::zero())
        return;
    within.limit->wait(rules_.attempt_timeout, [this, &within, late] {
        if (std::exchange(*late, true))
            return;
        within.call.cancel();
        // Not through `late`, which is true from now on.
        within.limit->wait(shared_.cancellation_grace, [this, &within, kept = std::weak_ptr{late}] {
            if (kept.expired() || shared_.stopping)
                return;
            shared_.log({log_level::error, "a hook of " + workflow_.rules.name +
                                               " did not end after its cancellation; it is left "
                                               "behind"});
            within.call.abandon(
                std::make_exception_ptr(std::runtime_error("it did not end when cancelled")));
        });
    });
}

/// Until the store has the letter: only then is the event worked off.
asio::awaitable<bool> hook_runner::bury(lane& within, const detail::declared_hook& hook,
                                        const event& what, int attempts, std::string error)
{
    const auto topic = hook_dead_letter_topic(workflow_.rules.name);
    auto letter = core::make_dead_letter(to_stream_event(what), dead_letter_header::hook, hook.name,
                                         attempts, std::move(error));
    letter.id += "/" + hook.name; // several hooks may fail on one event
    while (!follower_->ends(within)) {
        pending_commit item{publication{topic, letter}, {}, {}};
        if (!shared_.commits.try_apply(item))
            co_await shared_.commits.async_submit(item, asio::use_awaitable);
        if (!item.failure) {
            streams::topic_waiters::of(shared_.store)->notify_topic(topic);
            co_return true;
        }
        co_await follower_->sleep(within, failure_pause);
    }
    co_return false;
}

asio::awaitable<void> hook_runner::redrive(stream_event letter)
{
    const auto name = letter.headers[dead_letter_header::hook];
    const auto hook = std::ranges::find(workflow_.hooks, name, &detail::declared_hook::name);
    if (hook == workflow_.hooks.end())
        throw error(errc::not_found, "the workflow has no hook named \"" + name + "\"");
    const auto what = to_workflow_event(core::restore_event(std::move(letter)));
    auto current = co_await shared_.store.find(what.run);
    if (!current)
        throw error(errc::not_found, "its run has been removed");
    auto called =
        call(&hook->run, what, in_present_version(core::record_at(what, std::move(*current))));
    co_await std::move(called);
}

void hook_runner::report(const event& what, const record& seen, int attempt, duration took,
                         const std::exception_ptr& failure, bool last)
{
    const auto process = to_string(what.kind) + "-hook";
    const auto error = failure ? detail::exception_text(failure) : std::string{};
    const auto more = failure && (last || is_worth_a_line(attempt))
                          ? lines_.admit(shared_.clock.now())
                          : std::nullopt;
    if (more) {
        const auto text = (last ? "a hook failed and is given up, its event is in topic " +
                                      hook_dead_letter_topic(what.workflow)
                                : std::string{"a hook failed"}) +
                          *more;
        log_entry entry{last ? log_level::error : log_level::warn, text};
        entry.workflow = what.workflow;
        entry.foreign_id = what.foreign_id;
        entry.run = what.run;
        entry.process = process;
        entry.attempt = attempt;
        entry.error = error;
        shared_.log(entry);
    }
    if (!shared_.observer)
        return;
    handler_report made;
    made.workflow = what.workflow;
    made.process = process;
    made.run = what.run;
    made.foreign_id = what.foreign_id;
    made.attempt = attempt;
    made.took = took;
    made.result = !failure ? handler_result::returned
                  : last   ? handler_result::given_up
                           : handler_result::failed;
    made.error = error;
    made.span = core::trace_of(seen, (1ull << 33) + what.version, attempt);
    made.parent_span = core::trace_of(seen);
    shared_.observer->handler_ended(made);
}

void hook_runner::report_too_old(const event& what, const std::exception_ptr& failure) const
{
    if (!shared_.mark_too_old(shared_.workflows.find(what.workflow)->second))
        return;
    const auto text = "a hook needs a newer program, and waits for an engine that has it (told "
                      "once for the workflow): " +
                      detail::exception_text(failure);
    log_entry entry{log_level::warn, text};
    entry.workflow = what.workflow;
    entry.foreign_id = what.foreign_id;
    entry.run = what.run;
    shared_.log(entry);
}

/// Reads until the store answers: its failures are none of the hook's attempts.
asio::awaitable<bool> hook_runner::read_run(lane& within, std::optional<record>& into)
{
    while (!follower_->ends(within)) {
        std::exception_ptr failure;
        try {
            into = co_await shared_.store.find(within.run);
        } catch (...) {
            failure = std::current_exception();
        }
        if (!failure)
            co_return true;
        shared_.log({log_level::warn, "cannot read run " + to_string(within.run) +
                                          " for a hook: " + detail::exception_text(failure)});
        co_await follower_->sleep(within, failure_pause);
    }
    co_return false;
}

} // namespace pawl::engine_detail
