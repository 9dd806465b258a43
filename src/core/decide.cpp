#include "core/decide.hpp"

#include "core/attribute_changes.hpp"
#include "core/message_acceptance.hpp"
#include "core/refusal.hpp"
#include "core/saturating_add.hpp"
#include "core/transition_builder.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace pawl::core {

namespace {

using detail::next_kind;
using detail::next_value;

/// One function per stimulus: what it changes in the record. False: the stimulus no longer applies.
class decision final : public transition_builder {
public:
    using transition_builder::transition_builder;

    bool apply(handler_returned& result);
    bool apply(handler_failed& failure);
    bool apply(checkpoint_wanted& checkpoint);
    bool apply(attempt_suspected& attempt);
    bool apply(command_received& command);
    bool apply(retry_received& command);
    bool apply(move_received& command);
    bool apply(message_expired& expired);
    bool apply(pause_elapsed&);
    bool apply(data_scrubbed& scrubbed);
    bool apply(status_retired& retired);
    bool apply(timeout_unknown& unknown);
    bool apply(transition_failed& failure);
    bool apply(parent_notified&);
    bool apply(children_cancelled&);
    bool apply(message_deferred&);

private:
    bool reject(std::uint64_t message, std::string why);
    void keep_status(const source& handler, const next_value& value);
    void fail_step(handler_failed& failure);
    void fail_timeout(const from_timeout& handler, handler_failed& failure);
    void fail_callback(const from_callback& handler, handler_failed& failure);
    std::string timeout_name(const from_timeout& handler) const;
};

std::string decision::timeout_name(const from_timeout& handler) const
{
    const auto* rules = workflow_.find(current_.status);
    const auto index = static_cast<std::size_t>(handler.timeout);
    return rules && index < rules->timeouts.size() ? rules->timeouts[index].name : std::string{};
}

/// The run stays in its status; the effect depends on which handler returned that.
void decision::keep_status(const source& handler, const next_value& value)
{
    const bool again = value.kind == next_kind::repeat;
    if (std::holds_alternative<from_step>(handler)) {
        note_progress();
        if (again) {
            next().not_before = saturating_add(now_, value.delay);
            ++next().round;
            drop_effects(step_handler_number);
        }
        next().step_done = !again;
        change_.kind = event_kind::repeated;
    } else if (const auto* timeout = std::get_if<from_timeout>(&handler)) {
        note_progress();
        if (again)
            rearm_deadline(timeout_name(*timeout), saturating_add(now_, value.delay));
        else
            drop_deadline(timeout_name(*timeout));
        change_.kind = event_kind::repeated;
    } else {
        next().state = run_state::running;
        // The error belongs to this callback, unless the step or a timeout fails as well.
        if (current_.callback_retries.size() > next().callback_retries.size() &&
            current_.attempt == 0 &&
            std::ranges::none_of(next().deadlines, [](const deadline& d) { return d.attempt > 0; }))
            next().last_error.clear();
        change_.kind = event_kind::message_settled;
    }
}

bool decision::apply(handler_returned& result)
{
    if (!is_active(current_.state))
        return false;
    next().suspicion = 0;
    if (result.value.kind == next_kind::move) {
        const auto* rules = workflow_.find(current_.status);
        const auto* target = workflow_.find(result.value.status);
        if (!rules || !target ||
            std::ranges::find(rules->edges, result.value.status, &edge::to) == rules->edges.end()) {
            handler_failed failure{result.handler,
                                   "the handler of status " + workflow_.label(current_.status) +
                                       " returned status " + workflow_.label(result.value.status) +
                                       ", which it does not declare",
                                   true};
            return apply(failure);
        }
    }
    if (result.value.kind != next_kind::skip)
        save_object(std::move(result.object), std::move(result.attributes));
    if (const auto* callback = std::get_if<from_callback>(&result.handler))
        settle(callback->message, message_outcome::handled);

    switch (result.value.kind) {
    case next_kind::move:
        enter(result.value.status);
        break;
    case next_kind::repeat:
    case next_kind::skip:
        keep_status(result.handler, result.value);
        break;
    case next_kind::pause:
        note_progress();
        if (const auto* timeout = std::get_if<from_timeout>(&result.handler))
            drop_deadline(timeout_name(*timeout));
        pause(pause_kind::by_request, std::move(result.value.reason));
        break;
    case next_kind::cancel:
        note_progress();
        end(run_state::cancelled, event_kind::cancelled, std::move(result.value.reason));
        break;
    case next_kind::finish:
        note_progress();
        end(run_state::completed, event_kind::completed, std::move(result.value.reason));
        break;
    }
    return true;
}

void decision::fail_step(handler_failed& failure)
{
    static const step_rules no_step;
    const auto* rules = workflow_.find(current_.status);
    const auto& step = rules && rules->step ? *rules->step : no_step;
    const int failures = current_.attempt + 1;
    next().attempt = failures;
    next().last_error = failure.error;
    const bool exhausted = step.retry.max_attempts > 0 && failures >= step.retry.max_attempts;
    if (!failure.permanent && !exhausted) {
        next().state = run_state::running;
        next().not_before = saturating_add(now_, retry_delay(step.retry, failures, entropy()));
        change_.kind = event_kind::attempt_failed;
    } else if (step.exhausted) {
        enter(*step.exhausted);
        next().last_error = failure.error;
    } else {
        pause(pause_kind::by_error, failure.error);
    }
}

void decision::fail_timeout(const from_timeout& handler, handler_failed& failure)
{
    static const timeout_rules no_timeout;
    const auto* rules = workflow_.find(current_.status);
    const bool known = rules && handler.timeout >= 0 &&
                       static_cast<std::size_t>(handler.timeout) < rules->timeouts.size();
    const auto& policy =
        known ? rules->timeouts[static_cast<std::size_t>(handler.timeout)].retry : no_timeout.retry;
    const auto name = timeout_name(handler);
    const auto armed = std::ranges::find(current_.deadlines, name, &deadline::timeout);
    const int failures = armed == current_.deadlines.end() ? 1 : armed->attempt + 1;
    next().last_error = failure.error;
    const bool exhausted = policy.max_attempts > 0 && failures >= policy.max_attempts;
    if (!failure.permanent && !exhausted) {
        next().state = run_state::running;
        set_deadline(name, saturating_add(now_, retry_delay(policy, failures, entropy())),
                     failures);
        change_.kind = event_kind::attempt_failed;
    } else {
        pause(pause_kind::by_error, failure.error);
    }
}

/// A failing callback does not fail its run. When the retries are exhausted, the sender gets the
/// error and the message becomes a dead letter.
void decision::fail_callback(const from_callback& handler, handler_failed& failure)
{
    static const callback_rules no_callback;
    const auto* rules = workflow_.find(current_.status);
    const auto waiting = std::ranges::find(inbox_.waiting.all, handler.message, &message::sequence);
    const bool known = rules && waiting != inbox_.waiting.all.end();
    const auto& policy = known ? rules->policy_of(waiting->name) : no_callback;
    const int failures = failed_attempts(current_, handler.message) + 1;
    const bool exhausted = policy.retry.max_attempts > 0 && failures >= policy.retry.max_attempts;
    if (known && !failure.permanent && !exhausted) {
        const callback_retry again{
            handler.message, failures,
            saturating_add(now_, retry_delay(policy.retry, failures, entropy()))};
        auto& retries = next().callback_retries;
        const auto entry = std::ranges::find(retries, handler.message, &callback_retry::message);
        if (entry == retries.end())
            retries.push_back(again);
        else
            *entry = again;
        next().last_error = failure.error;
        change_.kind = event_kind::attempt_failed;
        return;
    }
    settle(handler.message, message_outcome::failed, failure.error);
    change_.kind = event_kind::message_settled;
    if (policy.exhausted) {
        enter(*policy.exhausted);
        next().last_error = failure.error;
    }
}

bool decision::apply(handler_failed& failure)
{
    if (!is_active(current_.state))
        return false;
    next().suspicion = 0;
    failure.error = shortened(std::move(failure.error));
    if (std::holds_alternative<from_step>(failure.handler)) {
        fail_step(failure);
    } else if (const auto* timeout = std::get_if<from_timeout>(&failure.handler)) {
        fail_timeout(*timeout, failure);
    } else {
        fail_callback(std::get<from_callback>(failure.handler), failure);
    }
    return true;
}

bool decision::apply(checkpoint_wanted& checkpoint)
{
    if (!is_active(current_.state))
        return false;
    next().state = run_state::running;
    save_object(std::move(checkpoint.object), std::move(checkpoint.attributes));
    if (checkpoint.added) {
        assert(std::ranges::none_of(next().effects, [&](const effect& known) {
            return known.name == checkpoint.added->name &&
                   known.for_run == checkpoint.added->for_run &&
                   (known.for_run || known.handler == checkpoint.added->handler);
        }));
        next().effects.push_back(std::move(*checkpoint.added));
        // Each effect is recorded once, so a handler that crashes its process again and again
        // cannot clear its suspicion each time, as it could by saving its object.
        next().suspicion = 0;
    }
    change_.kind = event_kind::checkpointed;
    return true;
}

bool decision::apply(attempt_suspected& attempt)
{
    if (!is_active(current_.state))
        return false;
    next().suspicion = attempt.suspicion;
    change_.kind = event_kind::attempt_begun;
    return true;
}

bool decision::reject(std::uint64_t message, std::string why)
{
    settle(message, message_outcome::rejected, std::move(why));
    change_.kind = event_kind::message_settled;
    return true;
}

bool decision::apply(command_received& command)
{
    const auto reject = [&] {
        return this->reject(command.message, refusal_text(command.kind, current_.state));
    };
    const bool finished = is_finished(current_.state);
    switch (command.kind) {
    case message_kind::pause:
        // An operator's pause replaces a pause by an error, so that it does not end automatically.
        if (finished ||
            (current_.state == run_state::paused && current_.pause == pause_kind::by_request))
            return reject();
        pause(pause_kind::by_request, std::move(command.reason));
        break;
    case message_kind::resume:
        if (current_.state != run_state::paused)
            return reject();
        resume(false);
        next().reason = shortened(std::move(command.reason));
        break;
    case message_kind::cancel:
        if (finished)
            return reject();
        end(run_state::cancelled, event_kind::cancelled, std::move(command.reason));
        break;
    case message_kind::delete_data:
        if (!finished)
            return reject();
        next().state = run_state::requested_data_deleted;
        next().reason = shortened(std::move(command.reason));
        change_.kind = event_kind::data_deletion_requested;
        break;
    case message_kind::callback:
    case message_kind::retry:
    case message_kind::move:
        assert(!"these have stimuli of their own");
        return false;
    }
    next().requested_by = std::move(command.requested_by);
    settle(command.message, message_outcome::handled);
    return true;
}

bool decision::apply(retry_received& command)
{
    constexpr auto kind = message_kind::retry;
    const auto& wanted = command.request.if_version;
    if (is_finished(current_.state))
        return reject(command.message, refusal_text(kind, current_.state));
    if (wanted && *wanted != current_.version)
        return reject(command.message, version_refusal_text(kind, current_.version, *wanted));
    if (current_.state == run_state::paused && current_.pause == pause_kind::by_request)
        return reject(command.message, refusal_text(kind, current_.state));
    const bool is_failing =
        current_.attempt > 0 || !current_.callback_retries.empty() ||
        std::ranges::any_of(current_.deadlines, [](const deadline& d) { return d.attempt > 0; });
    if (current_.state != run_state::paused && !is_failing)
        return reject(command.message, no_failure_text());
    if (current_.state == run_state::paused)
        resume(false);
    reset_attempts();
    next().reason = shortened(std::move(command.request.reason));
    next().requested_by = std::move(command.requested_by);
    change_.kind = event_kind::retried;
    settle(command.message, message_outcome::handled);
    return true;
}

bool decision::apply(move_received& command)
{
    constexpr auto kind = message_kind::move;
    auto& request = command.request;
    if (current_.state != run_state::paused)
        return reject(command.message, refusal_text(kind, current_.state));
    if (request.if_version && *request.if_version != current_.version)
        return reject(command.message,
                      version_refusal_text(kind, current_.version, *request.if_version));
    if (!command.problem.empty())
        return reject(command.message, command.problem);
    const int target = request.status.value_or(current_.status);
    if (!workflow_.find(target))
        return reject(command.message, status_refusal_text(target));
    if (request.object)
        save_object(std::move(*request.object), std::move(command.attributes));
    resume(false);
    enter(target);
    if (change_.kind == event_kind::moved)
        change_.kind = event_kind::moved_by_command;
    next().reason = shortened(std::move(request.reason));
    next().requested_by = std::move(command.requested_by);
    settle(command.message, message_outcome::handled);
    return true;
}

bool decision::apply(message_expired& expired)
{
    settle(expired.message, message_outcome::expired, "its time limit passed in the inbox");
    change_.kind = event_kind::message_settled;
    return true;
}

bool decision::apply(pause_elapsed&)
{
    if (current_.state != run_state::paused || current_.pause != pause_kind::by_error)
        return false;
    resume(true);
    return true;
}

bool decision::apply(data_scrubbed& scrubbed)
{
    if (current_.state != run_state::requested_data_deleted)
        return false;
    next().state = run_state::data_deleted;
    save_object(std::move(scrubbed.object), {});
    change_.attributes.replaces_all = true; // also those that the record does not name
    next().effects.clear();
    next().last_error.clear();
    change_.kind = event_kind::data_deleted;
    return true;
}

bool decision::apply(status_retired& retired)
{
    if (is_finished(current_.state))
        return false;
    enter(retired.successor);
    if (current_.state == run_state::paused && !is_finished(next().state)) {
        next().state = run_state::paused;
        next().pause = current_.pause;
        next().reason = current_.reason;
        next().requested_by = current_.requested_by;
        next().last_error = current_.last_error;
        next().auto_resumes = current_.auto_resumes;
        next().resume_at = current_.resume_at;
    }
    return true;
}

bool decision::apply(timeout_unknown& unknown)
{
    if (!is_active(current_.state))
        return false;
    if (unknown.kept) {
        set_deadline(unknown.timeout, newer_program_recheck(current_.entered_at), 0);
    } else {
        drop_deadline(unknown.timeout);
    }
    change_.kind = event_kind::checkpointed;
    return true;
}

bool decision::apply(transition_failed& failure)
{
    if (!is_active(current_.state))
        return false;
    failure.error = shortened(std::move(failure.error));
    next().last_error = failure.error;
    pause(pause_kind::by_error, failure.error);
    return true;
}

bool decision::apply(parent_notified&)
{
    if (!has_unreported_end(current_))
        return false;
    next().parent->is_notified = true;
    change_.kind = event_kind::parent_notified;
    return true;
}

bool decision::apply(children_cancelled&)
{
    if (!current_.cancels_children)
        return false;
    next().cancels_children = false;
    change_.kind = event_kind::children_cancelled;
    return true;
}

bool decision::apply(message_deferred&)
{
    change_.kind = event_kind::message_deferred;
    return true;
}

} // namespace

