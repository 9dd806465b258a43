#include "engine/run/run_commits.hpp"

#include "core/attribute_changes.hpp"
#include "core/dead_letter.hpp"
#include "core/reserved_names.hpp"
#include "engine/cluster/shard_manager.hpp"
#include "engine/run/exception_info.hpp"
#include "engine/run/run_attributes.hpp"
#include "engine/waits/watchers.hpp"
#include "streams/topic_waiters.hpp"

#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <utility>

namespace pawl::engine_detail {

namespace asio = boost::asio;

namespace {

/// Commits in place that a run may make before it lets others have the thread.
constexpr int max_commits_in_a_row = 16;

} // namespace

run_commit::run_commit(run_commits& owner, transition decided, origin from)
    : pending_commit{std::move(decided), {}, {}}, commits(owner),
      is_of_handler(from == origin::handler)
{
    const auto& run = commits.run_;
    auto& next = std::get<transition>(change);
    next.epoch = run.epoch();
    // The commands of a schedule are reported to their sender alone.
    if (!run.stored.workflow.starts_with(core::reserved_prefix))
        companion = core::callback_dead_letter(run.stored, next, run.inbox.messages());
    ++commits.commits_under_way_;
}

void run_commit::committed()
{
    asio::dispatch(commits.run_.strand(), [this, alive = commits.run_.shared_from_this()] {
        auto coroutine = std::move(*waiting);
        std::move(coroutine)();
    });
}

run_commits::run_commits(loaded_run& run, detail::run_context& timer_context)
    : run_(run), timer_context_(timer_context)
{
}

std::optional<transition> run_commits::decide(core::stimulus stimulus)
{
    const auto deadlines_of = [this](int status) {
        if (armed_ && armed_->first == status)
            return armed_->second;
        // A failed step moves to its `on_exhausted` status, with the object as it was.
        run_.decode_object();
        return arm(status);
    };
    const auto& rules = run_.workflow->impl->rules;
    std::string error;
    try {
        auto decided = core::decide(run_.stored, rules, std::move(stimulus), run_.now(),
                                    deadlines_of, run_.inbox_view());
        if (decided && !core::are_declared(decided->next.attributes, rules.attributes))
            add_missing_attributes(*decided);
        return decided;
    } catch (...) {
        if (run_.left_to_newer_program(std::current_exception()))
            return std::nullopt;
        error = "a timeout could not be armed: " + detail::exception_text(std::current_exception());
    }
    return core::decide(run_.stored, rules, core::transition_failed{std::move(error)}, run_.now(),
                        deadlines_of, run_.inbox_view());
}

/// The program has other attributes than the one that stored those of the run, and this transition
/// does not save the object.
void run_commits::add_missing_attributes(transition& change) const
{
    auto& next = change.next;
    if (next.state == run_state::requested_data_deleted || next.state == run_state::data_deleted)
        return;
    const auto& workflow = *run_.workflow;
    try {
        next.attributes = attributes_of(*workflow.impl, next);
    } catch (...) {
        // A command must not fail for it. A step will, if it cannot read the object either.
        if (!run_.workflow->missing_attributes_logged.exchange(true))
            run_.log(log_level::warn,
                     "the attributes of the stored object cannot be computed, the run is not found "
                     "by them (told once for the workflow): " +
                         detail::exception_text(std::current_exception()));
        return;
    }
    change.attributes = core::changes_between(run_.stored.attributes, next.attributes);
}

void run_commits::arm_ahead(int status)
{
    armed_ = {status, arm(status)};
}

std::vector<deadline> run_commits::arm(int status)
{
    return detail::arm_timeouts(*run_.workflow->impl, status, run_.object, timer_context_);
}

bool run_commits::try_apply(run_commit& item)
{
    if (!run_.shared.commits.try_apply(item))
        return false;
    ++commits_in_a_row_;
    take_result(item);
    return true;
}

asio::awaitable<void> run_commits::submit(run_commit& item)
{
    return asio::async_initiate<const asio::use_awaitable_t<>, void()>(
        [](auto coroutine, commit_queue* queue, run_commit* submitted) {
            submitted->waiting.emplace(std::move(coroutine));
            queue->submit(*submitted, *submitted);
        },
        asio::use_awaitable, &run_.shared.commits, &item);
}

bool run_commits::must_yield()
{
    if (commits_in_a_row_ < max_commits_in_a_row)
        return false;
    commits_in_a_row_ = 0;
    return true;
}

void run_commits::take_result(run_commit& item)
{
    --commits_under_way_;
    apply_result(item);
    if (commits_under_way_ == 0)
        notify_watchers();
}

void run_commits::abandon_commit()
{
    --commits_under_way_;
    if (commits_under_way_ == 0)
        notify_watchers();
}

void run_commits::take_failure(const std::exception_ptr& failure)
{
    failure_ = failure;
    run_.shared.log({log_level::warn, "cannot store run " + to_string(run_.id()) + ": " +
                                          detail::exception_text(failure)});
    run_.note_store_failure(failure);
}

void run_commits::apply_result(run_commit& item)
{
    if (item.failure && item.is_of_handler && error_code_of(item.failure) == errc::too_large) {
        item.refused = true; // the record is as it was
        return;
    }
    if (item.failure) {
        take_failure(item.failure);
        return;
    }
    if (item.result.status == apply_status::accepted) {
        apply_accepted(item);
        return;
    }
    failure_ = std::make_exception_ptr(system_error(
        make_error_code(errc::conflict), "the run was changed while a step saved its progress"));
    if (item.result.status == apply_status::conflict) {
        run_.stale = true;
        report_discarded(discard_reason::conflict);
        return;
    }
    if (item.result.status == apply_status::fenced)
        run_.shared.shards->recheck_leases();
    run_.owned = false; // fenced or removed
    report_discarded(discard_reason::not_owner);
}

void run_commits::apply_accepted(run_commit& item)
{
    auto& accepted = std::get<transition>(item.change);
    auto& stored = run_.stored;
    run_.encode_buffer = std::move(stored.object);
    // A handler may have views of these, which never change.
    accepted.next.foreign_id.swap(stored.foreign_id);
    accepted.next.workflow.swap(stored.workflow);
    stored = std::move(accepted.next);
    if (item.companion)
        streams::topic_waiters::of(run_.shared.store)->notify_topic(item.companion->topic);
    for (const auto& settled : accepted.settled)
        report_settled(settled);
    for (const auto& settled : accepted.settled)
        run_.inbox.remove(settled.sequence);
    run_.new_messages = accepted.inbox_seen < run_.inbox_seen;
    if (is_finished(stored.state) && !is_finished(accepted.state_before))
        run_.inbox.clear(); // the store has ended the messages that waited
}

void run_commits::report_discarded(discard_reason reason) const
{
    if (run_.shared.observer)
        run_.shared.observer->discarded(
            run_.stored.workflow, run_.workflow->impl->rules.label(run_.stored.status) + "-commit",
            reason);
}

void run_commits::report_settled(const settlement& settled) const
{
    const auto message = run_.inbox.find(settled.sequence);
    auto* const observer = run_.shared.observer;
    if (!observer || message == run_.inbox.end())
        return;
    observer->message_settled(run_.stored.workflow, message->kind, settled.outcome,
                              run_.now() - message->sent_at);
    const bool rejected = settled.outcome == message_outcome::rejected;
    if (rejected || settled.outcome == message_outcome::expired)
        observer->discarded(
            run_.stored.workflow, run_.workflow->impl->rules.label(run_.stored.status) + "-inbox",
            rejected ? discard_reason::message_refused : discard_reason::message_expired);
}

void run_commits::show_record(std::shared_ptr<watcher> added)
{
    asio::dispatch(run_.strand(),
                   [this, alive = run_.shared_from_this(), added = std::move(added)]() mutable {
                       watchers_.push_back(std::move(added));
                       if (commits_under_way_ == 0)
                           notify_watchers();
                   });
}

void run_commits::notify_watchers()
{
    for (auto& added : std::exchange(watchers_, {})) {
        if (!run_.is_current()) {
            run_.shared.check_watcher(std::move(added));
            continue;
        }
        run_.shared.watching->offer_present_record(*added, run_.stored);
        run_.shared.running.leave();
    }
}

asio::awaitable<void> run_commits::wait_for_turn()
{
    if (try_take_turn())
        co_return;
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(
        [this](auto coroutine) { turn_queue_.push_back(std::move(coroutine)); },
        asio::use_awaitable);
}

void run_commits::pass_turn()
{
    if (turn_queue_.empty()) {
        turn_taken_ = false;
        return;
    }
    auto next = std::move(turn_queue_.front());
    turn_queue_.pop_front();
    asio::post(run_.strand(), [alive = run_.shared_from_this(),
                               waiting = std::move(next)]() mutable { std::move(waiting)(); });
}

} // namespace pawl::engine_detail
