#include "engine/run/activation.hpp"

#include "core/message_acceptance.hpp"
#include "core/saturating_add.hpp"

#include "engine/cluster/shard_manager.hpp"
#include "engine/run/active_runs.hpp"
#include "engine/run/concurrency_limiter.hpp"
#include "engine/run/due_scanner.hpp"
#include "engine/run/exception_info.hpp"

#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace pawl::engine_detail {

namespace asio = boost::asio;
using core::need;

namespace {

/// Messages that one read of an inbox asks for.
constexpr std::size_t inbox_page = 256;

bool runs_handler(need what)
{
    return what == need::step || what == need::timeout || what == need::callback;
}

/// What is still done while the engine drains, for messages of its handlers.
bool concerns_message(need what)
{
    return what == need::callback || what == need::command || what == need::expire_message;
}

} // namespace

activation::activation(context& shared, run_id run, std::optional<record> current,
                       std::optional<core::stimulus> verdict, concurrency_limiter* granted)
    : shared_(shared), id_(run), loaded_(current.has_value()), verdict_(std::move(verdict)),
      permit_(granted)
{
    if (current)
        record_ = std::move(*current);
}

void activation::show(std::shared_ptr<watcher> to)
{
    asio::dispatch(strand(), [self = shared_from_this(), to = std::move(to)]() mutable {
        self->asking_.push_back(std::move(to));
        if (self->commits_under_way_ == 0)
            self->answer();
    });
}

void activation::look_at_mail()
{
    asio::post(strand(), [self = shared_from_this()] {
        if (self->handler_running_)
            self->hear_of_mail(self->take_mail());
    });
}

void activation::hear_of_mail(bool urgent)
{
    if (urgent)
        interrupt(interruption::command);
    await_settling();
}

void activation::interrupt_to_stop()
{
    asio::post(strand(), [self = shared_from_this()] { self->interrupt(interruption::stop); });
}

void activation::check_ownership()
{
    asio::post(strand(), [self = shared_from_this()] {
        if (!self->is_owner())
            self->interrupt(interruption::not_owner);
    });
}

void activation::look_at_inbox(std::uint64_t last)
{
    if (!shard() || last <= inbox_seen_)
        return;
    asio::post(strand(), [self = shared_from_this(), last] {
        if (self->fetches_mail_ || last <= self->inbox_seen_)
            return;
        if (!self->handler_running_) {
            if (!self->shared_.active->invalidate_inbox(self->id_))
                self->shared_.due->wake_run(*self->shard(), self->id_, self->now());
            return;
        }
        self->fetches_mail_ = true;
        self->shared_.running.spawn(self->strand(), self->fetch_mail());
    });
}

/// Reads what has come beside the running handler.
asio::awaitable<void> activation::fetch_mail()
{
    const auto alive = shared_from_this();
    std::vector<message> unknown;
    std::exception_ptr failure;
    try {
        unknown = co_await shared_.store.inbox(id_, inbox_seen_, inbox_page);
    } catch (...) {
        failure = std::current_exception();
    }
    fetches_mail_ = false;
    if (failure)
        shared_.log({log_level::warn, "cannot read the messages of run " + to_string(id_) + ": " +
                                          detail::exception_text(failure)});
    else
        shared_.active->post_messages(id_, std::move(unknown));
}

std::optional<activation::work> activation::at_work() const noexcept
{
    const auto since = work_since_.load();
    if (since == 0)
        return std::nullopt;
    return work{work_of_, work_status_, work_kind_, time_point{duration{since}}};
}

void activation::begins_work(core::action what, time_point at)
{
    work_of_ = workflow_->impl.get();
    work_status_ = record_.status;
    work_kind_ = what.kind;
    work_since_ = at.time_since_epoch().count();
}

std::optional<std::uint32_t> activation::shard() const noexcept
{
    const auto known = shard_.load();
    return known < 0 ? std::nullopt : std::optional{static_cast<std::uint32_t>(known)};
}

/// Once for all: a shard that is lost and taken again is another epoch's.
void activation::find_owner()
{
    if (shard_ < 0) {
        const auto shard = shared_.shard_of(record_);
        epoch_ = shared_.epochs[shard];
        shard_ = shard;
        judgement_ = shared_.suspects->judge_run(shard, record_);
    }
}

