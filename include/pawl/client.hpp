#pragma once

#include "pawl/attribute.hpp"
#include "pawl/callback.hpp"
#include "pawl/codec.hpp"
#include "pawl/detail/engine_api.hpp"
#include "pawl/detail/exception_text.hpp"
#include "pawl/detail/initiate.hpp"
#include "pawl/snapshot.hpp"
#include "pawl/workflow.hpp"

#include <boost/asio/associator.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace pawl {

/// Options of client::async_trigger().
template <class Status>
struct trigger_options {
    /// The status in which the run begins. It must have a step, callback or timeout. Default: the
    /// workflow's start.
    std::optional<Status> start{};

    /// Whether a foreign id may be used again after its run has finished. Default:
    /// allow_after_finish.
    id_reuse_policy id_reuse = id_reuse_policy::allow_after_finish;

    /// Identifies this trigger: a further trigger with the same foreign id and key starts nothing
    /// and completes with the id of the first one's run. A key is forgotten when retention removes
    /// its run. At most 1,024 bytes. Default: empty, no key.
    std::string idempotency_key{};

    /// The W3C trace context of the run: the header `traceparent` of the request that starts it. At
    /// most the 55 bytes of version 00 are kept. Default: empty. With an empty or invalid header
    /// the run begins a trace of its own; see run::trace_parent().
    std::string trace_parent{};
};

/// Why a command is given and who gives it. Both are stored with the run and in its history.
struct command_reason {
    command_reason() = default;
    command_reason(const char* text) : reason(text) {}
    command_reason(std::string text, std::string requester = {})
        : reason(std::move(text)), by(std::move(requester))
    {
    }

    /// Human-readable. The first 1,024 bytes are kept, cut between characters.
    std::string reason;

    /// Who gives the command, as the application names them. At most 1,024 bytes, else the command
    /// fails with invalid_argument. Default: empty, unnamed.
    std::string by;
};

/// Options of client::async_start_or_send().
template <class Status>
struct start_or_send_options {
    /// The status in which a run that is started begins, see trigger_options::start. Default: the
    /// workflow's start.
    std::optional<Status> start{};

    /// Identifies this call: when a run of the foreign id has its callback already, a repeated call
    /// starts and sends nothing and completes with the id of that run. The 100 runs of the foreign
    /// id that were created last are searched. The key of a callback that failed is free again. At
    /// most 1,024 bytes, and not beginning with "pawl.". Default: empty, no key.
    std::string idempotency_key{};

    /// See callback_options::expires_after.
    std::optional<any_duration> expires_after{};

    /// See trigger_options::trace_parent.
    std::string trace_parent{};
};

/// One page of client::async_list().
template <class Object, class Status>
struct page {
    std::vector<snapshot<Object, Status>> runs;
    list_position next; ///< record_query::after of the next page; empty on the last page
};

namespace detail {

/// Passes a decoded result to a completion handler and keeps the handler's associations. An
/// exception of a codec or an upgrade fails this call with decode_failed and is logged.
template <class Handler, class Decode>
struct decoding_handler {
    std::shared_ptr<engine_api> engine;
    Handler handler;
    Decode decode;

    template <class Raw>
    void operator()(failure result, Raw raw)
    {
        decltype(decode(std::move(raw))) value{};
        try {
            if (!result || result.code == errc::finished_in_other_status)
                value = decode(std::move(raw));
        } catch (...) {
            result = failure{errc::decode_failed, exception_text(std::current_exception())};
            engine->warn(decode.flow.name(), "a run cannot be read for a client: " + result.detail);
        }
        engine.reset();
        std::move(handler)(std::move(result), std::move(value));
    }
};

template <class Handler, class Decode>
decoding_handler(std::shared_ptr<engine_api>, Handler, Decode) -> decoding_handler<Handler, Decode>;

/// The failure that a settlement stands for; none when the message was handled or is pending.
inline failure failure_of(const settlement& settled, message_kind kind)
{
    switch (settled.outcome) {
    case message_outcome::failed:
        return {errc::callback_failed, settled.detail};
    case message_outcome::expired:
        return {errc::expired, settled.detail};
    case message_outcome::rejected:
        return {refusal_code(kind, settled), settled.detail};
    case message_outcome::pending:
    case message_outcome::handled:
        break;
    }
    return {};
}

/// Turns an unsuccessful settlement into an error code on its way to the handler.
template <class Handler>
struct settling_handler {
    Handler handler;

