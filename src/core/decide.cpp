#include "core/decide.hpp"

#include "core/message_acceptance.hpp"
#include "core/planted.hpp"
#include "core/saturating_add.hpp"
#include "core/stable_hash.hpp"
#include "core/text.hpp"

#include <algorithm>
#include <cassert>
#include <utility>

namespace pawl::core {

namespace {

using detail::next_kind;
using detail::next_value;

/// Longer texts are cut: a run that fails for ever must not grow its record.
constexpr std::size_t max_error_length = 2000;

/// Until what only a newer program knows is looked at again.
constexpr duration min_newer_program_recheck = std::chrono::seconds{1};
constexpr duration max_newer_program_recheck = std::chrono::hours{1};

std::string shortened(std::string text)
{
    if (text.size() <= max_error_length)
        return text;
    return truncate_utf8(std::move(text), max_error_length) + "…";
}

/// Carries one decision from the present record to the transition. Each member function below is
/// one row of the table: what an outcome does to the record.
class transition_builder {
public:
    transition_builder(const record& current, const definition& workflow, time_point now,
                       const arm_deadlines& arm, inbox_view inbox, transition& change)
        : current_(current), workflow_(workflow), now_(now), arm_(arm), inbox_(inbox),
          change_(change)
    {
        change_.next = current;
        change_.expected_version = current.version;
        change_.from = current.status;
        change_.state_before = current.state;
        change_.inbox_seen = inbox.seen;
        next().version = current.version + 1;
        next().updated_at = now;
    }

    record& next() { return change_.next; }

    void finish()
    {
        next().wake_at = wake_time(next(), workflow_, now_, mail_time(), inbox_.outdated);
    }

    /// When the messages that stay in the inbox need an engine: now for those that the run can take
    /// in its new state, so that they are not forgotten if this is the last that the maker does.
    std::optional<time_point> mail_time() const
    {
        std::optional<time_point> earliest;
        inbox_order order{change_.next, workflow_.find(change_.next.status)};
        for (const auto& waiting : inbox_.waiting.all) {
            if (earliest && *earliest <= now_)
                break;
            if (std::ranges::find(change_.settled, waiting.sequence, &settlement::sequence) !=
                change_.settled.end())
                continue;
            auto at = order.acceptable_from(waiting);
            if (at)
                at = std::max(*at, now_);
            if (waiting.expires_at && (!at || *waiting.expires_at < *at))
                at = waiting.expires_at;
            if (inbox_.outdated && is_undeclared_callback(workflow_, waiting))
                at = std::min(at.value_or(time_point::max()),
                              newer_program_recheck(waiting.sent_at));
            if (at && (!earliest || *at < *earliest))
                earliest = at;
        }
        return earliest;
    }

    /// When what only a newer program knows is looked at again: when it is twice as old, so soon in
    /// the minutes of a deployment, and rarely in the years of a program that was set back.
    time_point newer_program_recheck(time_point since) const
    {
        return saturating_add(now_, std::clamp<duration>(now_ - since, min_newer_program_recheck,
                                                         max_newer_program_recheck));
    }

    void settle(std::uint64_t message, message_outcome outcome, std::string detail = {})
    {
        forget_effects(callback_handler_number(message));
        change_.settled.push_back({message, outcome, shortened(std::move(detail))});
        std::erase_if(next().callback_retries,
                      [&](const callback_retry& each) { return each.message == message; });
    }

    void refuse(std::uint64_t message, std::string why)
    {
        settle(message, message_outcome::rejected, std::move(why));
        change_.kind = event_kind::message_settled;
    }

    void save(std::string object)
    {
        next().object = std::move(object);
        next().object_version = workflow_.write_version;
    }

    /// Those that belong to one handler of the visit.
    void forget_effects(std::uint64_t handler)
    {
        std::erase_if(next().effects, [handler](const effect& each) {
            return !each.for_run && each.handler == handler;
        });
    }

