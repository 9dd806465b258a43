// The half of an activation that runs handlers: what they may do, how long, and what ends them.
#include "core/later.hpp"
#include "core/trace.hpp"
#include "engine/activation.hpp"
#include "engine/error_text.hpp"
#include "pawl/run.hpp"

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>
#include <cassert>
#include <utility>

namespace pawl::engine_detail {

namespace asio = boost::asio;
using core::need;

asio::awaitable<std::optional<core::outcome>> activation::perform(core::action what)
{
    using result = std::optional<core::outcome>;
    const auto message_at = [&] {
        return inbox_[what.message];
    };
    switch (what.what) {
    case need::step: {
        bound_handler bound = [this](const detail::object_ptr& object) {
            return handlers().step(object, *this);
        };
        auto outcome =
            co_await run_handler(core::from_step{}, rules().step->attempt_limit, std::move(bound));
        co_return outcome;
    }
    case need::timeout: {
        const auto index = static_cast<std::size_t>(what.timeout);
        if (index >= handlers().timeouts.size()) {
            core::handler_failed gone{core::from_timeout{what.timeout},
                                      "the workflow no longer has this timeout", true};
            co_return result{std::move(gone)};
        }
        bound_handler bound = [this, index](const detail::object_ptr& object) {
            return handlers().timeouts[index].run(object, *this);
        };
        auto outcome =
            co_await run_handler(core::from_timeout{what.timeout},
                                 rules().timeouts[index].attempt_limit, std::move(bound));
        co_return outcome;
    }
    case need::callback: {
        const auto handled = message_at();
        const auto& names = rules().callbacks;
        const auto index =
            static_cast<std::size_t>(std::ranges::find(names, handled.name) - names.begin());
        bound_handler bound = [this, index, &handled](const detail::object_ptr& object) {
            return handlers().callbacks[index](object, *this, handled.payload);
        };
        auto outcome =
            co_await run_handler(core::from_callback{handled.sequence}, {}, std::move(bound));
        co_return outcome;
    }
    case need::command: {
        const auto command = message_at();
        co_return result{core::command_received{command.sequence, command.kind, command.payload,
                                                command.requested_by}};
    }
    case need::expire_message:
        co_return result{core::message_expired{message_at().sequence}};
    case need::resume:
        co_return result{core::pause_elapsed{}};
    case need::scrub: {
        // A scrubber that throws must not keep the data: nothing of it is left then.
        auto scrubbed = workflow_->impl->blank();
        try {
            std::string upgraded;
            if (const auto& scrub = workflow_->impl->scrub)
                scrubbed = scrub(detail::present_object(*workflow_->impl, record_, upgraded));
        } catch (...) {
            log(log_level::error, "the scrubber failed, the object is removed: " +
                                      error_text(std::current_exception()));
        }
        co_return result{core::data_scrubbed{std::move(scrubbed)}};
    }
    case need::nothing:
        break;
    }
    co_return result{};
}

asio::awaitable<std::optional<core::outcome>>
activation::run_handler(core::source by, duration limit, bound_handler handler)
{
    detail::next_value value;
    std::exception_ptr failure;
    armed_.reset();
    const auto begun = shared_.observer ? now() : time_point{};
    try {
        decode_object();
        limit_attempt(by, limit);
        interrupted_ = interruption::none;
        running_ = by;
        handler_running_ = true;
        value = co_await handler(object_);
    } catch (...) {
        failure = std::current_exception();
    }
    handler_running_ = false;
    ++attempt_;
    if (timer_)
        timer_->cancel();
    if (interrupted_ != interruption::none) {
        // Else every later co_await of this coroutine would throw operation_aborted.
        co_await asio::this_coro::reset_cancellation_state(asio::enable_terminal_cancellation());
        object_.reset();
        callback_interrupted_ = interrupted_ == interruption::command &&
                                std::holds_alternative<core::from_callback>(by);
        if (superseded_ || interrupted_ != interruption::attempt_limit) {
            report(by, begun, handler_result::interrupted);
            co_return std::nullopt;
        }
        core::handler_failed late{by, "the attempt took longer than its limit"};
        report(by, begun, handler_result::failed, late.error);
        co_return core::outcome{std::move(late)};
    }
    if (!failure) {
        try {
            const bool skipped = value.kind == detail::next_kind::skip;
            auto outcome = completed(by, std::move(value));
            report(by, begun, skipped ? handler_result::skipped : handler_result::returned);
            co_return outcome;
        } catch (...) {
            failure = std::current_exception();
        }
    }
    // What the handler did to the object is not saved, so the next attempt must not see it.
    object_.reset();
    core::handler_failed failed{by, error_text(failure)};
    failed.permanent = is_permanent(by, failure);
    report(by, begun, handler_result::failed, failed.error);
    const auto process = process_name(by);
    log_entry entry = entry_of(log_level::warn, "a handler failed");
    entry.process = process;
    entry.attempt = attempt();
    entry.error = failed.error;
    shared_.log(entry);
    co_return core::outcome{std::move(failed)};
}

std::string activation::process_name(const core::source& by) const
{
    const auto label = workflow_->impl->rules.label(record_.status);
    if (std::holds_alternative<core::from_step>(by))
        return label + "-step";
    if (const auto* timeout = std::get_if<core::from_timeout>(&by))
        return label + "-timeout-" + std::to_string(timeout->timeout + 1);
    const auto sequence = std::get<core::from_callback>(by).message;
    const auto message = std::ranges::find(inbox_, sequence, &pawl::message::sequence);
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
        shared_.observer->skipped(record_.workflow, process, skip_reason::skip_returned);
    else if (how == handler_result::interrupted)
        shared_.observer->skipped(record_.workflow, process, skip_reason::interrupted);
}

/// Of what was to be stored.
void activation::tell_skipped(skip_reason why) const
{
    if (shared_.observer)
        shared_.observer->skipped(record_.workflow,
                                  workflow_->impl->rules.label(record_.status) + "-commit", why);
}

void activation::tell_settled(const settlement& ended) const
{
    const auto message = std::ranges::find(inbox_, ended.sequence, &pawl::message::sequence);
    if (!shared_.observer || message == inbox_.end())
        return;
    shared_.observer->message_settled(record_.workflow, message->kind, ended.outcome,
                                      now() - message->sent_at);
    const bool refused = ended.outcome == message_outcome::refused;
    if (refused || ended.outcome == message_outcome::expired)
        shared_.observer->skipped(
            record_.workflow, workflow_->impl->rules.label(record_.status) + "-inbox",
            refused ? skip_reason::message_refused : skip_reason::message_expired);
}

bool activation::is_permanent(const core::source& by, const std::exception_ptr& failure) const
{
    const retry_policy* policy = nullptr;
    if (std::holds_alternative<core::from_step>(by))
        policy = &rules().step->retry;
    else if (const auto* timeout = std::get_if<core::from_timeout>(&by))
        policy = &rules().timeouts[static_cast<std::size_t>(timeout->timeout)].retry;
    if (!policy || !policy->permanent)
        return false;
    try {
        try {
            std::rethrow_exception(failure);
        } catch (...) { // a predicate may look at it as the exception in flight
            return policy->permanent(failure);
        }
    } catch (...) {
        log(log_level::error, "retry_policy::permanent threw, the error counts as one to repeat: " +
                                  error_text(std::current_exception()));
        return false;
    }
}

core::outcome activation::completed(core::source by, detail::next_value value)
{
    core::handler_returned returned{by, std::move(value), {}};
    if (returned.value.kind == detail::next_kind::skip) {
        object_.reset();
        return returned;
    }
    returned.object.reserve(record_.object.size() + 64);
    workflow_->impl->encode(object_, returned.object);
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
        return static_cast<std::uint64_t>(timeout->timeout) + 1;
    if (const auto* callback = std::get_if<core::from_callback>(&*running_))
        return (1ull << 32) + callback->message;
    return 0;
}

int activation::attempt() const noexcept
{
    if (!running_ || std::holds_alternative<core::from_step>(*running_))
        return record_.attempt + 1;
    if (const auto* timeout = std::get_if<core::from_timeout>(&*running_)) {
        const auto armed =
            std::ranges::find(record_.deadlines, timeout->timeout, &deadline::timeout);
        return armed == record_.deadlines.end() ? 1 : armed->attempt + 1;
    }
    return 1;
}

asio::awaitable<void> activation::checkpoint(std::string object)
{
    core::checkpoint_wanted wanted{std::move(object), {}};
    co_await save(std::move(wanted));
}

asio::awaitable<void> activation::record_effect(effect added, std::string object)
{
    // Not known when its function was called, so it was called beside another of the same name.
    if (detail::find_effect(record_, added.name, added.for_run))
        throw error(errc::invalid_argument, "the effect \"" + added.name +
                                                "\" has been recorded meanwhile; two effects that "
                                                "run beside each other need two names");
    core::checkpoint_wanted wanted{std::move(object), std::move(added)};
    co_await save(std::move(wanted));
}

asio::awaitable<void> activation::save(core::checkpoint_wanted wanted)
{
    if (superseded_)
        throw system_error(asio::error::operation_aborted);
    const auto version = record_.version;
    co_await store(std::move(wanted));
    if (record_.version != version + 1)
        throw system_error(make_error_code(errc::conflict),
                           "the run was changed while a step saved its progress");
}

void activation::limit_attempt(const core::source& by, duration limit)
{
    const auto begun = now();
    attempt_ends_ = limit > duration::zero() ? core::later(begun, limit) : time_point::max();
    auto first = attempt_ends_;
    if (std::holds_alternative<core::from_step>(by))
        for (const auto& armed : record_.deadlines)
            first = std::min(first, armed.at);
    if (first == time_point::max())
        return;
    if (!timer_)
        timer_ = shared_.clock.make_timer(strand_);
    timer_->wait(std::max(first - begun, duration::zero()),
                 asio::bind_executor(strand_, [weak = weak_from_this(), attempt = attempt_] {
                     if (const auto self = weak.lock())
                         self->on_limit(attempt);
                 }));
}

void activation::on_limit(std::uint64_t attempt)
{
    if (attempt != attempt_ || !handler_running_ || interrupted_ != interruption::none)
        return;
    const auto at = now();
    const bool deadline_passed =
        std::holds_alternative<core::from_step>(*running_) &&
        std::ranges::any_of(record_.deadlines, [&](const deadline& d) { return d.at <= at; });
    if (attempt_ends_ <= at)
        interrupt(interruption::attempt_limit);
    else if (deadline_passed)
        interrupt(interruption::deadline);
    else // early, by a timer of another clock than now()'s
        limit_attempt(*running_,
                      attempt_ends_ == time_point::max() ? duration::zero() : attempt_ends_ - at);
}

void activation::interrupt(interruption why)
{
    if (!handler_running_ || interrupted_ != interruption::none)
        return;
    interrupted_ = why;
    if (!timer_)
        timer_ = shared_.clock.make_timer(strand_);
    if (why != interruption::stop && why != interruption::not_owner)
        timer_->wait(shared_.interrupt_grace,
                     asio::bind_executor(strand_, [weak = weak_from_this(), attempt = attempt_] {
                         if (const auto self = weak.lock())
                             self->supersede(attempt);
                     }));
    // The only place where a coroutine is cancelled through a slot: on its own strand, while a
    // handler is known to be suspended in it.
    cancel_.emit(asio::cancellation_type::terminal);
}

void activation::supersede(std::uint64_t attempt)
{
    if (attempt != attempt_ || !handler_running_ || superseded_ || shared_.stopping)
        return;
    superseded_ = true;
    log(log_level::error,
        "a handler did not end after its cancellation; the run goes on without it");
    std::optional<core::outcome> verdict;
    if (interrupted_ == interruption::attempt_limit)
        verdict = core::handler_failed{*running_, "the attempt took longer than its limit"};
    shared_.active->replace(
        *this, std::make_shared<activation>(shared_, id_, std::nullopt, std::move(verdict)));
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
        object_ =
            workflow_->impl->decode(detail::present_object(*workflow_->impl, record_, upgraded));
    }
}

} // namespace pawl::engine_detail
