// What an activation stores, and what it does with the answer.
#include "core/dead_letter.hpp"
#include "core/planted.hpp"
#include "engine/background/schedules.hpp"
#include "engine/cluster/shard_manager.hpp"
#include "engine/run/activation.hpp"
#include "engine/run/exception_info.hpp"
#include "engine/waits/watchers.hpp"
#include "pawl/run.hpp"
#include "stores/common/change_size.hpp"
#include "streams/topic_waiters.hpp"

#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <utility>

namespace pawl::engine_detail {

namespace asio = boost::asio;

namespace {

/// Commits in place that a run may make before it lets others have the thread.
constexpr int max_commits_in_a_row = 16;

bool is_cancellation(const std::exception_ptr& failure)
{
    return error_code_of(failure) == asio::error::operation_aborted;
}

/// What the store says of a transaction that it does not store.
bool refuses_transaction(const std::exception_ptr& failure)
{
    const auto code = error_code_of(failure);
    return code == errc::invalid_argument || code == errc::store_access_denied ||
           code == errc::store_read_only || code == errc::store_corrupt;
}

/// The work, which sets `has_begun` when it is called.
transaction_work noting_begin(transaction_work& work, bool& has_begun)
{
    return std::visit(
        [&has_begun](auto& function) -> transaction_work {
            using function_type = std::remove_cvref_t<decltype(function)>;
            return function_type{[&function, &has_begun](auto&& connection) {
                has_begun = true;
                return function(std::forward<decltype(connection)>(connection));
            }};
        },
        work);
}

} // namespace

std::optional<transition> activation::decide(core::stimulus what)
{
    const auto armed = [this](int status) {
        if (armed_ && armed_->first == status)
            return armed_->second;
        // A failed step goes to its `on_exhausted` status, with the object as it was.
        decode_object();
        return arm(status);
    };
    std::string why;
    try {
        return core::decide(record_, workflow_->impl->rules, std::move(what), now(), armed,
                            inbox_view());
    } catch (...) {
        if (needs_newer_program(std::current_exception()))
            return std::nullopt;
        why = "a timeout could not be armed: " + detail::exception_text(std::current_exception());
    }
    return core::decide(record_, workflow_->impl->rules, core::transition_failed{std::move(why)},
                        now(), armed, inbox_view());
}

activation::own_commit::own_commit(activation& owner, transition decided)
    : pending_commit{std::move(decided), {}, {}}, of(owner)
{
    auto& stored = std::get<transition>(change);
    stored.epoch = of.epoch_;
    // The commands of a schedule are reported to their sender alone.
    if (!of.record_.workflow.starts_with(reserved_prefix))
        dead_letter = core::callback_dead_letter(of.record_, stored, of.inbox_.messages());
    ++of.commits_under_way_;
}

void activation::own_commit::committed()
{
    asio::dispatch(of.strand(), [this, alive = of.shared_from_this()] {
        auto coroutine = std::move(*waiting);
        std::move(coroutine)();
    });
}

/// False when the change must be submitted and waited for.
bool activation::store_in_place(own_commit& made)
{
    if (!shared_.commits.try_apply(made))
        return false;
    ++commits_in_a_row_;
    take_result(made);
    return true;
}

/// Completes when the change has a result or a failure.
asio::awaitable<void> activation::submit(own_commit& made)
{
    return asio::async_initiate<const asio::use_awaitable_t<>, void()>(
        [](auto coroutine, commit_queue* to, own_commit* item) {
            item->waiting.emplace(std::move(coroutine));
            to->submit(*item, *item);
        },
        asio::use_awaitable, &shared_.commits, &made);
}

/// After some commits in place others want the thread too.
bool activation::has_had_its_turn()
{
    if (commits_in_a_row_ < max_commits_in_a_row)
        return false;
    commits_in_a_row_ = 0;
    return true;
}

void activation::take_result(own_commit& made)
{
    --commits_under_way_;
    learn_from(made);
    if (commits_under_way_ == 0)
        answer();
}

/// Of a change that is certainly not stored.
void activation::abandon_commit()
{
    --commits_under_way_;
    if (commits_under_way_ == 0)
        answer();
}

bool activation::knows_the_run() const
{
    return record_.version > 0 && owned_ && !stale_ && !unsure_ && !superseded_ && is_owner();
}

/// Each commit that record_ does not show is still to be offered to who asks: they were added
/// before.
void activation::answer()
{
    for (auto& each : std::exchange(asking_, {})) {
        if (!knows_the_run()) {
            shared_.look(std::move(each));
            continue;
        }
        shared_.watching->offer_record(*each, record_);
        shared_.running.leave();
    }
}

/// Of the store.
void activation::take_failure(const std::exception_ptr& failure)
{
    save_failure_ = failure;
    shared_.log({log_level::warn,
                 "cannot store run " + to_string(id_) + ": " + detail::exception_text(failure)});
    owned_ = false;
    unsure_ = true;
    at_fault_ = is_data_error(error_code_of(failure));
}

void activation::learn_from(own_commit& made)
{
    if (made.failure && made.is_of_handler && error_code_of(made.failure) == errc::too_large) {
        made.refused = true; // it is not stored, and the record is as it was
        return;
    }
    if (made.failure) {
        take_failure(made.failure);
        return;
    }
    auto& change = std::get<transition>(made.change);
    if (made.result.status != apply_status::accepted)
        save_failure_ = std::make_exception_ptr(
            system_error(make_error_code(errc::conflict),
                         "the run was changed while a step saved its progress"));
    switch (made.result.status) {
    case apply_status::accepted:
        encoded_ = std::move(record_.object);
        // A handler may have views of these, which never change.
        change.next.foreign_id.swap(record_.foreign_id);
        change.next.workflow.swap(record_.workflow);
        record_ = std::move(change.next);
        if (made.dead_letter)
            streams::topic_waiters::of(shared_.store)->tell(made.dead_letter->topic);
        for (const auto& ended : change.settled)
            tell_settled(ended);
        for (const auto& ended : change.settled)
            inbox_.remove(ended.sequence);
        new_mail_ = change.inbox_seen < inbox_seen_;
        if (is_finished(record_.state))
            inbox_.clear(); // the store has ended whatever waited
        break;
    case apply_status::conflict:
        stale_ = true;
        report_discarded(discard_reason::conflict);
        break;
    case apply_status::fenced:
        shared_.shards->doubt();
        [[fallthrough]];
    default: // or removed
        owned_ = false;
        report_discarded(discard_reason::not_owner);
        break;
    }
}

core::inbox_view activation::inbox_view() const
{
    return {inbox_seen_, inbox_, workflow_->outdated};
}

/// Of what was to be stored.
void activation::report_discarded(discard_reason why) const
{
    if (shared_.observer)
        shared_.observer->discarded(record_.workflow,
                                    workflow_->impl->rules.label(record_.status) + "-commit", why);
}

void activation::tell_settled(const settlement& ended) const
{
    const auto message = inbox_.find(ended.sequence);
    if (!shared_.observer || message == inbox_.end())
        return;
    shared_.observer->message_settled(record_.workflow, message->kind, ended.outcome,
                                      now() - message->sent_at);
    const bool refused = ended.outcome == message_outcome::rejected;
    if (refused || ended.outcome == message_outcome::expired)
        shared_.observer->discarded(
            record_.workflow, workflow_->impl->rules.label(record_.status) + "-inbox",
            refused ? discard_reason::message_refused : discard_reason::message_expired);
}

asio::awaitable<void> activation::checkpoint(std::string object)
{
    core::checkpoint_wanted wanted{detail::written_object(*workflow_->impl, std::move(object)), {}};
    check_size(wanted.object.size(), "the object");
    co_await save(std::move(wanted));
}

asio::awaitable<void> activation::record_effect(effect added, std::string object)
{
    core::checkpoint_wanted wanted{detail::written_object(*workflow_->impl, std::move(object)),
                                   std::move(added)};
    check_size(wanted.object.size(), "the object");
    if (PAWL_PLANTED(once_not_recorded))
        wanted.added.reset();
    co_await save(std::move(wanted));
}

bool activation::begin_effect(std::string_view name, bool for_run)
{
    check_that_handler_may_save(attempt_);
    const auto same = [&](const auto& each) {
        return each.first == name && each.second == for_run;
    };
    if (std::ranges::any_of(effects_under_way_, same))
        return false;
    effects_under_way_.emplace_back(name, for_run);
    return true;
}

void activation::end_effect(std::string_view name, bool for_run)
{
    std::erase_if(effects_under_way_,
                  [&](const auto& each) { return each.first == name && each.second == for_run; });
    for (auto& each : std::exchange(effect_waiters_, {}))
        asio::post(strand(), [waiting = std::move(each)]() mutable { std::move(waiting)(); });
}

asio::awaitable<void> activation::effect_ended()
{
    return asio::async_initiate<const asio::use_awaitable_t<>, void()>(
        [this](auto coroutine) { effect_waiters_.push_back(std::move(coroutine)); },
        asio::use_awaitable);
}

/// Completes when the caller has the turn, which it passes on with pass_turn().
asio::awaitable<void> activation::wait_for_turn()
{
    if (!std::exchange(committing_, true))
        co_return;
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(
        [this](auto coroutine) { commit_line_.push_back(std::move(coroutine)); },
        asio::use_awaitable);
}

void activation::pass_turn()
{
    if (commit_line_.empty()) {
        committing_ = false;
        return;
    }
    auto next = std::move(commit_line_.front());
    commit_line_.pop_front();
    asio::post(strand(), [self = shared_from_this(), waiting = std::move(next)]() mutable {
        std::move(waiting)();
    });
}

/// Throws when it has been left behind or has ended, or when it could not save before.
void activation::check_that_handler_may_save(std::uint64_t attempt) const
{
    if (superseded_ || !handler_running_ || attempt != attempt_)
        throw system_error(asio::error::operation_aborted);
    if (save_failure_)
        std::rethrow_exception(save_failure_);
}

/// Of a checkpoint that a handler wants, decided when the former one is stored.
transition activation::save_transition(core::checkpoint_wanted wanted)
{
    if (wanted.added) {
        // begin_effect() has seen to it for effects that once() performs.
        if (detail::find_effect(*this, wanted.added->name, wanted.added->for_run))
            throw error(errc::invalid_argument,
                        "the effect \"" + wanted.added->name + "\" has been recorded before");
        check_size(core::effects_size(record_) + wanted.added->name.size() +
                       wanted.added->value.size(),
                   "what the run has recorded of its effects");
    }
    auto change = decide(std::move(wanted));
    if (!change)
        throw system_error(make_error_code(errc::conflict), "the run has ended meanwhile");
    return std::move(*change);
}

/// Throws when what a handler saves was not stored.
void activation::check_saved(const own_commit& made) const
{
    if (made.refused)
        throw size_exceeded(errc::too_large, detail::exception_text(made.failure));
    if (save_failure_)
        std::rethrow_exception(save_failure_);
}

/// Any number may be under way in one handler: each is decided when the former one is stored.
asio::awaitable<void> activation::save(core::checkpoint_wanted wanted)
{
    const auto attempt = attempt_;
    check_that_handler_may_save(attempt);
    if (committing_)
        co_await wait_for_turn();
    else
        committing_ = true;
    {
        const turn mine{*this};
        check_that_handler_may_save(attempt);
        own_commit made{*this, save_transition(std::move(wanted))};
        made.is_of_handler = true;
        if (!store_in_place(made)) {
            co_await submit(made);
            take_result(made);
        }
        check_saved(made);
    }
    if (has_had_its_turn())
        co_await asio::post(strand(), asio::use_awaitable);
}

/// What the program's part throws is the handler's failure. Any other failure is the store's, and
/// nothing is known of the run then.
asio::awaitable<void> activation::record_effect_in(detail::effect_in_transaction& wanted)
{
    const auto attempt = attempt_;
    check_that_handler_may_save(attempt);
    bool has_begun = false;
    bool is_complete = false;
    const auto open = shared_.store.make_transaction(noting_begin(wanted.work, has_begun));
    std::exception_ptr failure;
    try {
        co_await open->run();
    } catch (...) {
        failure = std::current_exception();
    }
    if (failure && !has_begun && !is_cancellation(failure))
        take_failure(failure);
    if (failure)
        std::rethrow_exception(failure);

    co_await wait_for_turn();
    const turn mine{*this};
    check_that_handler_may_save(attempt);
    auto object = detail::written_object(*workflow_->impl, wanted.object());
    check_size(object.size(), "the object");
    own_commit made{*this, save_transition({std::move(object), wanted.made})};
    made.is_of_handler = true;
    const std::function<void(transition&)> complete = [&](transition& change) {
        wanted.complete(change.next.effects.back());
        check_size(core::effects_size(change.next), "what the run has recorded of its effects");
        is_complete = true;
    };
    // A cancellation that comes now would leave it open what has been stored.
    const bool throws = co_await asio::this_coro::throw_if_cancelled();
    co_await asio::this_coro::throw_if_cancelled(false);
    try {
        co_await shared_.commits.commit_in(*open, made, complete);
    } catch (...) {
        failure = std::current_exception();
    }
    co_await asio::this_coro::throw_if_cancelled(throws);
    // Of what the store refuses nothing is stored: for a constraint of the program's that is
    // checked at the commit, for example, or for what the program has made of its session.
    if (failure && has_begun && (!is_complete || refuses_transaction(failure))) {
        abandon_commit();
        std::rethrow_exception(failure);
    }
    made.failure = failure;
    take_result(made);
    check_saved(made);
}

} // namespace pawl::engine_detail