    void operator()(failure result, settlement settled)
    {
        if (!result)
            result = failure_of(settled, message_kind::callback);
        std::move(handler)(std::move(result), std::move(settled));
    }
};

template <class Handler>
struct command_handler {
    Handler handler;
    message_kind kind;

    void operator()(failure result, const settlement& settled)
    {
        if (!result)
            result = failure_of(settled, kind);
        std::move(handler)(std::move(result));
    }
};

} // namespace detail

/// Starts, calls, commands and reads the runs of one workflow. Made by engine::add(); cheap to
/// copy.
///
/// Functions named async_… take a completion token, by default boost::asio::use_awaitable.
/// Completion handlers run on their associated executor, by default the engine's, and never inside
/// the initiating function. Under use_awaitable and use_future an error is thrown: with a code of
/// Pawl as pawl::error, whose detail() names the argument, value or limit, else as
/// boost::system::system_error. Other tokens get the code; with_detail() stores the detail for
/// them.
///
/// Every operation can also fail with these codes:
/// - not_running — the engine was not started, or has been stopped;
/// - a store_* code, or unexpected_exception — the store failed. Of an operation that writes, it is
/// then unknown whether it
///   took effect;
/// - overloaded — engine_options::max_waiting_calls calls wait for their commit (operations that
///   write);
/// - unexpected_exception — the store, or other code that the engine calls, threw an exception
///   without a code.
///
/// An exception of a codec or an upgrade affects only the call, or the entry of a list, that it
/// belongs to. Its text is logged.
///
/// A client sees only the runs of its own workflow: for it, the id of another workflow's run does
/// not exist.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
template <class Object, class Status>
class client {
public:
    using snapshot_type = snapshot<Object, Status>;

    /// Made by engine::add().
    client(std::shared_ptr<detail::engine_api> engine, workflow<Object, Status> flow)
        : engine_(std::move(engine)), workflow_(std::move(flow))
    {
    }

    /// The workflow of this client.
    const workflow<Object, Status>& definition() const noexcept { return workflow_; }

    /// Internal.
    const std::shared_ptr<detail::engine_api>& engine() const noexcept { return engine_; }

