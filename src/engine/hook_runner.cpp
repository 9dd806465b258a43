#include "engine/hook_runner.hpp"

#include "core/as_of.hpp"
#include "core/decide.hpp"
#include "core/trace.hpp"
#include "engine/error_text.hpp"

#include <algorithm>
#include <utility>

namespace pawl::engine_detail {

namespace asio = boost::asio;

hook_runner::hook_runner(context& shared, const detail::workflow_impl& workflow, retry_policy retry)
    : shared_(shared), workflow_(workflow), retry_(std::move(retry)),
      follower_(std::make_shared<log_follower>(
          shared, "hooks/" + workflow.rules.name,
          [this](const event_glance& what) { return wants(what); },
          [this](lane& within, const event& what) { return work(within, what); }))
{
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
    auto seen = core::as_of(what, std::move(*current));
    for (const auto& each : workflow_.hooks) {
        if (!each.wants(what.kind, what.from, what.to))
            continue;
        const bool done = co_await run_hook(within, each.run, what, seen);
        if (!done)
            co_return false;
    }
    co_return true;
}

asio::awaitable<bool> hook_runner::run_hook(lane& within, const detail::hook& hook,
                                            const event& what, record& seen)
{
    for (int attempt = 1; !follower_->ends(within); ++attempt) {
        std::exception_ptr failure;
        const auto begun = shared_.clock.now();
        try {
            std::string upgraded;
            seen.object = detail::present_object(workflow_, seen, upgraded);
            seen.object_version = workflow_.rules.object_version;
            within.in_user_code = true;
            co_await hook(what, seen);
        } catch (...) {
            failure = std::current_exception();
        }
        within.in_user_code = false;
        if (failure && engine_detail::is_too_old(failure)) {
            // The event is for the hook of a newer program: that is no attempt.
            report_too_old(what, failure);
            co_await follower_->sleep(within, too_old_pause);
            --attempt;
            continue;
        }
        const bool last = retry_.max_attempts > 0 && attempt >= retry_.max_attempts;
        report(what, seen, attempt, shared_.clock.now() - begun, failure, last);
        if (!failure)
            co_return true;
        if (follower_->ends(within))
            co_return false;
        if (last)
            co_return true;
        co_await follower_->sleep(within, core::back_off(retry_, attempt, what.sequence));
    }
    co_return false;
}

void hook_runner::report(const event& what, const record& seen, int attempt, duration took,
                         const std::exception_ptr& failure, bool last) const
{
    const auto process = to_string(what.kind) + "-hook";
    const auto error = failure ? error_text(failure) : std::string{};
    if (failure) {
        log_entry entry{last ? log_level::error : log_level::warn,
                        last ? "a hook failed and is given up" : "a hook failed"};
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
    if (shared_.workflows.find(what.workflow)->second.told_too_old.exchange(true))
        return;
    const auto text = "a hook needs a newer program, and waits for an engine that has it (told "
                      "once for the workflow): " +
                      error_text(failure);
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
                                          " for a hook: " + error_text(failure)});
        co_await follower_->sleep(within, failure_pause);
    }
    co_return false;
}

} // namespace pawl::engine_detail