bool activation::is_owner() const
{
    const auto shard = this->shard();
    return !shard || (epoch_ != 0 && shared_.epochs[*shard] == epoch_);
}

asio::awaitable<void> activation::drive()
{
    bool ended = false;
    bool lost = false;
    std::exception_ptr escaped;
    try {
        stale_ = !loaded_ || record_.inbox_pending > 0;
        inbox_seen_ = record_.inbox_last;
        if (!stale_) {
            loaded_ = false;
            find_workflow();
            find_owner();
        }
        ended = co_await go_on();
        lost = !ended && !is_owner();
    } catch (...) {
        escaped = std::current_exception();
    }
    give_permit_back();
    leave_suspects();
    if (!ended && !superseded_)
        shared_.active->remove(*this);
    answer();
    if (escaped)
        log(log_level::error, "internal error: " + detail::exception_text(escaped));
    // Only now: while it was active, a scan would have passed the run over. By its id: it may be
    // due at another time than this activation knows of. A store that is away is nobody's failure.
    if (escaped || unsure_)
        shared_.due->retry_run(shard(), id_,
                               escaped || at_fault_ ? failures_ + 1 : std::max(failures_, 1));
    else if (lost)
        shared_.due->wake_run(*shard(), id_, now()); // in case it has been taken again meanwhile
}

/// While the engine drains, only messages of its own handlers are worked off: these wait for it.
bool activation::may_go_on() const
{
    return owned_ && !superseded_ && is_owner() &&
           (!shared_.stopping || (serves_messages_ && !shared_.cancelling));
}

/// Does what the run needs, one thing after the other. True when the activation has ended because
/// there is nothing left. A loop in one coroutine, which calls another one only for what may wait:
/// each is an allocation.
asio::awaitable<bool> activation::go_on()
{
    while (may_go_on()) {
        take_mail();
        if (stale_ || mail_missing_) {
            co_await load();
            continue;
        }
        auto outcome = std::exchange(verdict_, std::nullopt);
        std::optional<core::source> by;
        if (!outcome) {
            const auto at = now();
            auto what = next(at);
            if (what.kind == need::newer_program) {
                leave_to_newer_program("it is in status " + std::to_string(record_.status) +
                                       (workflow_->impl->rules.find(record_.status)
                                            ? ", whose step this program does not have"
                                            : ", which this program does not have"));
                continue;
            }
            const bool may_begin = !shared_.stopping || concerns_message(what.kind);
            if (!may_begin || (what.kind == need::nothing && !seems_due(at))) {
                if (end())
                    co_return true;
                continue;
            }
            if (wait_for_place(what, at)) {
                if (end_and_wait_for_place())
                    co_return true;
                continue;
            }
            if (wait_for_permit(what, at)) {
                if (end_and_wait_for_permit())
                    co_return true;
                continue;
            }
            if (what.kind != need::step)
                give_permit_back(); // others may use it meanwhile
            if (runs_handler(what.kind) && !enter_suspects()) {
                if (end_and_wait_for_suspects())
                    co_return true;
                continue;
            }
            if (runs_handler(what.kind))
                outcome = judge_attempt(source_of(what));
            if (!outcome && runs_handler(what.kind)) {
                by = source_of(what);
                begins_work(what, at);
                outcome = co_await run_handler(what);
                work_since_ = 0;
                if (place_ == active_runs::place::waiting)
                    shared_.active->stop_waiting(*this);
                if (committing_) {
                    // A message is being settled since before the handler's end.
                    co_await wait_for_turn();
                    pass_turn();
                }
                judgement_ = {};
                leave_suspects();
            } else if (!outcome) {
                outcome = outcome_of(what);
            }
            if (what.kind == need::step && by)
                give_permit_back();
            if (!outcome || !owned_ || superseded_ || stale_)
                continue;
        }
        if (auto change = decide(std::move(*outcome))) {
            own_commit made{*this, std::move(*change)};
            made.is_of_handler = by.has_value();
            if (!store_in_place(made)) {
                co_await submit(made);
                take_result(made);
            }
            if (made.refused) {
                object_.reset();
                verdict_ = core::handler_failed{*by, detail::exception_text(made.failure), true};
            }
        }
        if (has_had_its_turn())
            co_await asio::post(strand(), asio::use_awaitable);
    }
    co_return false;
}