    /// Starts a run.
    ///
    /// `foreign_id` is the application's own name for the run and has 1 to 1,024 bytes.
    ///
    /// Completes: when the run is stored. Signature: `void(error_code, run_id)`.
    /// Durability: when it completes without error, the run is in the store and is driven to its
    /// end, even if this process dies. After a store_* code, repeat the call with the same
    /// idempotency key to find out whether the run was started.
    /// Errors: already_running — the foreign id has an unfinished run; already_ran — the foreign id
    /// has a finished run, and `id_reuse` is reject_duplicate; invalid_status — no run can start in
    /// `start`; invalid_argument — the foreign id is empty, it or the key is longer than 1,024
    /// bytes, or the due time of a timeout of the start status cannot be computed; too_large — the
    /// object has more than engine_options::max_object_size; encode_failed — the codec cannot write
    /// the object; decode_failed — the codec cannot read it back, which a status with timeouts
    /// needs.
    /// Cancellation: none.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_trigger(std::string foreign_id, const Object& object,
                       trigger_options<Status> options = {}, Token&& token = {})
    {
        auto call = make_trigger_call(std::move(foreign_id), object, options.start);
        call.id_reuse = options.id_reuse;
        call.key = std::move(options.idempotency_key);
        call.trace_parent = std::move(options.trace_parent);
        return detail::initiate<Token, run_id>(
            [](auto handler, client self, detail::trigger_call request) {
                self.engine_->trigger(self.workflow_.impl(), std::move(request),
                                      detail::completion<run_id>{std::move(handler)});
            },
            token, *this, std::move(call));
    }

    /// Waits until a run is in one of `statuses`.
    ///
    /// A status that the run left before the call does not count.
    ///
    /// Completes: at once if the run is there already, else with the commit that brings it there.
    /// Signature: `void(error_code, snapshot)`; the snapshot shows the run at that commit. If
    /// another engine drives the run, the snapshot's object may be that of a later commit.
    /// Errors: finished_in_other_status — the run finished in another status, with the final
    /// snapshot; not_found — no such run; invalid_argument — `statuses` is empty; decode_failed —
    /// the object cannot be read; called_by_handler — a handler waits for its own run, which stays
    /// where it is until the handler has ended.
    /// Cancellation: terminal, partial, total; ends the wait and has no effect on the run.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_await(run_id run, std::vector<Status> statuses, Token&& token = {})
    {
        std::vector<int> numbers;
        for (const auto status : statuses)
            numbers.push_back(static_cast<int>(status));
        return initiate_await(run, std::move(numbers), std::forward<Token>(token));
    }

    /// Waits until a run has finished, in whatever status.
    ///
    /// Completes: at once if the run has finished already, else with the commit that ends it.
    /// Signature: `void(error_code, snapshot)`.
    /// Errors: not_found — no such run; decode_failed — the object cannot be read;
    /// called_by_handler — a handler waits for the end of its own run.
    /// Cancellation: terminal, partial, total; ends the wait and has no effect on the run.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_await_finished(run_id run, Token&& token = {})
    {
        return initiate_await(run, std::nullopt, std::forward<Token>(token));
    }

    /// Sends a callback to a run and waits until it has been handled.
    ///
    /// `payload` is written by codec<Payload>. The callback waits in the run's inbox while a step
    /// of the run is running and until the run is in a status that takes it.
    ///
    /// Completes: when the callback is settled and that is durable.
    /// Signature: `void(error_code, settlement)`.
    /// Durability: the callback is in the inbox before it is handled, so a crash loses neither. The
    /// handler's outcome and the settlement are one commit.
    /// Errors: not_found — no such run; no_such_callback — the workflow declares no callback of
    /// that name; already_finished — the run has finished, or finished before the callback was
    /// handled; callback_failed — the attempts of its handler are used up, the settlement's
    /// `detail` holds the error (see builder::callback for retries); expired — `expires_after`
    /// passed first; inbox_full — the run has engine_options::max_pending_messages pending
    /// messages; too_large — the payload has more than engine_options::max_object_size;
    /// encode_failed — the codec cannot write the payload; invalid_argument — the key is longer
    /// than 1,024 bytes; called_by_handler — a handler calls its own run, which takes the callback
    /// after the handler has ended, and nothing is sent: use async_send().
    /// Cancellation: terminal, partial, total, once the callback is in the inbox; ends the wait.
    /// The callback is still handled.
    template <class Payload, class Token = boost::asio::use_awaitable_t<>>
    auto async_call(run_ref run, std::string name, const Payload& payload,
                    callback_options options = {}, Token&& token = {})
    {
        return initiate_callback(detail::make_callback_call(std::move(run), std::move(name),
                                                            payload, std::move(options)),
                                 true, std::forward<Token>(token));
    }

    /// The same with the name and the payload type of a callback<Payload>: another payload does not
    /// compile.
    template <class Payload, class Token = boost::asio::use_awaitable_t<>>
    auto async_call(run_ref run, const callback<Payload>& declaration,
                    const std::type_identity_t<Payload>& payload, callback_options options = {},
                    Token&& token = {})
    {
        return async_call(std::move(run), declaration.name(), payload, std::move(options),
                          std::forward<Token>(token));
    }

    /// The same with a callback that has no payload.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_call(run_ref run, const callback<void>& declaration, callback_options options = {},
                    Token&& token = {})
    {
        return async_call(std::move(run), declaration.name(), bytes{}, std::move(options),
                          std::forward<Token>(token));
    }

    /// Sends a callback to a run and does not wait until it is handled.
    ///
    /// Completes: when the callback is in the run's inbox.
    /// Signature: `void(error_code, settlement)`; the outcome is message_outcome::pending, or that
    /// of the first callback with the same name and idempotency key. Durability: when it completes
    /// without error, the callback is in the store and is handled even if this process dies, unless
    /// the run finishes first: then it is rejected.
    /// Errors: not_found — no such run; no_such_callback — the workflow declares no callback of
    /// that name; already_finished — the run has finished; inbox_full — the run has
    /// engine_options::max_pending_messages pending messages; too_large — the payload has more than
    /// engine_options::max_object_size; encode_failed — the codec cannot write the payload;
    /// invalid_argument — the key is longer than 1,024 bytes. For a key that was used before also
    /// expired, when the first callback has expired.
    /// Cancellation: none.
    template <class Payload, class Token = boost::asio::use_awaitable_t<>>
    auto async_send(run_ref run, std::string name, const Payload& payload,
                    callback_options options = {}, Token&& token = {})
    {
        return initiate_callback(detail::make_callback_call(std::move(run), std::move(name),
                                                            payload, std::move(options)),
                                 false, std::forward<Token>(token));
    }

    /// The same with the name and the payload type of a callback<Payload>: another payload does not
    /// compile.
    template <class Payload, class Token = boost::asio::use_awaitable_t<>>
    auto async_send(run_ref run, const callback<Payload>& declaration,
                    const std::type_identity_t<Payload>& payload, callback_options options = {},
                    Token&& token = {})
    {
        return async_send(std::move(run), declaration.name(), payload, std::move(options),
                          std::forward<Token>(token));
    }

    /// The same with a callback that has no payload.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_send(run_ref run, const callback<void>& declaration, callback_options options = {},
                    Token&& token = {})
    {
        return async_send(std::move(run), declaration.name(), bytes{}, std::move(options),
                          std::forward<Token>(token));
    }

    /// Sends a callback to the unfinished run of a foreign id, and starts a run first if there is
    /// none.
    ///
    /// If the run finishes before it has the callback, another one is started. Of several calls at
    /// the same time one starts a run, and all send their callbacks to it. A run that is started
    /// may begin before it has the callback.
    ///
    /// Completes: with the run that has the callback in its inbox, or has had it there.
    /// Signature: `void(error_code, run_id)`.
    /// Durability: when it completes without error, the run and the callback are in the store, and
    /// the callback is handled even if this process dies, unless the run finishes first: then it is
    /// rejected, and a repeated call with its key completes with that run. If the process dies
    /// before the call completes, a run may have been started without the callback: repeat the
    /// call.
    /// Errors: those of async_trigger(), except already_running and already_ran, and of
    /// async_send(), except not_found and already_finished; conflict — 100 runs finished before
    /// they had the callback.
    /// Cancellation: none.
    template <class Payload, class Token = boost::asio::use_awaitable_t<>>
    auto async_start_or_send(std::string foreign_id, const Object& object,
                             const callback<Payload>& declaration,
                             const std::type_identity_t<Payload>& payload,
                             start_or_send_options<Status> options = {}, Token&& token = {})
    {
        auto start = make_trigger_call(foreign_id, object, options.start);
        start.trace_parent = std::move(options.trace_parent);
        return initiate_start_or_send(
            std::move(start),
            detail::make_callback_call(
                std::move(foreign_id), declaration.name(), payload,
                callback_options{std::move(options.idempotency_key), options.expires_after}),
            std::forward<Token>(token));
    }

    /// The same with a callback that has no payload.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_start_or_send(std::string foreign_id, const Object& object,
                             const callback<void>& declaration,
                             start_or_send_options<Status> options = {}, Token&& token = {})
    {
        auto start = make_trigger_call(foreign_id, object, options.start);
        start.trace_parent = std::move(options.trace_parent);
        return initiate_start_or_send(
            std::move(start),
            detail::make_callback_call(
                std::move(foreign_id), declaration.name(), bytes{},
                callback_options{std::move(options.idempotency_key), options.expires_after}),
            std::forward<Token>(token));
    }

    /// Pauses a run until async_resume; also a run whose first handler has not begun.
    ///
    /// A running handler is cancelled, and its changes of the object since they were last saved are
    /// discarded. A run that is paused by an error no longer resumes by itself.
    ///
    /// Completes: when the pause is committed. Signature: `void(error_code)`.
    /// Durability: the command is in the run's inbox before it is executed; it is executed even if
    /// this process dies.
    /// Errors: not_found — no such run; already_finished — the run has finished; already_paused —
    /// it is paused by a command or by a handler; invalid_argument — `by` is longer than 1,024
    /// bytes.
    /// Cancellation: terminal, partial, total, once the command is in the inbox; ends the wait. The
    /// command is still executed.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_pause(run_ref run, command_reason reason, Token&& token = {})
    {
        return initiate_command(std::move(run), message_kind::pause, std::move(reason),
                                std::forward<Token>(token));
    }

    /// Resumes a paused run.
    ///
    /// The attempts of the step and of the timeouts start from zero, and retry backoff ends.
    /// Deadlines that passed during the pause are due at once.
    ///
    /// Completes: when the resume is committed. Signature: `void(error_code)`.
    /// Durability: the command is in the run's inbox before it is executed; it is executed even if
    /// this process dies.
    /// Errors: not_found — no such run; not_paused — the run is not paused; already_finished — the
    /// run has finished; invalid_argument — `by` is longer than 1,024 bytes.
    /// Cancellation: terminal, partial, total, once the command is in the inbox; ends the wait. The
    /// command is still executed.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_resume(run_ref run, command_reason reason = {}, Token&& token = {})
    {
        return initiate_command(std::move(run), message_kind::resume, std::move(reason),
                                std::forward<Token>(token));
    }

    /// Ends a run in its present status, as cancelled.
    ///
    /// A running handler is cancelled. No handler is called to undo what was done: for that,
    /// declare a callback that moves the run to a status whose step compensates. Callbacks that
    /// wait in the inbox are rejected.
    ///
    /// Completes: when the cancellation is committed. Signature: `void(error_code)`.
    /// Durability: the command is in the run's inbox before it is executed; it is executed even if
    /// this process dies.
    /// Errors: not_found — no such run; already_finished — the run has finished; invalid_argument —
    /// `by` is longer than 1,024 bytes.
    /// Cancellation: terminal, partial, total, once the command is in the inbox; ends the wait. The
    /// command is still executed.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_cancel(run_ref run, command_reason reason, Token&& token = {})
    {
        return initiate_command(std::move(run), message_kind::cancel, std::move(reason),
                                std::forward<Token>(token));
    }

    /// Replaces the object of a finished run by what builder::scrub() leaves of it, and deletes its
    /// recorded effects.
    ///
    /// May be repeated, for example with a scrubber that removes more. The history, dead letters
    /// and archived runs are not changed.
    ///
    /// Completes: when the request is committed: the run is in state requested_data_deleted, and in
    /// data_deleted soon after. Signature: `void(error_code)`.
    /// Durability: once it completes, the data is deleted even if this process dies.
    /// Errors: not_found — no such run; not_finished — the run has not finished; invalid_argument —
    /// `by` is longer than 1,024 bytes.
    /// Cancellation: terminal, partial, total, once the command is in the inbox; ends the wait. The
    /// command is still executed.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_delete_data(run_ref run, command_reason reason, Token&& token = {})
    {
        return initiate_command(std::move(run), message_kind::delete_data, std::move(reason),
                                std::forward<Token>(token));
    }

    /// Reads a run by its id.
    ///
    /// Completes: with the run as it is stored, or with nothing when there is no such run.
    /// Signature: `void(error_code, std::optional<snapshot>)`.
    /// Errors: decode_failed — the object cannot be read.
    /// Cancellation: none.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_find(run_id run, Token&& token = {})
    {
        return detail::initiate<Token, std::optional<snapshot_type>>(
            [](auto handler, client self, run_id id) {
                self.engine_->find(self.workflow_.name(), id,
                                   self.decoding_optional(std::move(handler)));
            },
            token, *this, run);
    }

    /// Reads the unfinished run of a foreign id; if there is none, its run that was created last.
    ///
    /// Completes: with the run as it is stored, or with nothing when the foreign id has no run.
    /// Signature: `void(error_code, std::optional<snapshot>)`.
    /// Errors: decode_failed — the object cannot be read.
    /// Cancellation: none.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_find_latest(std::string foreign_id, Token&& token = {})
    {
        return detail::initiate<Token, std::optional<snapshot_type>>(
            [](auto handler, client self, std::string name) {
                self.engine_->latest(self.workflow_.name(), std::move(name),
                                     self.decoding_optional(std::move(handler)));
            },
            token, *this, std::move(foreign_id));
    }

    /// Reads a page of the runs of this workflow; `query.workflow` is ignored.
    ///
    /// A run whose object cannot be read is listed with snapshot::decode_error. Pages continue by
    /// the position in the order of creation, so that the removal of a run does not end a listing.
    /// `query.attributes` finds runs by values of their objects, see pawl::attribute and
    /// builder::attribute().
    ///
    /// Completes: with at most `query.limit` runs.
    /// Signature: `void(error_code, page<Object, Status>)`.
    /// Errors: invalid_argument — `query.limit` is not in 1 to 1,000, the workflow has no attribute
    /// of a name in `query.attributes`, or it is of another type than the value, or has no order.
    /// Cancellation: none.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_list(record_query query, Token&& token = {})
    {
        query.workflow = workflow_.name();
        return detail::initiate<Token, page<Object, Status>>(
            [](auto handler, client self, record_query request) {
                self.engine_->list(
                    std::move(request),
                    detail::completion<record_page>{detail::decoding_handler{
                        self.engine_, std::move(handler), decode_page{self.workflow_}}});
            },
            token, *this, std::move(query));
    }

    /// Gives a page of the runs of this workflow the attributes that the program declares and that
    /// they lack, because an earlier program committed them last; see builder::attribute().
    ///
    /// Begin with the default position, and call it again with attribute_fill::next until that is
    /// empty. It may be repeated at any time, and by several programs. A run keeps its version, so
    /// that its handlers are not disturbed; values of a later commit are not replaced. Values of
    /// attributes that the program does not declare are removed. Runs whose data was deleted are
    /// passed over. If engines without the attributes still drive runs of the workflow, call it
    /// again when they have ended: their commits do not keep the values up to date.
    ///
    /// Completes: when the attributes of `limit` runs are stored.
    /// Signature: `void(error_code, attribute_fill)`.
    /// Durability: each run on its own; after a failure, call it again with the same position.
    /// Errors: invalid_argument — `limit` is not in 1 to 1,000.
    /// Cancellation: none.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_fill_attributes(list_position after = {}, std::size_t limit = 256,
                               Token&& token = {})
    {
        return detail::initiate<Token, attribute_fill>(
            [](auto handler, client self, list_position position, std::size_t count) {
                self.engine_->fill_attributes(
                    self.workflow_.impl(), position, count,
                    detail::completion<attribute_fill>{std::move(handler)});
            },
            token, *this, after, limit);
    }

    /// Counts the runs of this workflow in each status and run state.
    ///
    /// Completes: with one entry for each combination that has runs.
    /// Signature: `void(error_code, std::vector<status_count>)`.
    /// Cancellation: none.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_count(bool unfinished_only = false, Token&& token = {})
    {
        return detail::initiate<Token, std::vector<status_count>>(
            [](auto handler, client self, bool unfinished) {
                self.engine_->count(
                    self.workflow_.name(), unfinished,
                    detail::completion<std::vector<status_count>>{std::move(handler)});
            },
            token, *this, unfinished_only);
    }

    /// Reads the events of a run whose version is greater than `after`, in order.
    ///
    /// Completes: with at most `limit` events; with none when there is no such run. Signature:
    /// `void(error_code, std::vector<event>)`.
    /// Errors: invalid_argument — `limit` is not in 1 to 1,000.
    /// Cancellation: none.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_history(run_id run, std::uint64_t after = 0, std::size_t limit = 1000,
                       Token&& token = {})
    {
        return detail::initiate<Token, std::vector<event>>(
            [](auto handler, client self, run_id id, std::uint64_t version, std::size_t count) {
                self.engine_->history(self.workflow_.name(), id, version, count,
                                      detail::completion<std::vector<event>>{std::move(handler)});
            },
            token, *this, run, after, limit);
    }