int failed_attempts(const record& run, std::uint64_t callback) noexcept
{
    const auto failed = std::ranges::find(run.callback_retries, callback, &callback_retry::message);
    return failed == run.callback_retries.end() ? 0 : failed->attempt;
}

transition start(const definition& workflow, start_request request, time_point now,
                 const arm_deadlines& arm)
{
    const auto* rules = workflow.find(request.status);
    assert(rules && !rules->end);
    transition change;
    change.kind = event_kind::started;
    change.from = request.status;
    change.start = request.id_reuse;
    auto& next = change.next;
    next.id = request.id;
    next.workflow = workflow.name;
    next.foreign_id = std::move(request.foreign_id);
    next.version = 1;
    next.state = run_state::initiated;
    next.status = request.status;
    next.visit = 1;
    next.entered_at = next.created_at = next.updated_at = now;
    next.step_done = !rules->step;
    if (rules->step && rules->step->start_delay > duration::zero())
        next.not_before = saturating_add(now, rules->step->start_delay);
    next.deadlines = arm(request.status);
    next.object = std::move(request.object);
    next.object_version = workflow.write_version;
    next.attributes = std::move(request.attributes);
    change.attributes = changes_between({}, next.attributes);
    change.attributes.replaces_all = false; // a new run has none
    next.start_key = std::move(request.start_key);
    next.trace_parent = std::move(request.trace_parent);
    next.parent = std::move(request.parent);
    next.wake_at = wake_time(next, workflow, now);
    // Its engine checks that the parent was not cancelled before the child was stored.
    if (next.parent && next.parent->on_cancel == parent_cancel::cancel)
        next.wake_at = std::min(next.wake_at.value_or(now), now);
    return change;
}

std::optional<transition> decide(const record& current, const definition& workflow, stimulus event,
                                 time_point now, const arm_deadlines& arm, inbox_view inbox)
{
    std::optional<transition> change{std::in_place};
    decision outcome{current, workflow, now, arm, inbox, *change};
    if (std::visit([&](auto& alternative) { return outcome.apply(alternative); }, event))
        outcome.finish();
    else
        change.reset();
    return change;
}

} // namespace pawl::core
