#include "engine/run/activation.hpp"

#include "core/saturating_add.hpp"
#include "engine/run/due_scanner.hpp"
#include "engine/run/received_commands.hpp"
#include "engine/run/run_calls.hpp"
#include "pawl/detail/exception_text.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <exception>
#include <iterator>
#include <utility>
#include <vector>

namespace pawl::engine_detail {

namespace asio = boost::asio;
using core::need;

namespace {

bool runs_handler(need kind)
{
    return kind == need::step || kind == need::timeout || kind == need::callback;
}

/// What the end of a run leads to in other runs.
bool concerns_other_runs(need kind)
{
    return kind == need::notify_parent || kind == need::cancel_children;
}

/// What is still done while the engine drains, for messages of its handlers.
bool concerns_message(need kind)
{
    return kind == need::callback || kind == need::command || kind == need::expire_message;
}

} // namespace

activation::activation(engine_parts& engine, run_id run, std::optional<record> given,
                       std::optional<core::stimulus> pending)
    : loaded_run(engine, run, std::move(given)), admission_(*this), context_(*this, commits_),
      commits_(*this, context_), settler_(*this, commits_, context_),
      attempt_(*this, commits_, context_, settler_, *this), pending_stimulus_(std::move(pending))
{
}

asio::awaitable<void> activation::drive()
{
    bool ended = false;
    bool lost = false;
    std::exception_ptr escaped;
    try {
        use_given_record();
        ended = co_await perform_actions();
        lost = !ended && !is_owner();
    } catch (...) {
        escaped = std::current_exception();
    }
    admission_.release_permit();
    admission_.release_suspect();
    if (!ended && !abandoned)
        shared.active->remove(*this);
    commits_.notify_watchers();
    if (escaped)
        context_.log(log_level::error, "internal error: " + detail::exception_text(escaped));
    // Not earlier, because a scan passes over an active run. The id is enough: the run may be due
    // at another time than this activation knows. An unavailable store is not a failure of the run.
    if (escaped || store_failed)
        shared.due->retry_run(shard(), id(),
                              escaped || failed_by_data ? failures_ + 1 : std::max(failures_, 1));
    else if (lost)
        shared.due->wake_run(*shard(), id(), now()); // in case the shard has been taken again
}

/// While the engine drains, only messages of its own handlers are processed: these wait for it.
bool activation::may_continue() const
{
    return owned && !abandoned && is_owner() &&
           (!shared.stopping || (serves_messages_ && !shared.cancelling));
}

/// Performs the run's actions, one after another. True when the activation has ended because
/// nothing is left to do. The loop calls other coroutines only for what may wait: each is an
/// allocation.
asio::awaitable<bool> activation::perform_actions()
{
    while (may_continue()) {
        take_messages();
        if (stale || inbox_incomplete) {
            co_await load();
            continue;
        }
        if (must_check_parent()) {
            co_await check_parent();
            continue;
        }
        auto stimulus = std::exchange(pending_stimulus_, std::nullopt);
        std::optional<core::source> handler;
        if (!stimulus) {
            const auto present = now();
            core::action next;
            const auto result = prepare(next, present);
            if (result == prepared::end)
                co_return true;
            if (result == prepared::nothing)
                continue;
            const bool calls_handler = runs_handler(next.kind);
            if (calls_handler)
                stimulus = admission_.judge_attempt(source_of(next, inbox));
            else if (concerns_other_runs(next.kind))
                stimulus = co_await reach_other_runs(next.kind);
            else
                stimulus = stimulus_of(next);
            if (!stimulus && calls_handler) {
                handler = source_of(next, inbox);
                note_handler(next.kind, present);
                if (next.kind == need::step)
                    admission_.use_permit();
                stimulus = co_await attempt_.run(next);
                handler_since_ = 0;
                if (place_ == active_runs::place::waiting)
                    shared.active->stop_waiting(*this);
                if (commits_.turn_is_taken()) {
                    // A message is being settled since before the handler's end.
                    co_await commits_.wait_for_turn();
                    commits_.pass_turn();
                }
                admission_.clear_suspicion();
                if (next.kind == need::step)
                    admission_.release_permit();
            }
            if (!stimulus || !owned || abandoned || stale)
                continue;
        }
        auto decided = commits_.decide(std::move(*stimulus));
        commits_.forget_armed();
        if (decided) {
            run_commit item{commits_, std::move(*decided),
                            handler ? run_commit::origin::handler : run_commit::origin::engine};
            if (!commits_.try_apply(item)) {
                co_await commits_.submit(item);
                commits_.take_result(item);
            }
            if (item.refused) {
                object.reset();
                pending_stimulus_ =
                    core::handler_failed{*handler, detail::exception_text(item.failure), true};
            }
        }
        if (commits_.must_yield())
            co_await asio::post(strand(), asio::use_awaitable);
    }
    co_return false;
}

/// Chooses the next action, and gets what the run must have before it begins.
activation::prepared activation::prepare(core::action& next, time_point present)
{
    const auto result = [](bool ended) {
        return ended ? prepared::end : prepared::nothing;
    };
    next = choose_action(present);
    if (next.kind == need::newer_program) {
        leave_to_newer_program("it is in status " + std::to_string(stored.status) +
                               (workflow->impl->rules.find(stored.status)
                                    ? ", whose step this program does not have"
                                    : ", which this program does not have"));
        return prepared::nothing;
    }
    const bool may_begin = !shared.stopping || concerns_message(next.kind);
    if (!may_begin || (next.kind == need::nothing && !seems_due(present)))
        return result(end());
    if (next.kind == need::step && !shared.active->take_step_place(*this)) {
        admission_.release_permit();
        if (only_step_is_next(next, present))
            return result(end_and_wait_for_place());
    }
    if (next.kind == need::step && !admission_.acquire_permit() && only_step_is_next(next, present))
        return result(end_and_wait_for_permit());
    if (next.kind != need::step)
        admission_.release_permit(); // others may use it meanwhile
    if (runs_handler(next.kind) && !admission_.admit_suspect())
        return result(end_and_wait_for_suspects());
    return prepared::action;
}

core::action activation::choose_action(time_point present)
{
    return core::next_action(stored, workflow->impl->rules, inbox, present, callbacks_in_a_row,
                             workflow->outdated);
}

/// The step cannot begin. If it is only next because callbacks had their turn, they continue
/// meanwhile.
bool activation::only_step_is_next(core::action& next, time_point present)
{
    callbacks_in_a_row = 0;
    next = choose_action(present);
    return next.kind == need::step;
}

/// The store believes that the run needs an engine now. If it does not, a commit corrects that.
bool activation::seems_due(time_point present) const
{
    return new_messages || (stored.wake_at && *stored.wake_at <= present);
}

/// This function and the three after it return false when messages have arrived: then the
/// activation continues.
bool activation::end()
{
    if (!shared.active->retire(*this))
        return false;
    if (stored.wake_at)
        shared.due->scan_from(shared.shard_of(stored), *stored.wake_at);
    return true;
}

bool activation::end_and_wait_for_place()
{
    if (!shared.active->retire(*this))
        return false;
    shared.due->wait_for_place(shared.shard_of(stored), position(), next_urgent_time());
    return true;
}

bool activation::end_and_wait_for_permit()
{
    if (!shared.active->retire(*this))
        return false;
    admission_.wait_for_permit();
    return true;
}

bool activation::end_and_wait_for_suspects()
{
    admission_.release_permit();
    if (!shared.active->retire(*this))
        return false;
    // It is woken when a suspect has ended. That may have been just now, while it was active.
    shared.due->wake_run(*shard(), id(), core::saturating_add(now(), failure_pause));
    return true;
}

/// The stimulus of an action that calls no handler.
std::optional<core::stimulus> activation::stimulus_of(core::action next)
{
    switch (next.kind) {
    case need::command:
        return stimulus_of_command(*this, commits_, inbox[next.message]);
    case need::expire_message:
        return core::message_expired{inbox[next.message].sequence};
    case need::resume:
        return core::pause_elapsed{};
    case need::scrub: {
        auto scrubbed = scrubbed_object();
        if (!scrubbed)
            return std::nullopt;
        return core::data_scrubbed{std::move(*scrubbed)};
    }
    case need::unknown_timeout:
        return unknown_timeout(stored.deadlines[static_cast<std::size_t>(next.timeout)].timeout);
    case need::nothing:
    default:
        return core::message_deferred{};
    }
}

/// Whether the run is a child that has just begun, and is cancelled with its parent.
bool activation::must_check_parent() const
{
    return stored.version == 1 && stored.parent && !parent_checked_ &&
           stored.parent->on_cancel == parent_cancel::cancel;
}

asio::awaitable<void> activation::check_parent()
{
    std::exception_ptr failure;
    try {
        co_await shared.calls->cancel_with_parent(stored);
    } catch (...) {
        failure = std::current_exception();
    }
    parent_checked_ = !failure;
    if (failure)
        note_unreached_runs(failure);
}

asio::awaitable<std::optional<core::stimulus>> activation::reach_other_runs(need kind)
{
    std::optional<core::stimulus> settled;
    std::exception_ptr failure;
    try {
        if (kind == need::cancel_children) {
            co_await shared.calls->cancel_children(id());
            settled = core::children_cancelled{};
        } else {
            co_await shared.calls->notify_parent(stored);
            settled = core::parent_notified{};
        }
    } catch (...) {
        failure = std::current_exception();
    }
    if (failure)
        note_unreached_runs(failure);
    co_return settled;
}

/// The run is tried again, as after a failure of the store.
void activation::note_unreached_runs(const std::exception_ptr& failure)
{
    log(log_level::warn, "the parent or the children of this run were not reached: " +
                             detail::exception_text(failure));
    note_store_failure(failure);
}

core::stimulus activation::unknown_timeout(const std::string& name)
{
    const bool kept = workflow->outdated;
    if (kept)
        shared.mark_too_old(*workflow);
    log(log_level::info, "the timeout \"" + name +
                             (kept ? "\" of this run is of a newer program: it is kept for it"
                                   : "\" of this run is no longer declared: it is dropped"));
    return core::timeout_unknown{name, kept};
}

void activation::note_handler(need kind, time_point since)
{
    handler_workflow_ = workflow->impl.get();
    handler_status_ = stored.status;
    handler_kind_ = kind;
    handler_since_ = since.time_since_epoch().count();
}

std::optional<activation::running_handler> activation::handler_at_work() const noexcept
{
    const auto since = handler_since_.load();
    if (since == 0)
        return std::nullopt;
    return running_handler{handler_workflow_, handler_status_, handler_kind_,
                           time_point{duration{since}}};
}

/// True when a message cancels a running handler.
bool activation::take_messages()
{
    if (!has_inbox_delta_)
        return false;
    auto delta = shared.active->drain_inbox_delta(*this);
    inbox_incomplete = inbox_incomplete || delta.unsure;
    return add_messages(std::move(delta.arrived));
}

void activation::check_messages()
{
    asio::post(strand(), [this, alive = shared_from_this()] {
        if (!context_.is_open())
            return;
        if (take_messages())
            attempt_.cancel(attempt::cancel_reason::command);
        settler_.schedule();
    });
}

void activation::check_inbox(std::uint64_t last)
{
    if (!shard() || last <= inbox_seen)
        return;
    asio::post(strand(), [this, alive = shared_from_this(), last] {
        last_message_ = std::max(last_message_, last);
        if (fetches_messages_ || last <= inbox_seen)
            return;
        if (!context_.is_open()) {
            if (!shared.active->invalidate_inbox(id()))
                shared.due->wake_run(*shard(), id(), now());
            return;
        }
        fetches_messages_ = true;
        shared.running.spawn(strand(), fetch_messages());
    });
}

/// Reads messages that have arrived while the handler runs, also those that arrive during the read.
asio::awaitable<void> activation::fetch_messages()
{
    const auto alive = shared_from_this();
    std::vector<message> unknown;
    std::exception_ptr failure;
    try {
        std::uint64_t after = inbox_seen;
        for (bool more = true; more;) {
            const auto last = last_message_;
            auto page = co_await shared.store.inbox(id(), after, inbox_page);
            more = page.size() == inbox_page || last_message_ > last;
            if (!page.empty())
                after = page.back().sequence;
            std::ranges::move(page, std::back_inserter(unknown));
        }
    } catch (...) {
        failure = std::current_exception();
    }
    fetches_messages_ = false;
    if (failure)
        shared.log({log_level::warn, "cannot read the messages of run " + to_string(id()) + ": " +
                                         detail::exception_text(failure)});
    else
        shared.active->post_messages(id(), std::move(unknown));
}

void activation::cancel_for_stop()
{
    asio::post(strand(), [this, alive = shared_from_this()] {
        attempt_.cancel(attempt::cancel_reason::engine_stop);
    });
}

void activation::check_ownership()
{
    asio::post(strand(), [this, alive = shared_from_this()] {
        if (!is_owner())
            attempt_.cancel(attempt::cancel_reason::shard_lost);
    });
}

void activation::abandon_attempt(attempt::cancel_reason reason)
{
    abandoned = true;
    admission_.release_permit();
    if (!shared.owns(*shard())) {
        // The next owner of the shard finds the run due.
        context_.log(log_level::error,
                     "a handler ignored its cancellation for engine_options::cancellation_grace; "
                     "its run is left to the next owner of the shard");
        shared.active->remove(*this);
        return;
    }
    context_.log(log_level::error,
                 "a handler ignored its cancellation for engine_options::cancellation_grace; the "
                 "run continues without it");
    std::optional<core::stimulus> pending;
    if (reason == attempt::cancel_reason::timeout)
        pending = attempt_.timeout_failure();
    const auto fresh = std::make_shared<activation>(shared, id(), std::nullopt, std::move(pending));
    if (reason == attempt::cancel_reason::deadline)
        fresh->callbacks_in_a_row = core::max_callbacks_in_a_row;
    shared.active->replace(*this, fresh);
}

} // namespace pawl::engine_detail