private:
    static detail::trigger_call make_trigger_call(std::string foreign_id, const Object& object,
                                                  std::optional<Status> start)
    {
        detail::trigger_call call;
        call.foreign_id = std::move(foreign_id);
        if (start)
            call.status = static_cast<int>(*start);
        call.early = detail::encode_into(object, call.object);
        return call;
    }

    template <class Token>
    auto initiate_start_or_send(detail::trigger_call start, detail::send_call callback,
                                Token&& token)
    {
        return detail::initiate<Token, run_id>(
            [](auto handler, client self, detail::trigger_call trigger, detail::send_call message) {
                self.engine_->start_or_send(self.workflow_.impl(), std::move(trigger),
                                            std::move(message),
                                            detail::completion<run_id>{std::move(handler)});
            },
            token, *this, std::move(start), std::move(callback));
    }

    template <class Token>
    auto initiate_await(run_id run, std::optional<std::vector<int>> statuses, Token&& token)
    {
        return detail::initiate<Token, snapshot_type>(
            [](auto handler, client self, run_id id, std::optional<std::vector<int>> wanted) {
                self.engine_->await(
                    self.workflow_.name(), id, std::move(wanted),
                    detail::completion<record>{detail::decoding_handler{
                        self.engine_, std::move(handler), decode_reached{self.workflow_}}});
            },
            token, *this, run, std::move(statuses));
    }

    struct decode_reached {
        workflow<Object, Status> flow;

        snapshot_type operator()(record reached) const { return make_snapshot(flow, reached); }
    };

    struct decode_optional {
        workflow<Object, Status> flow;

        std::optional<snapshot_type> operator()(std::optional<record> found) const
        {
            std::optional<snapshot_type> result;
            if (found)
                result = make_snapshot(flow, *found);
            return result;
        }
    };

    struct decode_page {
        workflow<Object, Status> flow;

        page<Object, Status> operator()(record_page raw) const
        {
            page<Object, Status> result{{}, raw.next};
            for (const auto& stored : raw.runs)
                result.runs.push_back(listed(flow, stored));
            return result;
        }
    };

    /// A run that cannot be read must not hide the other runs of its page.
    static snapshot_type listed(const workflow<Object, Status>& flow, const record& run)
    {
        try {
            return make_snapshot(flow, run);
        } catch (...) {
            auto shown = detail::make_snapshot<Object, Status>(run, Object{});
            shown.decode_error = detail::exception_text(std::current_exception());
            return shown;
        }
    }

    template <class Handler>
    detail::completion<std::optional<record>> decoding_optional(Handler handler) const
    {
        return detail::completion<std::optional<record>>{
            detail::decoding_handler{engine_, std::move(handler), decode_optional{workflow_}}};
    }

    template <class Token>
    auto initiate_callback(detail::send_call call, bool wait, Token&& token)
    {
        call.wait_until_settled = wait;
        return detail::initiate<Token, settlement>(
            [](auto handler, client self, detail::send_call message) {
                self.engine_->send(
                    self.workflow_.impl(), std::move(message),
                    detail::completion<settlement>{
                        detail::settling_handler<decltype(handler)>{std::move(handler)}});
            },
            token, *this, std::move(call));
    }

    template <class Token>
    auto initiate_command(run_ref run, message_kind kind, command_reason reason, Token&& token)
    {
        detail::send_call call;
        call.run = std::move(run);
        call.kind = kind;
        call.payload = std::move(reason.reason);
        call.requested_by = std::move(reason.by);
        return detail::initiate<Token>(
            [](auto handler, client self, detail::send_call message) {
                const auto sent_kind = message.kind;
                self.engine_->send(
                    self.workflow_.impl(), std::move(message),
                    detail::completion<settlement>{
                        detail::command_handler<decltype(handler)>{std::move(handler), sent_kind}});
            },
            token, *this, std::move(call));
    }

    std::shared_ptr<detail::engine_api> engine_;
    workflow<Object, Status> workflow_;
};

} // namespace pawl

