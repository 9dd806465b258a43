#include "engine/activation.hpp"

#include "core/later.hpp"
#include "engine/active_runs.hpp"
#include "engine/due_scanner.hpp"
#include "engine/error_text.hpp"
#include "engine/step_limiter.hpp"

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <cassert>
#include <utility>

namespace pawl::engine_detail {

namespace asio = boost::asio;
using core::need;

namespace {

/// Messages that one read of an inbox asks for.
constexpr std::size_t inbox_page = 256;

/// Other commands wait for the handler's end: they would only be refused.
bool interrupts(const message& arrived)
{
    return arrived.kind == message_kind::pause || arrived.kind == message_kind::cancel;
}

} // namespace

activation::activation(context& shared, run_id run, std::optional<record> current,
                       std::optional<core::outcome> verdict, step_limiter* granted)
    : shared_(shared), id_(run), strand_(asio::make_strand(shared.executor)),
      loaded_(current.has_value()), verdict_(std::move(verdict)), permit_(granted)
{
    if (current)
        record_ = std::move(*current);
}

void activation::start()
{
    const auto self = shared_from_this();
    shared_.running.spawn(strand_, drive(self), cancel_.slot(), self);
}

void activation::start_later()
{
    [[maybe_unused]] const bool open = shared_.running.enter();
    assert(open);
    asio::post(strand_, [self = shared_from_this()] {
        self->shared_.running.start(self->strand_, self->drive(self), self->cancel_.slot(), self);
    });
}

void activation::look_at_mail()
{
    asio::post(strand_, [self = shared_from_this()] {
        if (!self->handler_running_)
            return;
        if (self->take_mail())
            self->interrupt(interruption::command);
    });
}

void activation::interrupt_to_stop()
{
    asio::post(strand_, [self = shared_from_this()] { self->interrupt(interruption::stop); });
}

asio::awaitable<void> activation::drive(std::shared_ptr<activation> self)
{
    bool ended = false;
    std::exception_ptr escaped;
    try {
        stale_ = !loaded_ || record_.inbox_pending > 0;
        inbox_seen_ = record_.inbox_last;
        if (!stale_) {
            loaded_ = false;
            find_workflow();
        }
        while (!ended && owned_ && !superseded_ && !shared_.stopping)
            ended = co_await go_on();
    } catch (...) {
        escaped = std::current_exception();
    }
    give_permit_back();
    if (!ended && !superseded_)
        shared_.active->remove(*this);
    if (escaped)
        log(log_level::error, "internal error: " + error_text(escaped));
    // Only now: while it was active, a scan would have passed the run over. From the beginning: it
    // may be due at another time than this activation knows of.
    if (escaped || unsure_)
        shared_.due->start_over();
}

/// Does one thing for the run. True when the activation has ended because there is nothing to do.
asio::awaitable<bool> activation::go_on()
{
    take_mail();
    if (stale_ || mail_missing_) {
        co_await load();
        co_return false;
    }
    if (verdict_) {
        auto first = std::move(*verdict_);
        verdict_.reset();
        co_await store(std::move(first));
        co_return false;
    }
    const auto at = now();
    auto what = core::next_action(record_, workflow_->impl->rules, inbox_, at);
    if (std::exchange(callback_interrupted_, false)) {
        // In its order the callback would come again first, and again.
        const auto command = std::ranges::find_if(inbox_, interrupts);
        if (command != inbox_.end())
            what = {need::command, 0, static_cast<std::size_t>(command - inbox_.begin())};
    }
    if (what.what == need::nothing) {
        // Where the store believes that the run is due, it is told better.
        const bool seems_due = new_mail_ || (record_.wake_at && *record_.wake_at <= at);
        if (!seems_due)
            co_return end();
        co_await store(core::mail_noted{});
        co_return false;
    }
    if (what.what == need::step && !take_permit())
        co_return end_and_wait_for_permit();
    auto outcome = co_await perform(what);
    if (what.what == need::step)
        give_permit_back();
    if (outcome && owned_ && !superseded_ && !stale_)
        co_await store(std::move(*outcome));
    co_return false;
}

bool activation::end()
{
    if (!shared_.active->retire(*this))
        return false;
    if (record_.wake_at)
        shared_.due->due_at(shared_.shard_of(record_.foreign_id), *record_.wake_at);
    return true;
}

bool activation::end_and_wait_for_permit()
{
    auto& limiter = *workflow_->limiters.at(record_.status);
    if (!shared_.active->retire(*this))
        return false;
    // Only now that it is no longer active may it be granted a permit: a grant to an active run is
    // passed on. If one is free meanwhile, it is granted at once.
    if (limiter.acquire_or_wait(id_, record_.wake_at.value_or(record_.updated_at)) &&
        !shared_.active->begin_granted(id_, limiter))
        shared_.active->give_back(limiter);
    return true;
}

/// Reads the run, or only its inbox when the record came with the activation.
asio::awaitable<void> activation::load()
{
    stale_ = mail_missing_ = false;
    object_.reset();
    inbox_.clear();
    std::exception_ptr failure;
    try {
        if (!std::exchange(loaded_, false)) {
            auto found = co_await shared_.store.find(id_);
            owned_ = found.has_value();
            if (!owned_)
                co_return;
            record_ = std::move(*found);
        }
        co_await load_inbox();
    } catch (...) {
        failure = std::current_exception();
    }
    if (failure) {
        shared_.log(log_level::warn,
                    "cannot read run " + to_string(id_) + ": " + error_text(failure));
        owned_ = false;
        unsure_ = true;
        co_return;
    }
    find_workflow();
}

void activation::find_workflow()
{
    const auto at = shared_.workflows.find(record_.workflow);
    if (at != shared_.workflows.end()) {
        workflow_ = &at->second;
        return;
    }
    shared_.log(log_level::warn, "run " + to_string(id_) + " is of workflow \"" + record_.workflow +
                                     "\", which this engine does not have");
    owned_ = false;
}

asio::awaitable<void> activation::load_inbox()
{
    inbox_seen_ = record_.inbox_last;
    if (record_.inbox_pending == 0)
        co_return;
    std::uint64_t after = 0;
    for (;;) {
        auto page = co_await shared_.store.inbox(id_, after, inbox_page);
        const bool last = page.size() < inbox_page;
        for (auto& waiting : page) {
            after = waiting.sequence;
            inbox_.push_back(std::move(waiting));
        }
        inbox_seen_ = std::max(inbox_seen_, after);
        if (last)
            co_return;
    }
}

/// True when something came that interrupts a handler.
bool activation::take_mail()
{
    if (!has_mail_)
        return false;
    bool urgent = false;
    auto mail = shared_.active->take_mail(*this);
    mail_missing_ = mail_missing_ || mail.unsure;
    for (auto& arrived : mail.arrived) {
        // What is known has been read from the store before its sender came by; it may even have
        // been settled since.
        if (arrived.sequence <= inbox_seen_)
            continue;
        new_mail_ = true;
        urgent = urgent || interrupts(arrived);
        if (arrived.sequence == inbox_seen_ + 1) {
            ++inbox_seen_;
            inbox_.push_back(std::move(arrived));
        } else {
            // One between them is still on its way here, or came by another engine: they are taken
            // in their order, from the store.
            mail_missing_ = true;
        }
    }
    return urgent;
}

bool activation::take_permit()
{
    const auto limiter = workflow_->limiters.find(record_.status);
    if (limiter == workflow_->limiters.end() || permit_ == limiter->second.get())
        return true;
    give_permit_back();
    if (!limiter->second->try_acquire())
        return false;
    permit_ = limiter->second.get();
    return true;
}

void activation::give_permit_back()
{
    if (auto* const held = std::exchange(permit_, nullptr))
        shared_.active->give_back(*held);
}

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
        co_return result{core::command_received{command.sequence, command.kind, command.payload}};
    }
    case need::expire_message:
        co_return result{core::message_expired{message_at().sequence}};
    case need::resume:
        co_return result{core::pause_elapsed{}};
    case need::scrub: {
        // A scrubber that throws must not keep the data: the object is emptied instead.
        std::string scrubbed;
        try {
            scrubbed = workflow_->impl->scrub(record_.object);
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
        if (superseded_ || interrupted_ != interruption::attempt_limit)
            co_return std::nullopt;
        co_return core::outcome{core::handler_failed{by, "the attempt took longer than its limit"}};
    }
    if (!failure) {
        try {
            auto outcome = completed(by, std::move(value));
            co_return outcome;
        } catch (...) {
            failure = std::current_exception();
        }
    }
    // What the handler did to the object is not saved, so the next attempt must not see it.
    object_.reset();
    core::handler_failed failed{by, error_text(failure)};
    failed.permanent = is_permanent(by, failure);
    log(log_level::warn, describe(by) + " failed: " + failed.error);
    co_return core::outcome{std::move(failed)};
}

