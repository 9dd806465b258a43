#include "engine/run/attempt.hpp"

#include "codec/child_end.hpp"
#include "engine/run/exception_info.hpp"
#include "engine/run/failure_kind.hpp"
#include "engine/run/run_attributes.hpp"
#include "pawl/run.hpp"

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <utility>

namespace pawl::engine_detail {

namespace asio = boost::asio;
using core::need;

namespace {

constexpr std::string_view skipped_for_good =
    "the step returned skip() in a status without a callback or an armed timeout: nothing would "
    "move the run any longer; a resume runs the step again";

handler_kind handler_kind_of(const core::source& handler)
{
    if (std::holds_alternative<core::from_timeout>(handler))
        return handler_kind::timeout;
    return std::holds_alternative<core::from_callback>(handler) ? handler_kind::callback
                                                                : handler_kind::step;
}

} // namespace

core::source source_of(core::action next, const core::inbox& inbox)
{
    if (next.kind == need::timeout)
        return core::from_timeout{next.timeout};
    if (next.kind == need::callback)
        return core::from_callback{inbox[next.message].sequence};
    return core::from_step{};
}

asio::awaitable<std::optional<core::stimulus>> attempt::run(core::action next)
{
    std::optional<core::stimulus> stimulus;
    detail::next_value value;
    std::exception_ptr failure;
    commits_.forget_armed();
    context_.prepare(source_of(next, run_.inbox));
    try {
        run_.decode_object();
        if (run_.key_failure && next.kind == need::step)
            std::rethrow_exception(run_.key_failure);
        start_limit(limit_of(next));
        cancel_reason_ = cancel_reason::none;
        context_.open();
        settler_.schedule();
        value = co_await call_handler(next);
    } catch (...) {
        failure = std::current_exception();
    }
    context_.close();
    if (timer_)
        timer_->cancel();
    settler_.cancel_timer();
    if (failure && cancel_reason_ == cancel_reason::none && is_caused_by_stop(failure))
        cancel_reason_ = cancel_reason::engine_stop;
    if (cancel_reason_ != cancel_reason::none) {
        // Otherwise every later co_await of this coroutine would throw operation_aborted.
        co_await asio::this_coro::reset_cancellation_state(asio::enable_terminal_cancellation());
        stimulus = cancelled();
        co_return stimulus;
    }
    if (failure && run_.left_to_newer_program(failure))
        co_return stimulus;
    run_.callbacks_in_a_row = next.kind == need::callback ? run_.callbacks_in_a_row + 1 : 0;
    if (!failure) {
        try {
            const bool is_skip = value.kind == detail::next_kind::skip;
            stimulus = returned(std::move(value));
            report(is_skip ? handler_result::skipped : handler_result::returned);
            co_return stimulus;
        } catch (...) {
            failure = std::current_exception();
        }
    }
    stimulus = failed(failure);
    co_return stimulus;
}

/// Makes the handler's coroutine, which copies what it keeps of the message.
asio::awaitable<detail::next_value> attempt::call_handler(core::action next)
{
    const auto& handlers = run_.handlers();
    if (next.kind == need::timeout)
        return handlers.timeouts[static_cast<std::size_t>(next.timeout)].run(run_.object, context_);
    if (next.kind == need::callback) {
        const auto& called = run_.inbox[next.message];
        const auto& names = run_.rules().callbacks;
        const auto index = std::ranges::find(names, called.name) - names.begin();
        std::string upgraded;
        const auto payload = present_payload(called, upgraded);
        return handlers.callbacks[static_cast<std::size_t>(index)](run_.object, context_, payload);
    }
    return handlers.step(run_.object, context_);
}

/// The payload of the message: as it is stored, or in `upgraded`. The end of a child may have
/// waited for a later program: its object is upgraded as the object of a run is.
std::string_view attempt::present_payload(const message& called, std::string& upgraded) const
{
    if (!detail::is_child_end(called))
        return called.payload;
    const auto end = detail::split_child_end(called.payload);
    const auto definition = end ? context_.find_definition(end->workflow) : nullptr;
    if (!definition || definition->rules.object_version == end->object_version)
        return called.payload;
    record child;
    child.id = end->run;
    child.object = end->object;
    child.object_version = end->object_version;
    std::string object;
    try {
        upgraded = end->head;
        upgraded += detail::present_object(*definition, child, object);
    } catch (const error& e) {
        if (detail::is_too_old(e))
            throw;
        throw detail::unreadable_payload(errc::decode_failed, e.detail());
    }
    return upgraded;
}

core::stimulus attempt::returned(detail::next_value value)
{
    core::handler_returned result{context_.handler(), std::move(value), {}};
    if (result.value.kind == detail::next_kind::skip)
        return skipped(std::move(result));
    const auto& impl = *run_.workflow->impl;
    auto& encoded = run_.encode_buffer;
    encoded.clear();
    encoded.reserve(run_.stored.object.size() + 64);
    impl.encode(run_.object, encoded);
    result.object = detail::written_object(impl, std::move(encoded));
    run_.check_size(result.object.size(), "the object");
    if (!impl.attributes.empty())
        result.attributes = impl.rules.write_version == impl.rules.object_version
                                ? attributes_of(impl, run_.object)
                                : attributes_of_written(impl, result.object);
    if (result.value.kind == detail::next_kind::move)
        commits_.arm_ahead(result.value.status);
    return result;
}

/// A step pauses the run where it would otherwise stay in its status forever.
core::stimulus attempt::skipped(core::handler_returned result)
{
    run_.object.reset();
    if (std::holds_alternative<core::from_step>(result.handler) && run_.rules().callbacks.empty() &&
        run_.stored.deadlines.empty()) {
        std::string upgraded;
        result.object = detail::present_object(*run_.workflow->impl, run_.stored, upgraded);
        result.attributes = run_.stored.attributes;
        result.value = {detail::next_kind::pause, 0, {}, std::string{skipped_for_good}};
    }
    return result;
}

core::handler_failed attempt::failed(const std::exception_ptr& failure)
{
    // What the handler did to the object is not saved, so the next attempt must not see it.
    run_.object.reset();
    core::handler_failed result{context_.handler(), detail::exception_text(failure)};
    result.permanent = is_permanent(failure);
    report(handler_result::failed, result.error);
    const auto name = handler_name();
    auto entry = run_.entry_of(log_level::warn, "a handler failed");
    entry.process = name;
    entry.attempt = context_.attempt();
    entry.error = result.error;
    run_.shared.log(entry);
    return result;
}

/// The handler has ended after its cancellation, which is a failure of its own only at its time
/// limit.
std::optional<core::stimulus> attempt::cancelled()
{
    run_.object.reset();
    // In the order of the inbox the callback would come again first.
    if (cancel_reason_ == cancel_reason::deadline &&
        std::holds_alternative<core::from_callback>(context_.handler()))
        run_.callbacks_in_a_row = core::max_callbacks_in_a_row;
    if (run_.abandoned || cancel_reason_ != cancel_reason::timeout) {
        report(handler_result::interrupted);
        return std::nullopt;
    }
    auto result = timeout_failure();
    report(handler_result::failed, result.error);
    return result;
}

core::handler_failed attempt::timeout_failure() const
{
    return {context_.handler(), "the attempt took longer than its limit"};
}

/// What a handler throws because the engine stops is not a failure of the handler: its own
/// cancellation, and the refusal of what it called.
bool attempt::is_caused_by_stop(const std::exception_ptr& failure) const
{
    return run_.shared.cancelling ||
           (run_.shared.stopping && engine_detail::is_caused_by_stop(failure));
}

bool attempt::is_permanent(const std::exception_ptr& failure) const
{
    if (is_size_exceeded(failure))
        return true;
    const auto& handler = context_.handler();
    const retry_policy* policy = nullptr;
    if (std::holds_alternative<core::from_step>(handler))
        policy = &run_.rules().step->retry;
    else if (const auto* timeout = std::get_if<core::from_timeout>(&handler))
        policy = &run_.rules().timeouts[static_cast<std::size_t>(timeout->timeout)].retry;
    else if (const auto message = run_.inbox.find(std::get<core::from_callback>(handler).message);
             message != run_.inbox.end())
        policy = &run_.rules().policy_of(message->name).retry;
    static const retry_policy none;
    std::string problem;
    const bool permanent = engine_detail::is_permanent(policy ? *policy : none, failure, problem);
    if (!problem.empty())
        run_.log(log_level::error, problem);
    return permanent;
}

std::string attempt::handler_name() const
{
    const auto& handler = context_.handler();
    const auto label = run_.workflow->impl->rules.label(run_.stored.status);
    if (std::holds_alternative<core::from_step>(handler))
        return label + "-step";
    if (const auto* timeout = std::get_if<core::from_timeout>(&handler)) {
        const auto& name = run_.timeout_name(*timeout);
        return label + (name == unnamed_timeout ? "-" : "-timeout-") + name;
    }
    const auto message = run_.inbox.find(std::get<core::from_callback>(handler).message);
    return label + "-callback-" + (message == run_.inbox.end() ? "" : message->name);
}

void attempt::report(handler_result result, std::string_view error) const
{
    auto* const observer = run_.shared.observer;
    if (!observer)
        return;
    const auto name = handler_name();
    handler_report ended;
    ended.kind = handler_kind_of(context_.handler());
    ended.workflow = run_.stored.workflow;
    ended.process = name;
    ended.run = run_.id();
    ended.foreign_id = run_.stored.foreign_id;
    ended.attempt = context_.attempt();
    ended.began_at = context_.began_at();
    ended.took = run_.now() - ended.began_at;
    ended.result = result;
    ended.error = error;
    ended.timed_out = cancel_reason_ == cancel_reason::timeout;
    const auto placed = context_.placed_span();
    ended.span = placed.span;
    ended.parent_span = placed.parent;
    ended.start_span = placed.start;
    ended.saved = context_.saved();
    ended.saved_omitted = context_.saved_omitted();
    observer->handler_ended(ended);
    if (result == handler_result::skipped)
        observer->discarded(run_.stored.workflow, name, discard_reason::skip_returned);
    else if (result == handler_result::interrupted)
        observer->discarded(run_.stored.workflow, name, discard_reason::interrupted);
}

duration attempt::limit_of(core::action next) const
{
    const auto& rules = run_.rules();
    if (next.kind == need::timeout)
        return rules.timeouts[static_cast<std::size_t>(next.timeout)].attempt_timeout;
    if (next.kind == need::callback)
        return rules.policy_of(run_.inbox[next.message].name).attempt_timeout;
    return rules.step->attempt_timeout;
}

void attempt::start_limit(duration limit)
{
    limit_left_ = limit > duration::zero() ? limit : duration::max();
    grace_left_ = std::holds_alternative<core::from_callback>(context_.handler())
                      ? run_.shared.cancellation_grace
                      : duration::zero();
    wait_for_limit();
}

/// The handlers of timeouts follow each other.
bool attempt::obeys_deadlines() const
{
    return !std::holds_alternative<core::from_timeout>(context_.handler());
}

/// Waits for what ends the attempt: its limit, which is a span, or the first deadline, which is a
/// time of a clock that may be set meanwhile.
///
/// A deadline cancels a step at once, and a callback's handler after `cancellation_grace`: its
/// message may have come in time and waited since.
void attempt::wait_for_limit()
{
    auto span = limit_left_;
    if (obeys_deadlines())
        if (const auto first = core::next_deadline(run_.stored, run_.workflow->impl->rules))
            span = std::min({span, std::max(*first - run_.now(), grace_left_), longest_sleep});
    if (span == duration::max())
        return;
    span = std::max(span, duration::zero());
    if (!timer_)
        timer_ = run_.shared.clock.make_timer(run_.strand());
    timer_->wait(span, asio::bind_executor(run_.strand(), [this, weak = run_.weak_from_this(),
                                                           serial = context_.serial(), span] {
                     if (const auto alive = weak.lock())
                         on_limit(serial, span);
                 }));
}

void attempt::on_limit(std::uint64_t serial, duration waited)
{
    if (serial != context_.serial() || !context_.is_open() || cancel_reason_ != cancel_reason::none)
        return;
    if (limit_left_ != duration::max())
        limit_left_ -= waited;
    grace_left_ = std::max(grace_left_ - waited, duration::zero());
    const bool deadline_passed =
        obeys_deadlines() && grace_left_ == duration::zero() &&
        core::next_deadline(run_.stored, run_.workflow->impl->rules).value_or(time_point::max()) <=
            run_.now();
    if (limit_left_ <= duration::zero())
        cancel(cancel_reason::timeout);
    else if (deadline_passed)
        cancel(cancel_reason::deadline);
    else
        wait_for_limit();
}

void attempt::cancel(cancel_reason reason)
{
    if (!context_.is_open() || cancel_reason_ != cancel_reason::none)
        return;
    cancel_reason_ = reason;
    if (!timer_)
        timer_ = run_.shared.clock.make_timer(run_.strand());
    if (reason != cancel_reason::engine_stop)
        timer_->wait(run_.shared.cancellation_grace,
                     asio::bind_executor(run_.strand(), [this, weak = run_.weak_from_this(),
                                                         serial = context_.serial()] {
                         if (const auto alive = weak.lock())
                             on_grace_elapsed(serial);
                     }));
    // The only place where a coroutine is cancelled through a slot: on its own strand, while a
    // handler is known to be suspended in it.
    run_.worker->cancel_handler();
}

void attempt::on_grace_elapsed(std::uint64_t serial)
{
    if (serial == context_.serial() && context_.is_open() && !run_.abandoned &&
        !run_.shared.stopping)
        owner_.abandon_attempt(cancel_reason_);
}

} // namespace pawl::engine_detail