template <template <class, class> class Associator, class Handler, class Decode,
          class DefaultCandidate>
struct boost::asio::associator<Associator, pawl::detail::decoding_handler<Handler, Decode>,
                               DefaultCandidate> : Associator<Handler, DefaultCandidate> {
    static auto get(const pawl::detail::decoding_handler<Handler, Decode>& wrapper,
                    const DefaultCandidate& candidate = DefaultCandidate()) noexcept
    {
        return Associator<Handler, DefaultCandidate>::get(wrapper.handler, candidate);
    }
};

template <template <class, class> class Associator, class Handler, class DefaultCandidate>
struct boost::asio::associator<Associator, pawl::detail::settling_handler<Handler>,
                               DefaultCandidate> : Associator<Handler, DefaultCandidate> {
    static auto get(const pawl::detail::settling_handler<Handler>& wrapper,
                    const DefaultCandidate& candidate = DefaultCandidate()) noexcept
    {
        return Associator<Handler, DefaultCandidate>::get(wrapper.handler, candidate);
    }
};

template <template <class, class> class Associator, class Handler, class DefaultCandidate>
struct boost::asio::associator<Associator, pawl::detail::command_handler<Handler>, DefaultCandidate>
    : Associator<Handler, DefaultCandidate> {
    static auto get(const pawl::detail::command_handler<Handler>& wrapper,
                    const DefaultCandidate& candidate = DefaultCandidate()) noexcept
    {
        return Associator<Handler, DefaultCandidate>::get(wrapper.handler, candidate);
    }
};