    void made_progress()
    {
        next().state = run_state::running;
        // A back-off ends with the attempts that it belongs to; a start_delay or repeat_after()
        // goes on.
        if (next().attempt > 0)
            next().not_before.reset();
        next().attempt = 0;
        next().auto_resumes = 0;
        next().last_error.clear();
        next().reason.clear();
        next().requested_by.clear();
    }

    void enter(int status)
    {
        made_progress();
        const auto* rules = workflow_.find(status);
        next().status = status;
        ++next().visit;
        next().entered_at = now_;
        // A step that a later program adds to the status is for those who enter it then.
        next().step_done = !rules->step;
        next().round = 0;
        next().not_before.reset();
        if (rules->step && rules->step->start_delay > duration::zero())
            next().not_before = saturating_add(now_, rules->step->start_delay);
        // Those of a callback's handler stay until its message is settled.
        std::erase_if(next().effects, [](const effect& each) {
            return !each.for_run && each.handler < callback_handler_number(0);
        });
        if (rules->end) {
            end(run_state::completed, event_kind::completed, {});
        } else {
            auto armed = arm_(status);
            if (PAWL_PLANTED(old_deadlines_kept))
                armed.insert(armed.end(), next().deadlines.begin(), next().deadlines.end());
            next().deadlines = std::move(armed);
            change_.kind = event_kind::moved;
        }
    }

    void end(run_state state, event_kind kind, std::string reason)
    {
        next().state = state;
        next().reason = shortened(std::move(reason));
        next().pause = pause_kind::none;
        next().resume_at.reset();
        next().deadlines.clear();
        next().callback_retries.clear();
        next().not_before.reset();
        next().suspicion = 0;
        change_.kind = kind;
    }

    void pause(pause_kind why, std::string reason)
    {
        next().state = run_state::paused;
        next().pause = why;
        next().suspicion = 0;
        next().requested_by.clear();
        next().reason = shortened(std::move(reason));
        next().resume_at.reset();
        if (why == pause_kind::by_error && workflow_.resume_after > duration::zero() &&
            next().auto_resumes < workflow_.max_auto_resumes)
            next().resume_at = saturating_add(now_, workflow_.resume_after);
        change_.kind = event_kind::paused;
    }

    void resume(bool by_itself)
    {
        next().state = run_state::running;
        next().pause = pause_kind::none;
        next().reason.clear();
        next().requested_by.clear();
        next().resume_at.reset();
        // A back-off ends with the attempts that it belongs to; a start_delay or repeat_after()
        // goes on.
        if (next().attempt > 0)
            next().not_before.reset();
        next().attempt = 0;
        next().auto_resumes = by_itself ? next().auto_resumes + 1 : 0;
        for (auto& armed : next().deadlines)
            armed.attempt = 0;
        change_.kind = event_kind::resumed;
    }

    bool apply(handler_returned& done);
    bool apply(handler_failed& failure);
    bool apply(checkpoint_wanted& wanted);
    bool apply(attempt_suspected& attempt);
    bool apply(command_received& command);
    bool apply(message_expired& expired);
    bool apply(pause_elapsed&);
    bool apply(data_scrubbed& scrubbed);
    bool apply(status_retired& retired);
    bool apply(timeout_unknown& unknown);
    bool apply(transition_failed& failure);
    bool apply(message_deferred&);

private:
    void stay(const source& by, const next_value& value);
    void fail_step(handler_failed& failure);
    void fail_timeout(const from_timeout& by, handler_failed& failure);
    void fail_callback(const from_callback& by, handler_failed& failure);
    std::string name_of(const from_timeout& by) const;
    void retry_deadline(const std::string& timeout, time_point at, int attempt);
    void arm_again(const std::string& timeout, time_point at);
    void drop_deadline(const std::string& timeout);

    std::uint64_t entropy() const noexcept
    {
        return mix(std::hash<run_id>{}(current_.id) + current_.version);
    }