core::action activation::next(time_point at)
{
    return core::next_action(record_, workflow_->impl->rules, inbox_, at, callbacks_in_a_row_,
                             workflow_->outdated);
}

/// True when the run's step is next and has no place.
bool activation::wait_for_place(core::action& wanted, time_point at)
{
    if (wanted.kind != need::step || shared_.active->take_step_place(*this))
        return false;
    give_permit_back();
    return step_is_all_there_is(wanted, at);
}

/// True when the run's step is next and has no permit.
bool activation::wait_for_permit(core::action& wanted, time_point at)
{
    if (wanted.kind != need::step || take_permit())
        return false;
    return step_is_all_there_is(wanted, at);
}

/// The step cannot begin. When it is only next because callbacks had their turn, they go on
/// meanwhile.
bool activation::step_is_all_there_is(core::action& wanted, time_point at)
{
    callbacks_in_a_row_ = 0;
    wanted = next(at);
    return wanted.kind == need::step;
}

/// The store believes that the run needs an engine now. When it does not, the store is told so.
bool activation::seems_due(time_point at) const
{
    return new_mail_ || (record_.wake_at && *record_.wake_at <= at);
}

bool activation::end()
{
    if (!shared_.active->retire(*this))
        return false;
    if (record_.wake_at)
        shared_.due->scan_from(shared_.shard_of(record_), *record_.wake_at);
    return true;
}

bool activation::end_and_wait_for_permit()
{
    auto& limiter = *workflow_->limiters.at(record_.status);
    if (!shared_.active->retire(*this))
        return false;
    // Only now that it is no longer active may it be granted a permit: a grant to an active run is
    // passed on. If one is free meanwhile, it is granted at once.
    const auto shard = shared_.shard_of(record_);
    if (limiter.acquire_or_wait(shard, position())) {
        if (!shared_.active->begin_granted(id_, limiter))
            shared_.active->release_slot(limiter);
    } else if (const auto at = next_change()) {
        shared_.due->wake_run(shard, id_, *at);
    }
    return true;
}

bool activation::end_and_wait_for_place()
{
    if (!shared_.active->retire(*this))
        return false;
    shared_.due->wait_for_place(shared_.shard_of(record_), position(), next_change());
    return true;
}

/// In a run whose handler may have ended the process of an engine: what to store before the handler
/// begins, or instead of the handler.
std::optional<core::stimulus> activation::judge_attempt(const core::source& by)
{
    const auto judged = judgement_;
    if (judged.suspicion == 0)
        return std::nullopt;
    if (shared_.suspects->is_guilty(judged)) {
        judgement_ = {};
        leave_suspects();
        core::handler_failed ended{by,
                                   fmt::format("the engine's process ended without a stop {} times "
                                               "in a row while this attempt was under way",
                                               judged.crashes + 1),
                                   true};
        auto entry = entry_of(log_level::error, "a handler ends its process");
        entry.error = ended.error;
        shared_.log(entry);
        return ended;
    }
    if (record_.suspicion == judged.suspicion)
        return std::nullopt;
    shared_.suspects->note_suspicion(*shard(), id_);
    return core::attempt_suspected{judged.suspicion};
}

/// False when too many other suspects are under way; see crash_suspects.
bool activation::enter_suspects()
{
    if (judgement_.suspicion == 0 || suspect_place_ != 0 || shared_.suspects->is_guilty(judgement_))
        return true;
    if (!shared_.suspects->admit_suspect(judgement_.suspicion, *shard(), id_))
        return false;
    suspect_place_ = judgement_.suspicion;
    return true;
}

void activation::leave_suspects()
{
    if (const auto held = std::exchange(suspect_place_, 0))
        shared_.suspects->release_suspect(held, id_);
}

bool activation::end_and_wait_for_suspects()
{
    give_permit_back();
    if (!shared_.active->retire(*this))
        return false;
    // It is woken when there is a place. That may have been just now, while it was active.
    shared_.due->wake_run(*shard(), id_, core::saturating_add(now(), failure_pause));
    return true;
}