std::string activation::describe(const core::source& by) const
{
    if (std::holds_alternative<core::from_step>(by))
        return "attempt " + std::to_string(record_.attempt + 1);
    if (const auto* timeout = std::get_if<core::from_timeout>(&by))
        return "timeout " + std::to_string(timeout->timeout + 1);
    return "callback " + std::to_string(std::get<core::from_callback>(by).message);
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
    std::vector<deadline> armed;
    const auto at = workflow_->impl->handlers.find(status);
    if (at == workflow_->impl->handlers.end())
        return armed;
    const auto& timeouts = at->second.timeouts;
    for (std::size_t i = 0; i < timeouts.size(); ++i)
        if (const auto due = timeouts[i].due(object_, *this))
            armed.push_back({static_cast<int>(i), *due, 0});
    return armed;
}

asio::awaitable<void> activation::store(core::outcome what)
{
    const auto armed = [this](int status) {
        if (armed_ && armed_->first == status)
            return armed_->second;
        // A failed step goes to its `exhausted` status, with the object as it was.
        decode_object();
        return arm(status);
    };
    std::optional<transition> change;
    try {
        change = core::decide(record_, workflow_->impl->rules, std::move(what), now(), armed,
                              inbox_view());
    } catch (...) {
        detail::next_value pause{detail::next_kind::pause,
                                 0,
                                 {},
                                 "a timeout could not be armed: " +
                                     error_text(std::current_exception())};
        core::handler_returned instead{core::from_step{}, std::move(pause), record_.object};
        change = core::decide(record_, workflow_->impl->rules, std::move(instead), now(), armed,
                              inbox_view());
    }
    if (!change)
        co_return;
    change->epoch = shared_.epochs[shared_.shard_of(record_.foreign_id)];
    commit item{std::move(*change), {}, {}};
    co_await shared_.commits.async_submit(item, asio::use_awaitable);
    take_result(item);
}

