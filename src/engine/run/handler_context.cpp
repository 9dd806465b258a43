#include "engine/run/handler_context.hpp"

#include "engine/run/exception_info.hpp"
#include "engine/run/run_attributes.hpp"
#include "engine/run/run_calls.hpp"
#include "pawl/run.hpp"
#include "stores/common/change_size.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <exception>
#include <functional>
#include <type_traits>
#include <variant>

namespace pawl::engine_detail {

namespace asio = boost::asio;

namespace {

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

void handler_context::prepare(core::source next)
{
    handler_ = next;
    commits_.clear_failure();
    effects_under_way_.clear();
    began_version_ = run_.stored.version;
    if (run_.shared.observer) {
        began_at_ = run_.now();
        saved_.clear();
        saved_omitted_ = 0;
    }
}

void handler_context::close()
{
    is_open_ = false;
    ++serial_;
}

int handler_context::attempt() const noexcept
{
    if (!handler_ || std::holds_alternative<core::from_step>(*handler_))
        return run_.stored.attempt + 1;
    if (const auto* timeout = std::get_if<core::from_timeout>(&*handler_)) {
        const auto armed = std::ranges::find(run_.stored.deadlines, run_.timeout_name(*timeout),
                                             &deadline::timeout);
        return armed == run_.stored.deadlines.end() ? 1 : armed->attempt + 1;
    }
    return core::failed_attempts(run_.stored, std::get<core::from_callback>(*handler_).message) + 1;
}

std::uint64_t handler_context::handler_number() const noexcept
{
    if (!handler_)
        return 0;
    if (const auto* timeout = std::get_if<core::from_timeout>(&*handler_))
        return core::timeout_handler_number(run_.timeout_name(*timeout));
    if (const auto* callback = std::get_if<core::from_callback>(&*handler_))
        return core::callback_handler_number(callback->message);
    return core::step_handler_number;
}

/// Without an observer there are no periods, and so no need for the time.
core::placed_span handler_context::placed_span() const
{
    return core::attempt_span(run_.stored, {handler_number(), attempt(), began_version_, began_at_},
                              run_.shared.tracing);
}

/// For an observer: something of the handler is stored.
void handler_context::note_saved(std::string effect)
{
    if (!run_.shared.observer)
        return;
    if (saved_.size() < handler_report::max_saved_progress)
        saved_.push_back({std::move(effect), run_.now()});
    else
        ++saved_omitted_;
}

std::uint32_t handler_context::payload_version() const noexcept
{
    const auto* callback = handler_ ? std::get_if<core::from_callback>(&*handler_) : nullptr;
    if (!callback)
        return 1;
    const auto called = run_.inbox.find(callback->message);
    return called == run_.inbox.end() ? 1 : called->payload_version;
}

void handler_context::log(log_level level, std::string_view line) const
{
    auto entry = run_.entry_of(level, line);
    if (is_open_)
        entry.attempt = attempt();
    run_.shared.log(entry);
}

asio::awaitable<void> handler_context::checkpoint(std::string object)
{
    core::checkpoint_wanted wanted{detail::written_object(*run_.workflow->impl, std::move(object)),
                                   {}};
    run_.check_size(wanted.object.size(), "the object");
    wanted.attributes = attributes_of_written(*run_.workflow->impl, wanted.object);
    co_await save(std::move(wanted));
}

asio::awaitable<void> handler_context::record_effect(effect added, std::string object)
{
    core::checkpoint_wanted wanted{detail::written_object(*run_.workflow->impl, std::move(object)),
                                   std::move(added)};
    run_.check_size(wanted.object.size(), "the object");
    wanted.attributes = attributes_of_written(*run_.workflow->impl, wanted.object);
    co_await save(std::move(wanted));
}

bool handler_context::begin_effect(std::string_view name, bool for_run)
{
    check_may_save(serial_);
    const auto is_same = [&](const auto& other) {
        return other.first == name && other.second == for_run;
    };
    if (std::ranges::any_of(effects_under_way_, is_same))
        return false;
    effects_under_way_.emplace_back(name, for_run);
    return true;
}

void handler_context::end_effect(std::string_view name, bool for_run)
{
    std::erase_if(effects_under_way_, [&](const auto& ended) {
        return ended.first == name && ended.second == for_run;
    });
    for (auto& waiter : std::exchange(effect_waiters_, {}))
        asio::post(run_.strand(),
                   [waiting = std::move(waiter)]() mutable { std::move(waiting)(); });
}

asio::awaitable<void> handler_context::effect_ended()
{
    return asio::async_initiate<const asio::use_awaitable_t<>, void()>(
        [this](auto coroutine) { effect_waiters_.push_back(std::move(coroutine)); },
        asio::use_awaitable);
}

/// Throws unless the definition of the run's workflow declares that it uses the other one.
void handler_context::check_uses(const std::string& other) const
{
    const auto& rules = run_.workflow->impl->rules;
    if (other != rules.name && !rules.find_used(other))
        throw error(errc::invalid_argument, "workflow \"" + rules.name +
                                                "\" does not declare that it uses workflow \"" +
                                                other + "\": call builder::uses() with its handle");
}

/// A time before the first attempt of the handler in its scope.
time_point handler_context::scope_began_at() const
{
    return std::holds_alternative<core::from_callback>(*handler_) ? run_.stored.created_at
                                                                  : run_.stored.entered_at;
}

asio::awaitable<void> handler_context::send(std::string workflow, detail::send_call callback)
{
    check_may_save(serial_);
    check_uses(workflow);
    co_await run_.shared.calls->send_callback(std::move(workflow), std::move(callback),
                                              scope_began_at());
}

/// Throws unless a status of the run's workflow declares the callback.
void handler_context::check_declares(const std::string& callback) const
{
    const auto& rules = run_.workflow->impl->rules;
    if (std::ranges::none_of(rules.statuses, [&](const status_rules& status) {
            return std::ranges::find(status.callbacks, callback) != status.callbacks.end();
        }))
        throw error(errc::invalid_argument, "workflow \"" + rules.name +
                                                "\" declares no callback \"" + callback +
                                                "\", which the end of a child is for");
}

std::shared_ptr<const detail::workflow_impl>
handler_context::find_definition(const std::string& other) const
{
    const auto& workflows = run_.shared.workflows;
    if (const auto known = workflows.find(other); known != workflows.end())
        return known->second.impl;
    const auto& foreign = run_.workflow->impl->foreign_workflows;
    if (const auto known = foreign.find(other); known != foreign.end())
        return known->second;
    return nullptr;
}

/// Throws unless the run's workflow declares that it uses itself. A workflow that uses none would
/// not cancel its children: their parents' ends cost it nothing.
void handler_context::check_uses_itself() const
{
    const auto& rules = run_.workflow->impl->rules;
    if (!rules.find_used(rules.name))
        throw error(errc::invalid_argument,
                    "workflow \"" + rules.name +
                        "\" does not declare that it uses itself, which it must to start runs of "
                        "itself: call builder::uses() with its own handle");
}

asio::awaitable<run_id> handler_context::start(std::string workflow, detail::trigger_call child)
{
    check_may_save(serial_);
    check_uses(workflow);
    if (workflow == run_.stored.workflow)
        check_uses_itself();
    if (!child.parent->callback.empty())
        check_declares(child.parent->callback);
    auto definition = find_definition(workflow);
    if (!definition)
        throw error(errc::invalid_argument,
                    "the engine does not have workflow \"" + workflow +
                        "\", and to start a run of it needs its definition: give that to "
                        "builder::uses_foreign()");
    const auto run =
        co_await run_.shared.calls->start_child(std::move(definition), std::move(child));
    co_return run;
}

asio::awaitable<child_counts> handler_context::count_children()
{
    return run_.shared.store.count_children(run_.id());
}

/// Throws when the handler has ended or was abandoned, or when something could not be saved before.
void handler_context::check_may_save(std::uint64_t serial) const
{
    if (run_.abandoned || !is_open_ || serial != serial_)
        throw system_error(asio::error::operation_aborted);
    if (commits_.failure())
        std::rethrow_exception(commits_.failure());
}

/// Throws when what a handler saves was not stored.
void handler_context::check_saved(const run_commit& item) const
{
    if (item.refused)
        throw size_exceeded(errc::too_large, detail::exception_text(item.failure));
    if (commits_.failure())
        std::rethrow_exception(commits_.failure());
}

/// Called when the commit before it is stored.
transition handler_context::save_transition(core::checkpoint_wanted wanted)
{
    if (wanted.added) {
        // For effects that once() performs, begin_effect() has excluded it.
        if (detail::find_effect(*this, wanted.added->name, wanted.added->for_run))
            throw error(errc::invalid_argument,
                        "the effect \"" + wanted.added->name + "\" has been recorded before");
        run_.check_size(core::effects_size(run_.stored) + wanted.added->name.size() +
                            wanted.added->value.size(),
                        "what the run has recorded of its effects");
    }
    auto decided = commits_.decide(std::move(wanted));
    if (!decided)
        throw system_error(make_error_code(errc::conflict), "the run has ended meanwhile");
    return std::move(*decided);
}

/// Any number of calls may be under way in one handler: each decides when the one before is stored.
asio::awaitable<void> handler_context::save(core::checkpoint_wanted wanted)
{
    const auto serial = serial_;
    check_may_save(serial);
    auto effect = run_.shared.observer && wanted.added ? wanted.added->name : std::string{};
    if (!commits_.try_take_turn())
        co_await commits_.wait_for_turn();
    {
        const run_commits::turn turn{commits_};
        check_may_save(serial);
        run_commit item{commits_, save_transition(std::move(wanted)), run_commit::origin::handler};
        if (!commits_.try_apply(item)) {
            co_await commits_.submit(item);
            commits_.take_result(item);
        }
        check_saved(item);
        note_saved(std::move(effect));
    }
    if (commits_.must_yield())
        co_await asio::post(run_.strand(), asio::use_awaitable);
}

/// What the application's part throws is the handler's failure. Any other failure is the store's,
/// and nothing is known of the run then.
asio::awaitable<void> handler_context::record_effect_in(detail::effect_in_transaction& wanted)
{
    const auto serial = serial_;
    check_may_save(serial);
    bool has_begun = false;
    bool is_complete = false;
    const auto open = run_.shared.store.make_transaction(noting_begin(wanted.work, has_begun));
    std::exception_ptr failure;
    try {
        co_await open->run();
    } catch (...) {
        failure = std::current_exception();
    }
    if (failure && !has_begun && !is_cancellation(failure))
        commits_.take_failure(failure);
    if (failure)
        std::rethrow_exception(failure);

    co_await commits_.wait_for_turn();
    const run_commits::turn turn{commits_};
    check_may_save(serial);
    auto object = detail::written_object(*run_.workflow->impl, wanted.object());
    run_.check_size(object.size(), "the object");
    auto attributes = attributes_of_written(*run_.workflow->impl, object);
    run_commit item{commits_,
                    save_transition({std::move(object), wanted.added, std::move(attributes)}),
                    run_commit::origin::handler};
    const std::function<void(transition&)> complete = [&](transition& decided) {
        wanted.complete(decided.next.effects.back());
        run_.check_size(core::effects_size(decided.next),
                        "what the run has recorded of its effects");
        is_complete = true;
    };
    // A cancellation from here on would leave it open what has been stored.
    const bool throws = co_await asio::this_coro::throw_if_cancelled();
    co_await asio::this_coro::throw_if_cancelled(false);
    try {
        co_await run_.shared.commits.commit_in(*open, item, complete);
    } catch (...) {
        failure = std::current_exception();
    }
    co_await asio::this_coro::throw_if_cancelled(throws);
    // Nothing is stored of what the store refuses: for example for a constraint of the application
    // that is checked at the commit, or for what the application has made of its session.
    if (failure && has_begun && (!is_complete || refuses_transaction(failure))) {
        commits_.abandon_commit();
        std::rethrow_exception(failure);
    }
    item.failure = failure;
    commits_.take_result(item);
    check_saved(item);
    note_saved(wanted.added.name);
}

} // namespace pawl::engine_detail