    const record& current_;
    const definition& workflow_;
    const time_point now_;
    const arm_deadlines& arm_;
    const inbox_view inbox_;
    transition& change_;
};

std::string transition_builder::name_of(const from_timeout& by) const
{
    const auto* rules = workflow_.find(current_.status);
    const auto index = static_cast<std::size_t>(by.timeout);
    return rules && index < rules->timeouts.size() ? rules->timeouts[index].name : std::string{};
}

void transition_builder::retry_deadline(const std::string& timeout, time_point at, int attempt)
{
    for (auto& armed : next().deadlines)
        if (armed.timeout == timeout) {
            armed.at = at;
            armed.attempt = attempt;
        }
}

/// The handler has succeeded: its next firing is another one, with effects of its own.
void transition_builder::arm_again(const std::string& timeout, time_point at)
{
    retry_deadline(timeout, at, 0);
    for (auto& armed : next().deadlines)
        if (armed.timeout == timeout)
            ++armed.round;
    forget_effects(timeout_handler_number(timeout));
}

void transition_builder::drop_deadline(const std::string& timeout)
{
    forget_effects(timeout_handler_number(timeout));
    std::erase_if(next().deadlines,
                  [&](const deadline& armed) { return armed.timeout == timeout; });
}

/// The run keeps its status: what that means depends on which handler said so.
void transition_builder::stay(const source& by, const next_value& value)
{
    const bool again = value.kind == next_kind::repeat;
    if (std::holds_alternative<from_step>(by)) {
        made_progress();
        if (again) {
            next().not_before = saturating_add(now_, value.delay);
            ++next().round;
            forget_effects(step_handler_number);
        }
        next().step_done = !again;
        if (again && PAWL_PLANTED(timeout_lost_on_repeat))
            next().deadlines.clear();
        change_.kind = event_kind::repeated;
    } else if (const auto* timeout = std::get_if<from_timeout>(&by)) {
        made_progress();
        if (again)
            arm_again(name_of(*timeout), saturating_add(now_, value.delay));
        else
            drop_deadline(name_of(*timeout));
        change_.kind = event_kind::repeated;
    } else {
        next().state = run_state::running;
        // The error was this callback's own, unless the step or a timeout fails as well.
        if (current_.callback_retries.size() > next().callback_retries.size() &&
            current_.attempt == 0 &&
            std::ranges::none_of(next().deadlines, [](const deadline& d) { return d.attempt > 0; }))
            next().last_error.clear();
        change_.kind = event_kind::message_settled;
    }
}

bool transition_builder::apply(handler_returned& done)
{
    if (!is_active(current_.state))
        return false;
    next().suspicion = 0;
    if (done.value.kind == next_kind::move) {
        const auto* rules = workflow_.find(current_.status);
        const auto* target = workflow_.find(done.value.status);
        if (!rules || !target ||
            std::ranges::find(rules->edges, done.value.status, &edge::to) == rules->edges.end()) {
            handler_failed failure{done.by,
                                   "the handler of status " + workflow_.label(current_.status) +
                                       " returned status " + workflow_.label(done.value.status) +
                                       ", which it does not declare",
                                   true};
            return apply(failure);
        }
    }
    if (done.value.kind != next_kind::skip)
        save(std::move(done.object));
    if (const auto* callback = std::get_if<from_callback>(&done.by))
        settle(callback->message, message_outcome::handled);

    switch (done.value.kind) {
    case next_kind::move:
        enter(done.value.status);
        break;
    case next_kind::repeat:
    case next_kind::skip:
        stay(done.by, done.value);
        break;
    case next_kind::pause:
        made_progress();
        if (const auto* timeout = std::get_if<from_timeout>(&done.by))
            drop_deadline(name_of(*timeout));
        pause(pause_kind::by_request, std::move(done.value.reason));
        break;
    case next_kind::cancel:
        made_progress();
        end(run_state::cancelled, event_kind::cancelled, std::move(done.value.reason));
        break;
    case next_kind::finish:
        made_progress();
        end(run_state::completed, event_kind::completed, std::move(done.value.reason));
        break;
    }
    return true;
}

void transition_builder::fail_step(handler_failed& failure)
{
    static const step_rules no_step;
    const auto* rules = workflow_.find(current_.status);
    const auto& step = rules && rules->step ? *rules->step : no_step;
    const int failures = current_.attempt + 1;
    next().attempt = PAWL_PLANTED(attempt_not_counted) ? current_.attempt : failures;
    next().last_error = failure.error;
    const bool used_up = step.retry.max_attempts > 0 && failures >= step.retry.max_attempts;
    if (!failure.permanent && !used_up) {
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

void transition_builder::fail_timeout(const from_timeout& by, handler_failed& failure)
{
    static const timeout_rules no_timeout;
    const auto* rules = workflow_.find(current_.status);
    const bool known =
        rules && by.timeout >= 0 && static_cast<std::size_t>(by.timeout) < rules->timeouts.size();
    const auto& policy =
        known ? rules->timeouts[static_cast<std::size_t>(by.timeout)].retry : no_timeout.retry;
    const auto name = name_of(by);
    const auto armed = std::ranges::find(current_.deadlines, name, &deadline::timeout);
    const int failures = armed == current_.deadlines.end() ? 1 : armed->attempt + 1;
    next().last_error = failure.error;
    const bool used_up = policy.max_attempts > 0 && failures >= policy.max_attempts;
    if (!failure.permanent && !used_up) {
        next().state = run_state::running;
        retry_deadline(name, saturating_add(now_, retry_delay(policy, failures, entropy())),
                       failures);
        change_.kind = event_kind::attempt_failed;
    } else {
        pause(pause_kind::by_error, failure.error);
    }
}

/// The run itself is as good as before, also when the attempts have run out: then the sender is
/// told, and the message goes to the dead letters.
void transition_builder::fail_callback(const from_callback& by, handler_failed& failure)
{
    static const callback_rules no_callback;
    const auto* rules = workflow_.find(current_.status);
    const auto waiting = std::ranges::find(inbox_.waiting.all, by.message, &message::sequence);
    const bool known = rules && waiting != inbox_.waiting.all.end();
    const auto& policy = known ? rules->policy_of(waiting->name) : no_callback;
    const int failures = failed_attempts(current_, by.message) + 1;
    const bool used_up = policy.retry.max_attempts > 0 && failures >= policy.retry.max_attempts;
    if (known && !failure.permanent && !used_up && !PAWL_PLANTED(callback_not_retried)) {
        const callback_retry again{
            by.message, failures,
            saturating_add(now_, retry_delay(policy.retry, failures, entropy()))};
        auto& retries = next().callback_retries;
        const auto entry = std::ranges::find(retries, by.message, &callback_retry::message);
        if (entry == retries.end())
            retries.push_back(again);
        else
            *entry = again;
        next().last_error = failure.error;
        change_.kind = event_kind::attempt_failed;
        return;
    }
    settle(by.message, message_outcome::failed, failure.error);
    change_.kind = event_kind::message_settled;
    if (policy.exhausted) {
        enter(*policy.exhausted);
        next().last_error = failure.error;
    }
}

bool transition_builder::apply(handler_failed& failure)
{
    if (!is_active(current_.state))
        return false;
    next().suspicion = 0;
    failure.error = shortened(std::move(failure.error));
    if (std::holds_alternative<from_step>(failure.by)) {
        fail_step(failure);
    } else if (const auto* timeout = std::get_if<from_timeout>(&failure.by)) {
        fail_timeout(*timeout, failure);
    } else {
        fail_callback(std::get<from_callback>(failure.by), failure);
    }
    return true;
}

bool transition_builder::apply(checkpoint_wanted& wanted)
{
    if (!is_active(current_.state))
        return false;
    next().state = run_state::running;
    save(std::move(wanted.object));
    if (wanted.added) {
        assert(std::ranges::none_of(next().effects, [&](const effect& known) {
            return known.name == wanted.added->name && known.for_run == wanted.added->for_run &&
                   (known.for_run || known.handler == wanted.added->handler);
        }));
        next().effects.push_back(std::move(*wanted.added));
    }
    change_.kind = event_kind::checkpointed;
    return true;
}

bool transition_builder::apply(attempt_suspected& attempt)
{
    if (!is_active(current_.state))
        return false;
    next().suspicion = attempt.suspicion;
    change_.kind = event_kind::attempt_begun;
    return true;
}

bool transition_builder::apply(command_received& command)
{
    const auto refused = [&](const char* why) {
        refuse(command.message, why + std::string{": the run is "} + to_string(current_.state));
        return true;
    };
    const bool over = is_finished(current_.state);
    switch (command.kind) {
    case message_kind::pause:
        // An operator's pause takes the place of an error's, so that it does not end by itself.
        if (over ||
            (current_.state == run_state::paused && current_.pause == pause_kind::by_request))
            return refused("cannot pause");
        pause(pause_kind::by_request, std::move(command.reason));
        break;
    case message_kind::resume:
        if (current_.state != run_state::paused)
            return refused("cannot resume");
        resume(false);
        break;
    case message_kind::cancel:
        if (over)
            return refused("cannot cancel");
        end(run_state::cancelled, event_kind::cancelled, std::move(command.reason));
        break;
    case message_kind::delete_data:
        if (!over)
            return refused("cannot delete data");
        next().state = run_state::requested_data_deleted;
        next().reason = shortened(std::move(command.reason));
        change_.kind = event_kind::data_deletion_requested;
        break;
    case message_kind::callback:
        assert(!"a callback is no command");
        return false;
    }
    next().requested_by = std::move(command.by);
    settle(command.message, message_outcome::handled);
    return true;
}

bool transition_builder::apply(message_expired& expired)
{
    settle(expired.message, message_outcome::expired, "its time limit passed in the inbox");
    change_.kind = event_kind::message_settled;
    return true;
}

bool transition_builder::apply(pause_elapsed&)
{
    if (current_.state != run_state::paused || current_.pause != pause_kind::by_error)
        return false;
    resume(true);
    return true;
}

bool transition_builder::apply(data_scrubbed& scrubbed)
{
    if (current_.state != run_state::requested_data_deleted)
        return false;
    next().state = run_state::data_deleted;
    save(std::move(scrubbed.object));
    next().effects.clear();
    next().last_error.clear();
    change_.kind = event_kind::data_deleted;
    return true;
}

bool transition_builder::apply(status_retired& retired)
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

bool transition_builder::apply(timeout_unknown& unknown)
{
    if (!is_active(current_.state))
        return false;
    if (unknown.kept) {
        retry_deadline(unknown.timeout, newer_program_recheck(current_.entered_at), 0);
    } else {
        drop_deadline(unknown.timeout);
    }
    change_.kind = event_kind::checkpointed;
    return true;
}

bool transition_builder::apply(transition_failed& failure)
{
    if (!is_active(current_.state))
        return false;
    failure.error = shortened(std::move(failure.error));
    next().last_error = failure.error;
    pause(pause_kind::by_error, failure.error);
    return true;
}

bool transition_builder::apply(message_deferred&)
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
    next.start_key = std::move(request.start_key);
    next.trace_parent = std::move(request.trace_parent);
    next.wake_at = wake_time(next, workflow, now);
    return change;
}

std::optional<transition> decide(const record& current, const definition& workflow, stimulus event,
                                 time_point now, const arm_deadlines& arm, inbox_view inbox)
{
    std::optional<transition> change{std::in_place};
    transition_builder builder{current, workflow, now, arm, inbox, *change};
    const bool applies = std::visit([&](auto& o) { return builder.apply(o); }, event);
    if (applies)
        builder.finish();
    else
        change.reset();
    return change;
}

} // namespace pawl::core