/// Where the store has the run in its order of due runs.
due_position activation::position() const
{
    return {record_.wake_at.value_or(record_.updated_at), id_};
}

/// When a run that waits for its turn has something to do that does not wait.
std::optional<time_point> activation::next_change() const
{
    // A deadline that is kept for a newer program may have passed: nobody here acts on it.
    auto earliest = core::next_deadline(record_, workflow_->impl->rules);
    if (const auto expiry = inbox_.first_expiry())
        earliest = std::min(earliest.value_or(*expiry), *expiry);
    return earliest;
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
        shared_.log({log_level::warn,
                     "cannot read run " + to_string(id_) + ": " + detail::exception_text(failure)});
        owned_ = false;
        unsure_ = true;
        at_fault_ = is_data_error(error_code_of(failure));
        co_return;
    }
    find_workflow();
    find_owner();
    if (!workflow_ || !workflow_->outdated)
        co_return;
    const auto is_of_newer = [this](const message& waiting) {
        return core::is_undeclared_callback(workflow_->impl->rules, waiting);
    };
    if (std::ranges::any_of(inbox_, is_of_newer))
        shared_.found_too_old(*workflow_);
}

void activation::find_workflow()
{
    const auto at = shared_.workflows.find(record_.workflow);
    if (at != shared_.workflows.end()) {
        workflow_ = &at->second;
        return;
    }
    if (shared_.report_once(record_.workflow))
        shared_.log({log_level::warn, "run " + to_string(id_) + " is of workflow \"" +
                                          record_.workflow +
                                          "\", which this engine does not have"});
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
            inbox_.add(std::move(waiting));
        }
        inbox_seen_ = std::max(inbox_seen_.load(), after);
        if (last)
            co_return;
    }
}

/// True when something came that interrupts a handler.
bool activation::take_mail()
{
    if (!has_mail_)
        return false;
    auto mail = shared_.active->drain_inbox_delta(*this);
    mail_missing_ = mail_missing_ || mail.unsure;
    return take_arrived(std::move(mail.arrived));
}

bool activation::take_arrived(std::vector<message> mail)
{
    bool urgent = false;
    for (auto& arrived : mail) {
        // What is known has been read from the store before its sender came by; it may even have
        // been settled since.
        if (arrived.sequence <= inbox_seen_)
            continue;
        if (is_finished(record_.state)) {
            // It may have come just before the end, and ended with it.
            mail_missing_ = true;
            continue;
        }
        new_mail_ = true;
        urgent = urgent || core::interrupts_handler(arrived.kind);
        if (arrived.sequence == inbox_seen_ + 1) {
            ++inbox_seen_;
            inbox_.add(std::move(arrived));
        } else {
            // One between them is still on its way here, or came by another engine: they are taken
            // in their order, from the store. Until then it is known here for its time limit.
            mail_missing_ = true;
            if (inbox_.find(arrived.sequence) == inbox_.end())
                inbox_.add(std::move(arrived));
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
        shared_.active->release_slot(*held);
}

/// The run stays as it is, and as due as it is: nothing is committed.
void activation::leave_to_newer_program(std::string_view why)
{
    owned_ = false;
    too_old_ = true;
    shared_.active->pass_over_until(id_, now() + too_old_pause);
    if (!shared_.found_too_old(*workflow_))
        return;
    auto text = std::string{"this run needs a newer program, and is left to an engine that has it "
                            "(told once for the workflow): "};
    text += why;
    log(log_level::warn, text);
}

log_entry activation::entry_of(log_level level, std::string_view text) const
{
    log_entry entry{level, text};
    entry.workflow = record_.workflow;
    entry.foreign_id = record_.foreign_id;
    entry.run = id_;
    const auto* rules = workflow_ ? workflow_->impl->rules.find(record_.status) : nullptr;
    if (rules)
        entry.status = rules->label;
    return entry;
}

void activation::log(log_level level, std::string_view line) const
{
    auto entry = entry_of(level, line);
    if (handler_running_)
        entry.attempt = attempt();
    shared_.log(entry);
}

} // namespace pawl::engine_detail
