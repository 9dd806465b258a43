// Callbacks and commands: what clients and handlers leave in the inboxes of runs.
#include "async/complete.hpp"
#include "core/reserved_names.hpp"
#include "core/saturating_add.hpp"
#include "core/text.hpp"
#include "engine/api/engine_core.hpp"
#include "engine/api/launch.hpp"

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <utility>

namespace pawl::detail {

namespace asio = boost::asio;

using core::quoted;
using engine_detail::message_watcher;
using engine_detail::pending_commit;

namespace {

/// Longer reasons of commands are cut.
constexpr std::size_t max_reason_length = 1024;

/// Commands that a run accepts although its inbox is full.
constexpr std::uint32_t reserved_for_commands = 64;

/// How many earlier runs of a foreign id are searched for a callback.
constexpr std::size_t max_searched_runs = 100;

/// How many runs of a foreign id may finish one after another before they have a callback.
constexpr int max_finished_receivers = 100;

/// How far the clocks of engines that share a store may be apart.
constexpr duration max_clock_difference = std::chrono::minutes{1};

} // namespace

/// The engine has keys of its own: with the key of a child's end, a callback of a client would take
/// the place of that end.
void check_key(const std::string& key)
{
    if (key.starts_with(core::reserved_prefix))
        throw error(errc::invalid_argument,
                    "the idempotency key is " + quoted(key) + "; it must not begin with \"pawl.\"");
}

void engine_core::send(std::shared_ptr<const workflow_impl> workflow, send_call call,
                       completion<settlement> done)
{
    if (!admits() || !tasks_.enter()) {
        async::complete(shared_.executor, std::move(done), make_error_code(errc::not_running),
                        settlement{});
        return;
    }
    // The slot is bound before the coroutine starts: the caller may emit on it as soon as this call
    // returns.
    const bool wait = call.wait_until_settled;
    const auto waiting = std::make_shared<message_watcher>(shared_.executor, std::move(done));
    std::optional<run_id> caller;
    if (wait) {
        caller = active_.run_of_handler(waiting->executor());
        waiting->hold(active_.begin_wait(waiting->executor()));
        bind_cancellation(watchers_, waiting);
    }
    tasks_.start(shared_.executor,
                 finish_send(std::move(workflow), std::move(call), caller, waiting));
}

/// Reads the run that a message is for.
asio::awaitable<record> engine_core::find_receiver(const std::string& workflow, const run_ref& run)
{
    const auto* id = std::get_if<run_id>(&run);
    std::optional<record> found;
    if (id)
        found = co_await shared_.store.find(*id);
    else
        found = co_await shared_.store.latest(workflow, std::get<std::string>(run));
    if (!found || found->workflow != workflow)
        throw error(errc::not_found,
                    quoted(workflow) +
                        (id ? " has no run " + to_string(*id)
                            : " has no run of foreign id " + quoted(std::get<std::string>(run))));
    co_return std::move(*found);
}

/// Checks a callback or command, and makes the message of it, without its run. `known` is null for
/// a workflow that the engine does not have.
message engine_core::make_message(const std::string& workflow, const workflow_impl* known,
                                  send_call call)
{
    check_early(call.early, workflow, "the payload of a callback");
    check_name(call.key, true, "the idempotency key");
    check_name(call.requested_by, true, "the name of the requester");
    const bool is_document = call.kind == message_kind::callback ||
                             call.kind == message_kind::retry || call.kind == message_kind::move;
    if (!is_document)
        call.payload = core::truncate_utf8(std::move(call.payload), max_reason_length);
    else if (call.payload.size() > options_.max_object_size)
        throw error(errc::too_large, too_large_text("the payload", call.payload.size()));
    std::uint32_t present_version = 1;
    if (known && call.kind == message_kind::callback) {
        const auto declares = [&](const status_rules& status) {
            return std::ranges::find(status.callbacks, call.name) != status.callbacks.end();
        };
        if (std::ranges::none_of(known->rules.statuses, declares))
            throw error(errc::no_such_callback,
                        quoted(workflow) + " declares no callback " + quoted(call.name));
        if (const auto found = known->payload_versions.find(call.name);
            found != known->payload_versions.end())
            present_version = found->second;
    }
    message content;
    content.kind = call.kind;
    content.name = std::move(call.name);
    content.payload = std::move(call.payload);
    content.payload_version = call.payload_version.value_or(present_version);
    content.requested_by = std::move(call.requested_by);
    content.key = std::move(call.key);
    content.sent_at = shared_.clock.now();
    if (call.expires_after)
        content.expires_at = core::saturating_add(content.sent_at, *call.expires_after);
    return content;
}

std::uint32_t engine_core::max_pending_of(message_kind kind) const
{
    return options_.max_pending_messages +
           (kind == message_kind::callback ? 0 : reserved_for_commands);
}

/// Stores the message and hands it to its run. Completes when it is durable.
asio::awaitable<engine_core::result<engine_core::sent_message>>
engine_core::deliver(record receiver, message content, std::uint32_t max_pending,
                     std::optional<publication> companion)
{
    content.run = receiver.id;
    pending_commit item{delivery{std::move(content), max_pending}, {}, {}, std::move(companion)};
    const auto committed = co_await commit_call(item);
    if (!committed)
        co_return committed.error();
    auto& stored = std::get<delivery>(item.change).content;
    stored.sequence = committed->sequence;
    if (committed->status == apply_status::accepted)
        active_.deliver(receiver, stored);
    co_return sent_message{receiver.id,
                           {committed->sequence, committed->outcome, committed->detail}};
}

/// The outcome of the message; `pending` if the limit passes before it is settled.
asio::awaitable<settlement> engine_core::await_settlement(run_id run, std::uint64_t sequence,
                                                          duration limit)
{
    const auto start = [this, run, sequence, limit](auto handler, std::shared_ptr<timer> pause,
                                                    std::shared_ptr<bool> is_over) {
        const auto waiting = std::make_shared<message_watcher>(
            shared_.executor, completion<settlement>{std::move(handler)});
        if (!tasks_.enter()) {
            waiting->complete(make_error_code(errc::not_running), {});
            return;
        }
        bind_cancellation(watchers_, waiting);
        watchers_->add(waiting, run, sequence);
        const auto end_wait = [all = std::weak_ptr{watchers_}, is_over,
                               weak = std::weak_ptr{waiting}] {
            const auto list = all.lock();
            const auto late = weak.lock();
            *is_over = true;
            if (list && late)
                list->fail(late, error_code{asio::error::operation_aborted});
        };
        pause->wait(limit, asio::bind_executor(shared_.executor, end_wait));
        shared_.check_watcher(waiting);
    };
    const std::shared_ptr<timer> pause = shared_.clock.make_timer(shared_.executor);
    const auto is_over = std::make_shared<bool>(false);
    settlement known{sequence, message_outcome::pending, {}};
    failure failed;
    try {
        known = co_await initiate<const asio::use_awaitable_t<>, settlement>(
            start, asio::use_awaitable, pause, is_over);
    } catch (...) {
        failed = failure_of(std::current_exception());
    }
    pause->cancel();
    if (failed && !(*is_over && failed.code == asio::error::operation_aborted))
        std::rethrow_exception(exception_of(failed));
    co_return known;
}

/// @param caller the run whose handler waits until the message is settled, if it is one.
asio::awaitable<engine_core::sent_message>
engine_core::do_send(const workflow_impl& workflow, send_call call, std::optional<run_id> caller)
{
    const auto& name = workflow.rules.name;
    const auto run = call.run;
    auto content = make_message(name, &workflow, std::move(call));
    auto receiver = co_await find_receiver(name, run);
    // A command cancels the handler, or is rejected while it runs.
    if (content.kind == message_kind::callback && caller == receiver.id)
        throw error(errc::called_by_handler,
                    "a handler of run " + to_string(receiver.id) + " waits for the callback " +
                        quoted(content.name) +
                        " of its own run, which is handled after the handler has ended: use "
                        "async_send");
    const auto max_pending = max_pending_of(content.kind);
    auto sent = co_await deliver(std::move(receiver), std::move(content), max_pending);
    co_return std::move(sent).value();
}

asio::awaitable<void> engine_core::finish_send(std::shared_ptr<const workflow_impl> workflow,
                                               send_call call, std::optional<run_id> caller,
                                               std::shared_ptr<message_watcher> waiting)
{
    const auto alive = shared_from_this();
    const bool wait = call.wait_until_settled;
    failure result;
    sent_message delivered;
    try {
        check_key(call.key);
        delivered = co_await do_send(*workflow, std::move(call), caller);
    } catch (...) {
        result = failure_of(std::current_exception());
    }
    if (result || !wait || delivered.state.outcome != message_outcome::pending) {
        waiting->complete(std::move(result), std::move(delivered.state));
        co_return;
    }
    watchers_->add(waiting, delivered.run, delivered.state.sequence);
    co_await check_watcher(waiting);
}

/// The message with this key that a run of the foreign id before `latest` has got since the time.
/// A finished run takes no message, but knows the keys of those that it has got.
asio::awaitable<std::optional<engine_core::sent_message>>
engine_core::find_delivered(const record& latest, const message& content, time_point since)
{
    std::optional<sent_message> found;
    record_query query;
    query.workflow = latest.workflow;
    query.foreign_ids = {latest.foreign_id};
    query.order = sort_order::newest_first;
    query.limit = max_searched_runs;
    const auto earlier = co_await shared_.store.list(query);
    for (const auto& run : earlier.runs) {
        if (run.id == latest.id || !is_finished(run.state))
            continue;
        if (run.updated_at < since)
            break;
        auto sent = co_await deliver(run, content, options_.max_pending_messages);
        if (sent)
            found = std::move(*sent);
        else if (!is_gone(sent.error()))
            std::rethrow_exception(exception_of(sent.error()));
        if (found)
            break;
    }
    co_return found;
}

/// Leaves the message in the inbox of the unfinished run of the foreign id, unless a run of the
/// foreign id has got it since the time. The failure is not_found or already_finished if there is
/// no unfinished run.
asio::awaitable<engine_core::result<engine_core::sent_message>>
engine_core::deliver_to_latest(std::string workflow, std::string foreign_id, message content,
                               time_point since)
{
    const run_ref receiver_id = foreign_id;
    for (int finished = 0; finished < max_finished_receivers; ++finished) {
        const auto latest = co_await shared_.store.latest(workflow, foreign_id);
        if (!latest)
            co_return failure{errc::not_found,
                              quoted(workflow) + " has no run of foreign id " + quoted(foreign_id)};
        // Runs of a foreign id follow each other: one that was unfinished since then has a
        // successor that was created since then.
        if (!content.key.empty() && latest->created_at >= since) {
            auto known = co_await find_delivered(*latest, content, since);
            if (known)
                co_return std::move(*known);
        }
        auto sent = co_await deliver(*latest, content, options_.max_pending_messages);
        if (sent || !is_gone(sent.error()) || is_finished(latest->state))
            co_return sent;
    }
    co_return failure{errc::conflict, "the runs of foreign id " + quoted(foreign_id) + " of " +
                                          quoted(workflow) + " finish too fast"};
}

asio::awaitable<void> engine_core::send_callback(std::string workflow, send_call call,
                                                 time_point since)
{
    const auto entry = shared_.workflows.find(workflow);
    const auto* const known = entry == shared_.workflows.end() ? nullptr : entry->second.impl.get();
    const auto run = call.run;
    auto content = make_message(workflow, known, std::move(call));
    if (const auto* foreign_id = std::get_if<std::string>(&run)) {
        const auto sent = co_await deliver_to_latest(workflow, *foreign_id, std::move(content),
                                                     since - max_clock_difference);
        sent.value();
        co_return;
    }
    auto receiver = co_await find_receiver(workflow, run);
    const auto sent =
        co_await deliver(std::move(receiver), std::move(content), options_.max_pending_messages);
    sent.value();
}

void engine_core::start_or_send(std::shared_ptr<const workflow_impl> workflow, trigger_call start,
                                send_call callback, completion<run_id> done)
{
    launch(do_start_or_send(std::move(workflow), std::move(start), std::move(callback)),
           std::move(done));
}

/// Not one change of the store: a delivery names a run, whose id is not known before the start is
/// decided. Each round either ends with the callback in an inbox, or another call has started or
/// finished a run meanwhile.
asio::awaitable<run_id> engine_core::do_start_or_send(std::shared_ptr<const workflow_impl> workflow,
                                                      trigger_call start, send_call callback)
{
    const auto& name = workflow->rules.name;
    const auto foreign_id = start.foreign_id;
    check_key(callback.key);
    const auto content = make_message(name, workflow.get(), std::move(callback));
    for (int finished = 0; finished < max_finished_receivers; ++finished) {
        auto sent = co_await deliver_to_latest(name, foreign_id, content, time_point::min());
        if (sent)
            co_return sent->run;
        if (!is_gone(sent.error()))
            std::rethrow_exception(exception_of(sent.error()));
        const auto started = co_await do_trigger(workflow, start, false);
        if (!started && started.error().code != errc::already_running)
            std::rethrow_exception(exception_of(started.error()));
    }
    throw error(errc::conflict, "the runs of foreign id " + quoted(foreign_id) + " of " +
                                    quoted(name) + " finish too fast");
}

} // namespace pawl::detail