void activation::take_result(commit& item)
{
    if (item.failure) {
        shared_.log(log_level::warn,
                    "cannot store run " + to_string(id_) + ": " + error_text(item.failure));
        owned_ = false;
        unsure_ = true;
        return;
    }
    auto& change = std::get<transition>(item.what);
    switch (item.result.status) {
    case apply_status::accepted:
        record_ = std::move(change.next);
        for (const auto& ended : change.settled)
            std::erase_if(inbox_, [&](const message& m) { return m.sequence == ended.sequence; });
        new_mail_ = change.inbox_seen < inbox_seen_;
        break;
    case apply_status::conflict:
        stale_ = true;
        break;
    default: // fenced, or removed
        owned_ = false;
        break;
    }
}

asio::awaitable<void> activation::checkpoint(std::string object)
{
    core::checkpoint_wanted wanted{std::move(object), {}};
    co_await save(std::move(wanted));
}

asio::awaitable<void> activation::record_effect(effect added, std::string object)
{
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
    if (why != interruption::stop)
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
    if (!object_)
        object_ = workflow_->impl->decode(record_.object);
}

core::inbox_view activation::inbox_view() const
{
    return {inbox_seen_, inbox_};
}

void activation::log(log_level level, std::string_view line) const
{
    std::string text;
    text.reserve(line.size() + 128);
    text.append("[").append(record_.workflow).append(" ").append(record_.foreign_id).append(" ");
    text.append(to_string(id_)).append(" ");
    text.append(workflow_ ? workflow_->impl->rules.label(record_.status)
                          : std::to_string(record_.status));
    text.append("] ").append(line);
    shared_.log(level, text);
}

} // namespace pawl::engine_detail
