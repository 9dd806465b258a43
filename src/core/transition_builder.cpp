#include "core/transition_builder.hpp"

#include "core/attribute_changes.hpp"
#include "core/message_acceptance.hpp"
#include "core/saturating_add.hpp"
#include "core/stable_hash.hpp"
#include "core/text.hpp"

#include <algorithm>
#include <utility>

namespace pawl::core {

namespace {

/// Bounds the record of a run that fails forever.
constexpr std::size_t max_error_length = 2000;

constexpr duration min_newer_program_recheck = std::chrono::seconds{1};
constexpr duration max_newer_program_recheck = std::chrono::hours{1};

} // namespace

std::string shortened(std::string text)
{
    if (text.size() <= max_error_length)
        return text;
    return truncate_utf8(std::move(text), max_error_length) + "…";
}

transition_builder::transition_builder(const record& current, const definition& workflow,
                                       time_point now, const arm_deadlines& arm, inbox_view inbox,
                                       transition& change)
    : current_(current), workflow_(workflow), now_(now), inbox_(inbox), change_(change), arm_(arm)
{
    change_.next = current;
    change_.expected_version = current.version;
    change_.from = current.status;
    change_.state_before = current.state;
    change_.inbox_seen = inbox.seen;
    next().version = current.version + 1;
    next().updated_at = now;
}

void transition_builder::finish()
{
    // The store rejects the messages of a run that this transition finishes.
    const bool finishes = is_finished(next().state) && !is_finished(current_.state);
    next().wake_at = wake_time(next(), workflow_, now_, finishes ? std::nullopt : messages_due_at(),
                               inbox_.outdated);
}

/// When the messages that stay in the inbox need an engine: now, if the run accepts one of them in
/// its new state, because this activation may end before it handles the message.
std::optional<time_point> transition_builder::messages_due_at() const
{
    std::optional<time_point> earliest;
    inbox_order order{change_.next, workflow_.find(change_.next.status)};
    for (const auto& waiting : inbox_.waiting.all) {
        if (earliest && *earliest <= now_)
            break;
        if (std::ranges::find(change_.settled, waiting.sequence, &settlement::sequence) !=
            change_.settled.end())
            continue;
        auto due = order.acceptable_from(waiting);
        if (due)
            due = std::max(*due, now_);
        if (waiting.expires_at && (!due || *waiting.expires_at < *due))
            due = waiting.expires_at;
        if (inbox_.outdated && is_undeclared_callback(workflow_, waiting))
            due = std::min(due.value_or(time_point::max()), newer_program_recheck(waiting.sent_at));
        if (due && (!earliest || *due < *earliest))
            earliest = due;
    }
    return earliest;
}

time_point transition_builder::newer_program_recheck(time_point since) const
{
    return saturating_add(now_, std::clamp<duration>(now_ - since, min_newer_program_recheck,
                                                     max_newer_program_recheck));
}

void transition_builder::settle(std::uint64_t message, message_outcome outcome, std::string detail)
{
    drop_effects(callback_handler_number(message));
    change_.settled.push_back({message, outcome, shortened(std::move(detail))});
    std::erase_if(next().callback_retries,
                  [&](const callback_retry& retry) { return retry.message == message; });
}

void transition_builder::save_object(std::string object, std::vector<stored_attribute> attributes)
{
    next().attributes = std::move(attributes);
    change_.attributes = changes_between(current_.attributes, next().attributes);
    next().object = std::move(object);
    next().object_version = workflow_.write_version;
}

void transition_builder::drop_effects(std::uint64_t handler)
{
    std::erase_if(next().effects, [handler](const effect& recorded) {
        return !recorded.for_run && recorded.handler == handler;
    });
}

/// A backoff ends with the attempts that it belongs to; a start_delay or repeat_after() continues.
void transition_builder::clear_backoff()
{
    if (next().attempt > 0)
        next().not_before.reset();
    next().attempt = 0;
}

void transition_builder::note_progress()
{
    next().state = run_state::running;
    clear_backoff();
    next().auto_resumes = 0;
    next().last_error.clear();
    next().reason.clear();
    next().requested_by.clear();
}

void transition_builder::enter(int status)
{
    note_progress();
    const auto* rules = workflow_.find(status);
    next().status = status;
    ++next().visit;
    next().entered_at = now_;
    // A step that a later program adds to the status runs in later visits only.
    next().step_done = !rules->step;
    next().round = 0;
    next().not_before.reset();
    if (rules->step && rules->step->start_delay > duration::zero())
        next().not_before = saturating_add(now_, rules->step->start_delay);
    // The effects of a callback's handler stay until its message is settled.
    std::erase_if(next().effects, [](const effect& recorded) {
        return !recorded.for_run && recorded.handler < callback_handler_number(0);
    });
    if (rules->end) {
        end(run_state::completed, event_kind::completed, {});
    } else {
        next().deadlines = arm_(status);
        change_.kind = event_kind::moved;
    }
}

void transition_builder::end(run_state state, event_kind kind, std::string reason)
{
    next().state = state;
    next().reason = shortened(std::move(reason));
    next().pause = pause_kind::none;
    next().resume_at.reset();
    next().deadlines.clear();
    next().callback_retries.clear();
    next().not_before.reset();
    next().suspicion = 0;
    next().cancels_children = state == run_state::cancelled && !workflow_.uses.empty();
    change_.kind = kind;
}

void transition_builder::pause(pause_kind kind, std::string reason)
{
    next().state = run_state::paused;
    next().pause = kind;
    next().suspicion = 0;
    next().requested_by.clear();
    next().reason = shortened(std::move(reason));
    next().resume_at.reset();
    if (kind == pause_kind::by_error && workflow_.resume_after > duration::zero() &&
        next().auto_resumes < workflow_.max_auto_resumes)
        next().resume_at = saturating_add(now_, workflow_.resume_after);
    change_.kind = event_kind::paused;
}

void transition_builder::resume(bool automatic)
{
    next().state = run_state::running;
    next().pause = pause_kind::none;
    next().reason.clear();
    next().requested_by.clear();
    next().resume_at.reset();
    clear_backoff();
    next().auto_resumes = automatic ? next().auto_resumes + 1 : 0;
    for (auto& armed : next().deadlines)
        armed.attempt = 0;
    change_.kind = event_kind::resumed;
}

void transition_builder::reset_attempts()
{
    clear_backoff();
    next().suspicion = 0;
    next().auto_resumes = 0;
    next().callback_retries.clear();
    for (auto& armed : next().deadlines)
        if (armed.attempt > 0) {
            armed.attempt = 0;
            armed.at = now_;
        }
}

void transition_builder::set_deadline(const std::string& timeout, time_point time, int attempt)
{
    for (auto& armed : next().deadlines)
        if (armed.timeout == timeout) {
            armed.at = time;
            armed.attempt = attempt;
        }
}

void transition_builder::rearm_deadline(const std::string& timeout, time_point time)
{
    set_deadline(timeout, time, 0);
    for (auto& armed : next().deadlines)
        if (armed.timeout == timeout)
            ++armed.round;
    drop_effects(timeout_handler_number(timeout));
}

void transition_builder::drop_deadline(const std::string& timeout)
{
    drop_effects(timeout_handler_number(timeout));
    std::erase_if(next().deadlines,
                  [&](const deadline& armed) { return armed.timeout == timeout; });
}

std::uint64_t transition_builder::entropy() const noexcept
{
    return mix(std::hash<run_id>{}(current_.id) + current_.version);
}

} // namespace pawl::core
