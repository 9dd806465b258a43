// The half of an activation that runs handlers: what they may do, how long, and what ends them.
#include "core/message_acceptance.hpp"
#include "core/saturating_add.hpp"
#include "core/trace.hpp"
#include "engine/run/activation.hpp"
#include "engine/run/exception_info.hpp"
#include "engine/run/failure.hpp"
#include "pawl/run.hpp"

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <cassert>
#include <utility>

namespace pawl::engine_detail {

namespace asio = boost::asio;
using core::need;

namespace {

constexpr std::string_view skipped_for_good =
    "the step returned skip() in a status without a callback or an armed timeout: nothing would "
    "move the run any more; a resume runs the step again";

core::command_received command_of(const message& command)
{
    return {command.sequence, command.kind, command.payload, command.requested_by};
}

} // namespace

/// What comes of an action for which no handler runs.
std::optional<core::stimulus> activation::outcome_of(core::action what)
{
    switch (what.kind) {
    case need::command:
        return command_of(inbox_[what.message]);
    case need::expire_message:
        return core::message_expired{inbox_[what.message].sequence};
    case need::resume:
        return core::pause_elapsed{};
    case need::scrub: {
        auto scrubbed = scrubbed_object();
        if (!scrubbed)
            return std::nullopt;
        return core::data_scrubbed{std::move(*scrubbed)};
    }
    case need::unknown_timeout:
        return unknown_timeout(record_.deadlines[static_cast<std::size_t>(what.timeout)].timeout);
    case need::nothing:
    default:
        return core::message_deferred{};
    }
}

core::stimulus activation::unknown_timeout(const std::string& name)
{
    const bool kept = workflow_->outdated;
    if (kept)
        shared_.found_too_old(*workflow_);
    log(log_level::info, "the timeout \"" + name +
                             (kept ? "\" of this run is of a newer program: it is kept for it"
                                   : "\" of this run is no longer declared: it is dropped"));
    return core::timeout_unknown{name, kept};
}

/// What is left of the object when its data is deleted. Whatever a scrubber or a codec does, the
/// data does not stay: nothing of it is left then. Empty when the object is a newer program's,
/// which the run is left to.
std::optional<std::string> activation::scrubbed_object()
{
    const auto& impl = *workflow_->impl;
    try {
        std::string upgraded;
        auto left = detail::written_object(
            impl, impl.scrub ? impl.scrub(detail::present_object(impl, record_, upgraded))
                             : impl.blank());
        check_size(left.size(), "what the scrubber leaves of the object");
        return left;
    } catch (...) {
        const auto failure = std::current_exception();
        if (is_too_old(failure)) {
            leave_to_newer_program(detail::exception_text(failure));
            return {};
        }
        log(log_level::error,
            "the scrubber failed, the object is removed: " + detail::exception_text(failure));
    }
    try {
        return detail::written_object(impl, impl.blank());
    } catch (...) {
        log(log_level::error, "a default-constructed object cannot be encoded, an empty document "
                              "is left: " +
                                  detail::exception_text(std::current_exception()));
        return "{}";
    }
}

/// Throws size_exceeded, which no later attempt mends.
void activation::check_size(std::size_t size, const char* what) const
{
    if (size > shared_.max_object_size)
        throw size_exceeded(errc::too_large, std::string{what} + " has " + std::to_string(size) +
                                                 " bytes; engine_options::max_object_size is " +
                                                 std::to_string(shared_.max_object_size));
}

core::source activation::source_of(core::action what) const
{
    if (what.kind == need::timeout)
        return core::from_timeout{what.timeout};
    if (what.kind == need::callback)
        return core::from_callback{inbox_[what.message].sequence};
    return core::from_step{};
}

duration activation::limit_of(core::action what) const
{
    if (what.kind == need::timeout)
        return rules().timeouts[static_cast<std::size_t>(what.timeout)].attempt_timeout;
    if (what.kind == need::callback)
        return rules().policy_of(inbox_[what.message].name).attempt_timeout;
    return rules().step->attempt_timeout;
}

/// Makes the handler's coroutine, which copies what it keeps of the message.
asio::awaitable<detail::next_value> activation::call_handler(core::action what)
{
    if (what.kind == need::timeout)
        return handlers().timeouts[static_cast<std::size_t>(what.timeout)].run(object_, *this);
    if (what.kind == need::callback) {
        const auto& called = inbox_[what.message];
        const auto& names = rules().callbacks;
        const auto index = std::ranges::find(names, called.name) - names.begin();
        return handlers().callbacks[static_cast<std::size_t>(index)](object_, *this,
                                                                     called.payload);
    }
    return handlers().step(object_, *this);
}

asio::awaitable<std::optional<core::stimulus>> activation::run_handler(core::action what)
{
    std::optional<core::stimulus> outcome;
    const auto by = source_of(what);
    detail::next_value value;
    std::exception_ptr failure;
    armed_.reset();
    save_failure_ = nullptr;
    effects_under_way_.clear();
    const auto begun = shared_.observer ? now() : time_point{};
    running_ = by;
    try {
        decode_object();
        limit_attempt(limit_of(what));
        interrupted_ = interruption::none;
        handler_running_ = true;
        await_settling();
        value = co_await call_handler(what);
    } catch (...) {
        failure = std::current_exception();
    }
    handler_running_ = false;
    ++attempt_;
    if (timer_)
        timer_->cancel();
    if (settling_timer_)
        settling_timer_->cancel();
    if (failure && interrupted_ == interruption::none && ended_by_stop(failure))
        interrupted_ = interruption::stop;
    if (interrupted_ != interruption::none) {
        // Else every later co_await of this coroutine would throw operation_aborted.
        co_await asio::this_coro::reset_cancellation_state(asio::enable_terminal_cancellation());
        outcome = interrupted(by, begun);
        co_return outcome;
    }
    if (failure && needs_newer_program(failure))
        co_return outcome;
    callbacks_in_a_row_ = what.kind == need::callback ? callbacks_in_a_row_ + 1 : 0;
    if (!failure) {
        try {
            const bool skipped = value.kind == detail::next_kind::skip;
            outcome = completed(by, std::move(value));
            report(by, begun, skipped ? handler_result::skipped : handler_result::returned);
            co_return outcome;
        } catch (...) {
            failure = std::current_exception();
        }
    }
    outcome = failed(by, begun, failure);
    co_return outcome;
}

/// Data of a newer program came to a handler, or to what comes before it. That is no attempt.
bool activation::needs_newer_program(const std::exception_ptr& failure)
{
    if (!is_too_old(failure))
        return false;
    object_.reset();
    leave_to_newer_program(detail::exception_text(failure));
    return true;
}

/// What a handler throws because the engine stops is not its failure: its own cancellation, and the
/// refusal of what it called.
bool activation::ended_by_stop(const std::exception_ptr& failure) const
{
    return shared_.cancelling || (shared_.stopping && is_caused_by_stop(failure));
}

/// A handler has ended after its cancellation: empty, unless that is a failure of its own.
std::optional<core::handler_failed> activation::interrupted(const core::source& by,
                                                            time_point begun)
{
    object_.reset();
    // In its order the callback would come again first.
    if (interrupted_ == interruption::deadline && std::holds_alternative<core::from_callback>(by))
        callbacks_in_a_row_ = core::max_callbacks_in_a_row;
    if (superseded_ || interrupted_ != interruption::attempt_timeout) {
        report(by, begun, handler_result::interrupted);
        return std::nullopt;
    }
    core::handler_failed late{by, "the attempt took longer than its limit"};
    report(by, begun, handler_result::failed, late.error);
    return late;
}

core::handler_failed activation::failed(const core::source& by, time_point begun,
                                        const std::exception_ptr& failure)
{
    // What the handler did to the object is not saved, so the next attempt must not see it.
    object_.reset();
    core::handler_failed failed{by, detail::exception_text(failure)};
    failed.permanent = is_permanent(by, failure);
    report(by, begun, handler_result::failed, failed.error);
    const auto process = process_name(by);
    log_entry entry = entry_of(log_level::warn, "a handler failed");
    entry.process = process;
    entry.attempt = attempt();
    entry.error = failed.error;
    shared_.log(entry);
    return failed;
}

std::string activation::process_name(const core::source& by) const
{
    const auto label = workflow_->impl->rules.label(record_.status);
    if (std::holds_alternative<core::from_step>(by))
        return label + "-step";
    if (const auto* timeout = std::get_if<core::from_timeout>(&by))
        return label + (name_of(*timeout) == unnamed_timeout ? "-" : "-timeout-") +
               name_of(*timeout);
    const auto sequence = std::get<core::from_callback>(by).message;
    const auto message = inbox_.find(sequence);
    return label + "-callback-" + (message == inbox_.end() ? "" : message->name);
}

void activation::report(const core::source& by, time_point begun, handler_result how,
                        std::string_view error) const
{
    if (!shared_.observer)
        return;
    const auto process = process_name(by);
    handler_report made;
    made.workflow = record_.workflow;
    made.process = process;
    made.run = id_;
    made.foreign_id = record_.foreign_id;
    made.attempt = attempt();
    made.took = now() - begun;
    made.result = how;
    made.error = error;
    made.span = core::trace_of(record_, handler_number(), made.attempt);
    made.parent_span = core::trace_of(record_);
    shared_.observer->handler_ended(made);
    if (how == handler_result::skipped)
        shared_.observer->discarded(record_.workflow, process, discard_reason::skip_returned);
    else if (how == handler_result::interrupted)
        shared_.observer->discarded(record_.workflow, process, discard_reason::interrupted);
}

bool activation::is_permanent(const core::source& by, const std::exception_ptr& failure) const
{
    if (is_size_exceeded(failure))
        return true;
    const retry_policy* policy = nullptr;
    if (std::holds_alternative<core::from_step>(by))
        policy = &rules().step->retry;
    else if (const auto* timeout = std::get_if<core::from_timeout>(&by))
        policy = &rules().timeouts[static_cast<std::size_t>(timeout->timeout)].retry;
    else if (const auto message = inbox_.find(std::get<core::from_callback>(by).message);
             message != inbox_.end())
        policy = &rules().policy_of(message->name).retry;
    static const retry_policy none;
    std::string odd;
    const bool permanent = engine_detail::is_permanent(policy ? *policy : none, failure, odd);
    if (!odd.empty())
        log(log_level::error, odd);
    return permanent;
}

core::stimulus activation::completed(core::source by, detail::next_value value)
{
    core::handler_returned returned{by, std::move(value), {}};
    if (returned.value.kind == detail::next_kind::skip) {
        object_.reset();
        if (std::holds_alternative<core::from_step>(by) && rules().callbacks.empty() &&
            record_.deadlines.empty()) {
            std::string upgraded;
            returned.object = detail::present_object(*workflow_->impl, record_, upgraded);
            returned.value = {detail::next_kind::pause, 0, {}, std::string{skipped_for_good}};
        }
        return returned;
    }
    encoded_.clear();
    encoded_.reserve(record_.object.size() + 64);
    workflow_->impl->encode(object_, encoded_);
    returned.object = detail::written_object(*workflow_->impl, std::move(encoded_));
    check_size(returned.object.size(), "the object");
    if (returned.value.kind == detail::next_kind::move)
        armed_ = {returned.value.status, arm(returned.value.status)};
    return returned;
}

std::vector<deadline> activation::arm(int status)
{
    return detail::arm_timeouts(*workflow_->impl, status, object_, *this);
}

std::uint64_t activation::handler_number() const noexcept
{
    if (!running_)
        return 0;
    if (const auto* timeout = std::get_if<core::from_timeout>(&*running_))
        return core::timeout_handler_number(name_of(*timeout));
    if (const auto* callback = std::get_if<core::from_callback>(&*running_))
        return core::callback_handler_number(callback->message);
    return core::step_handler_number;
}

std::uint32_t activation::payload_version() const noexcept
{
    const auto* callback = running_ ? std::get_if<core::from_callback>(&*running_) : nullptr;
    if (!callback)
        return 1;
    const auto called = inbox_.find(callback->message);
    return called == inbox_.end() ? 1 : called->payload_version;
}

int activation::attempt() const noexcept
{
    if (!running_ || std::holds_alternative<core::from_step>(*running_))
        return record_.attempt + 1;
    if (const auto* timeout = std::get_if<core::from_timeout>(&*running_)) {
        const auto armed =
            std::ranges::find(record_.deadlines, name_of(*timeout), &deadline::timeout);
        return armed == record_.deadlines.end() ? 1 : armed->attempt + 1;
    }
    return core::failed_attempts(record_, std::get<core::from_callback>(*running_).message) + 1;
}

void activation::limit_attempt(duration limit)
{
    attempt_left_ = limit > duration::zero() ? limit : duration::max();
    grace_left_ = std::holds_alternative<core::from_callback>(*running_)
                      ? shared_.cancellation_grace
                      : duration::zero();
    await_limit();
}

/// Waits for what ends the attempt: its limit, which is a span, or the first deadline, which is a
/// time of a clock that may be set meanwhile.
///
/// A deadline interrupts a step, and a callback's handler, which has `cancellation_grace` first:
/// its message may have come in time and wait since. Handlers of timeouts follow each other.
void activation::await_limit()
{
    auto span = attempt_left_;
    if (!std::holds_alternative<core::from_timeout>(*running_))
        if (const auto at = core::next_deadline(record_, workflow_->impl->rules))
            span = std::min({span, std::max(*at - now(), grace_left_), longest_sleep});
    if (span == duration::max())
        return;
    span = std::max(span, duration::zero());
    if (!timer_)
        timer_ = shared_.clock.make_timer(strand());
    timer_->wait(span,
                 asio::bind_executor(strand(), [weak = weak_from_this(), attempt = attempt_, span] {
                     if (const auto self = weak.lock())
                         self->on_limit(attempt, span);
                 }));
}

void activation::on_limit(std::uint64_t attempt, duration waited)
{
    if (attempt != attempt_ || !handler_running_ || interrupted_ != interruption::none)
        return;
    if (attempt_left_ != duration::max())
        attempt_left_ -= waited;
    grace_left_ = std::max(grace_left_ - waited, duration::zero());
    const bool deadline_passed =
        !std::holds_alternative<core::from_timeout>(*running_) && grace_left_ == duration::zero() &&
        core::next_deadline(record_, workflow_->impl->rules).value_or(time_point::max()) <= now();
    if (attempt_left_ <= duration::zero())
        interrupt(interruption::attempt_timeout);
    else if (deadline_passed)
        interrupt(interruption::deadline);
    else
        await_limit();
}

void activation::interrupt(interruption why)
{
    if (!handler_running_ || interrupted_ != interruption::none)
        return;
    interrupted_ = why;
    if (!timer_)
        timer_ = shared_.clock.make_timer(strand());
    if (why != interruption::stop)
        timer_->wait(shared_.cancellation_grace,
                     asio::bind_executor(strand(), [weak = weak_from_this(), attempt = attempt_] {
                         if (const auto self = weak.lock())
                             self->supersede(attempt);
                     }));
    // The only place where a coroutine is cancelled through a slot: on its own strand, while a
    // handler is known to be suspended in it.
    worker_->cancel_handler();
}

void activation::supersede(std::uint64_t attempt)
{
    if (attempt != attempt_ || !handler_running_ || superseded_ || shared_.stopping)
        return;
    superseded_ = true;
    give_permit_back();
    if (!shared_.owns(*shard())) {
        // Whoever has the shard next finds it due.
        log(log_level::error, "a handler did not end after its cancellation; its run is left to "
                              "the engine that has the shard next");
        shared_.active->remove(*this);
        return;
    }
    log(log_level::error,
        "a handler did not end after its cancellation; the run goes on without it");
    std::optional<core::stimulus> verdict;
    if (interrupted_ == interruption::attempt_timeout)
        verdict = core::handler_failed{*running_, "the attempt took longer than its limit"};
    const auto fresh = std::make_shared<activation>(shared_, id_, std::nullopt, std::move(verdict));
    if (interrupted_ == interruption::deadline)
        fresh->callbacks_in_a_row_ = core::max_callbacks_in_a_row;
    shared_.active->replace(*this, fresh);
}

/// When the message is settled though a handler runs: when its time limit passes, which counts
/// until its own handler begins; and at once where it is a command that a run at work refuses.
std::optional<time_point> activation::settled_beside(const message& waiting,
                                                     bool is_first_command) const
{
    if (is_first_command && !core::interrupts_handler(waiting.kind))
        return time_point::min();
    const auto* callback = std::get_if<core::from_callback>(&*running_);
    if (callback && callback->message == waiting.sequence)
        return std::nullopt;
    return waiting.expires_at;
}

/// The first message of those that are settled beside the handler, and when.
std::pair<time_point, const message*> activation::first_settled_beside() const
{
    std::pair<time_point, const message*> first{time_point::max(), nullptr};
    const core::waiting_messages known = inbox_;
    if (!known.has_commands && !known.first_expiry)
        return first;
    bool is_first = true;
    for (const auto& waiting : known.all) {
        const bool is_command = waiting.kind != message_kind::callback;
        const auto at = settled_beside(waiting, is_command && is_first);
        is_first = is_first && !is_command;
        if (at && (!first.second || *at < first.first))
            first = {*at, &waiting};
    }
    return first;
}

/// Waits for the first of the known messages that are settled while the handler runs: its sender is
/// told on time.
void activation::await_settling()
{
    if (settling_)
        return;
    const auto present = now();
    const core::waiting_messages known = inbox_;
    // Only where one may be due is each of them looked at.
    auto at = known.first_expiry.value_or(time_point::max());
    if (known.has_commands || at <= present)
        at = first_settled_beside().first;
    if (at == time_point::max())
        return;
    if (at <= present) {
        begin_settling();
        return;
    }
    if (!settling_timer_)
        settling_timer_ = shared_.clock.make_timer(strand());
    const auto span = std::min(at - present, longest_sleep);
    const auto on_time = [weak = weak_from_this(), wait = ++settling_waits_] {
        const auto self = weak.lock();
        if (self && wait == self->settling_waits_ && self->handler_running_)
            self->begin_settling();
    };
    settling_timer_->wait(span, asio::bind_executor(strand(), on_time));
}

void activation::begin_settling()
{
    settling_ = true;
    shared_.running.spawn(strand(), settle_beside());
}

asio::awaitable<void> activation::settle_beside()
{
    const auto alive = shared_from_this();
    while (handler_running_ && knows_the_run()) {
        const auto [at, first] = first_settled_beside();
        if (!first || at > now())
            break;
        const auto sequence = first->sequence;
        co_await wait_for_turn();
        const auto waiting = inbox_.find(sequence);
        std::optional<transition> change;
        if (handler_running_ && knows_the_run() && waiting != inbox_.end()) {
            if (waiting->expires_at && *waiting->expires_at <= now())
                change = decide(core::message_expired{sequence});
            else
                change = decide(command_of(*waiting));
        }
        if (change) {
            own_commit made{*this, std::move(*change)};
            if (!store_in_place(made)) {
                co_await submit(made);
                take_result(made);
            }
        }
        pass_turn();
    }
    settling_ = false;
    // Else the next look at the store finds it.
    if (handler_running_ && knows_the_run())
        await_settling();
}

const std::string& activation::name_of(const core::from_timeout& by) const
{
    return rules().timeouts[static_cast<std::size_t>(by.timeout)].name;
}

const detail::status_handlers& activation::handlers() const
{
    return workflow_->impl->handlers.at(record_.status);
}

const status_rules& activation::rules() const
{
    const auto* found = workflow_->impl->rules.find(record_.status);
    assert(found);
    return *found;
}

void activation::decode_object()
{
    if (!object_) {
        std::string upgraded;
        std::string ignored;
        const bool wanted = !workflow_->told_of_ignored;
        object_ =
            workflow_->impl->decode(detail::present_object(*workflow_->impl, record_, upgraded),
                                    wanted ? &ignored : nullptr);
        if (!ignored.empty() && !workflow_->told_of_ignored.exchange(true))
            log(log_level::warn, "the stored object has a member \"" + ignored +
                                     "\" that this program does not know: it is lost when the "
                                     "object is stored again (told once for the workflow)");
    }
}

} // namespace pawl::engine_detail
