#pragma once

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
#include <variant>
#include <vector>

namespace pawl {

/// Which run: its id, or a foreign id, which means its unfinished run if there is one, else the one
/// that was created last.
using run_ref = std::variant<run_id, std::string>;

template <class Status>
struct trigger_options {
    /// Where the run begins; must have a step, callback or timeout. Default: the workflow's start.
    std::optional<Status> start{};

    /// Whether a finished run of the foreign id leaves room for another. Default: it does.
    id_reuse_policy id_reuse = id_reuse_policy::allow_after_finish;

    /// Names this trigger: a second one with the same foreign id and key gives the first one's run
    /// and starts nothing, however often it is sent. At most 1,024 bytes. Empty: none.
    std::string idempotency_key{};

    /// W3C trace context that the run is part of: the header `traceparent` of the request that
    /// asks for it. Empty, or a text that is no such header: the run is a trace of its own. At most
    /// the 55 bytes of version 00 are kept. See run::trace_parent().
    std::string trace_parent{};
};

/// Why a command is given, and by whom. Both are kept with the run and in its history. Of a longer
/// reason the first 1,024 bytes are kept, less what would be half a character; a longer `by` is
/// refused with invalid_argument.
struct command_reason {
    command_reason() = default;
    command_reason(const char* why) : reason(why) {}
    command_reason(std::string why, std::string who = {})
        : reason(std::move(why)), by(std::move(who))
    {
    }

    std::string reason; ///< for people
    std::string by;     ///< who asks, as the host knows them; may be empty
};

struct callback_options {
    /// Names this callback: a second one of the run with the same name and key is not handled
    /// again, and gives the first one's outcome. A callback that failed does not keep its key: with
    /// it the callback may be sent again. Callbacks of other names, and other runs, have keys of
    /// their own. At most 1,024 bytes. Empty: none.
    std::string idempotency_key{};

    /// How long it may wait in the inbox for the run to reach a status that takes it. Empty: as
    /// long as the run is unfinished.
    std::optional<duration> expires_after{};
};

template <class Object, class Status>
struct page {
    std::vector<snapshot<Object, Status>> runs;
    list_position next; ///< give it as `after` for the next page; none when this is the last
};

namespace detail {

/// Hands a decoded result on to a completion handler, whose associations it keeps. Whatever a codec
/// or an upgrade throws is decode_failed for this call, and a line in the log.
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

/// Encodes `value`. Whatever its codec throws is encode_failed, which goes the way of all other
/// errors, into the handler.
template <class T>
failure encode_into(const T& value, std::string& out)
{
    try {
        codec<T>::encode(value, out);
        return {};
    } catch (...) {
        return {errc::encode_failed, exception_text(std::current_exception())};
    }
}

/// A settlement as a result: what was not done is an error.
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

/// What a host asks of the runs of one workflow. Made by engine::add(); cheap to copy.
///
/// Functions named async_… take a completion token, by default boost::asio::use_awaitable. Their
/// handler runs on its associated executor, by default the engine's, and never inside the call.
/// Under use_awaitable and use_future an error is thrown: as pawl::error, whose detail() names the
/// argument, value or limit, for a code of Pawl's; else as boost::system::system_error. Other
/// tokens get the code; with_detail() stores the detail for them.
///
/// All of them complete with errc::not_running before the engine was started and after it was
/// stopped, and with a store_* code when the store fails; then it is not known whether the call
/// took effect. Those that write give errc::overloaded when too many of them wait.
///
/// A client knows the runs of its own workflow only: the id of another workflow's run is one that
/// does not exist. Whatever a codec or an upgrade throws ends as encode_failed or decode_failed of
/// the one call, or of the one entry of a list, and its text is in the log.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
template <class Object, class Status>
class client {
public:
    using snapshot_type = snapshot<Object, Status>;

    client(std::shared_ptr<detail::engine_api> engine, workflow<Object, Status> of)
        : engine_(std::move(engine)), workflow_(std::move(of))
    {
    }

    const workflow<Object, Status>& definition() const noexcept { return workflow_; }

    /// What the client asks; not for users.
    const std::shared_ptr<detail::engine_api>& engine() const noexcept { return engine_; }

    /// Starts a run. Signature: `void(error_code, run_id)`.
    ///
    /// Durability: when it completes without error, the run is in the store and will be driven to
    /// its end, whatever happens to this process. With an error it has not been started, except for
    /// store_* codes: repeat the call with an idempotency key to find out.
    ///
    /// Cancellation: none; once begun, the write is done or not.
    ///
    /// Errors: already_running when the foreign id has an unfinished run; already_ran when it has
    /// any and `id_reuse` is reject_duplicate; invalid_status; invalid_argument when the foreign id
    /// or key is empty or longer than 1,024 bytes, or when a timeout of the start status cannot say
    /// when it is due (see the log); too_large; encode_failed; decode_failed when the object cannot
    /// be read back for those timeouts.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_trigger(std::string foreign_id, const Object& object,
                       trigger_options<Status> options = {}, Token&& token = {})
    {
        detail::trigger_call call;
        call.foreign_id = std::move(foreign_id);
        if (options.start)
            call.status = static_cast<int>(*options.start);
        call.early = detail::encode_into(object, call.object);
        call.id_reuse = options.id_reuse;
        call.key = std::move(options.idempotency_key);
        call.trace_parent = std::move(options.trace_parent);
        return detail::initiate<Token, run_id>(
            [](auto handler, client self, detail::trigger_call what) {
                self.engine_->trigger(self.workflow_.impl(), std::move(what),
                                      detail::completion<run_id>{std::move(handler)});
            },
            token, *this, std::move(call));
    }

    /// Waits until a run is in one of `statuses`. Signature: `void(error_code, snapshot)`.
    ///
    /// Completes at once if the run is there already, else with the commit that brings it there;
    /// the snapshot is of that version. A status that the run has passed through before the call
    /// does not count.
    ///
    /// Cancellation: terminal, partial and total; the run goes on.
    ///
    /// Errors: finished_in_other_status with the final snapshot when the run finishes in another
    /// status; invalid_argument when `statuses` is empty; not_found; decode_failed.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_await(run_id run, std::vector<Status> statuses, Token&& token = {})
    {
        std::vector<int> numbers;
        for (const auto status : statuses)
            numbers.push_back(static_cast<int>(status));
        return initiate_await(run, std::move(numbers), std::forward<Token>(token));
    }

    /// Waits until a run has finished, wherever it does. Signature: `void(error_code, snapshot)`.
    /// Completion, cancellation and errors as async_await, without finished_in_other_status.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_await_finished(run_id run, Token&& token = {})
    {
        return initiate_await(run, std::nullopt, std::forward<Token>(token));
    }

    /// Calls a callback of a run back and waits until it has been handled.
    /// Signature: `void(error_code, settlement)`.
    ///
    /// The payload is written by codec<Payload>. While a step of the run is running, the callback
    /// waits for its end. If the run's status does not take it, it waits in the inbox until one
    /// does.
    ///
    /// Durability: from before it is handled, the callback is in the run's inbox; what the handler
    /// did is one commit with its settlement. Completes when that is durable.
    ///
    /// Cancellation: terminal, partial and total, once the callback is in the inbox: they end the
    /// wait; the callback is handled all the same.
    ///
    /// Errors: not_found; no_such_callback; already_finished when the run has finished, or finishes
    /// before it could be handled; callback_failed when its handler failed for the last time (the
    /// settlement's detail says why, the run is as before; see builder::callback for how often a
    /// failed handler is repeated before); expired; too_large; encode_failed; invalid_argument.
    template <class Payload, class Token = boost::asio::use_awaitable_t<>>
    auto async_call(run_ref to, std::string name, const Payload& payload,
                    callback_options options = {}, Token&& token = {})
    {
        return initiate_callback(
            callback_call(std::move(to), std::move(name), payload, std::move(options), true),
            std::forward<Token>(token));
    }

    /// The same by a callback<Payload>: another payload than its own does not compile.
    template <class Payload, class Token = boost::asio::use_awaitable_t<>>
    auto async_call(run_ref to, const callback<Payload>& named,
                    const std::type_identity_t<Payload>& payload, callback_options options = {},
                    Token&& token = {})
    {
        return async_call(std::move(to), named.name(), payload, std::move(options),
                          std::forward<Token>(token));
    }

    /// The same by a callback without payload.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_call(run_ref to, const callback<void>& named, callback_options options = {},
                    Token&& token = {})
    {
        return async_call(std::move(to), named.name(), bytes{}, std::move(options),
                          std::forward<Token>(token));
    }

    /// As async_call, but completes as soon as the callback is durable in the inbox, with a
    /// settlement that is pending.
    template <class Payload, class Token = boost::asio::use_awaitable_t<>>
    auto async_send(run_ref to, std::string name, const Payload& payload,
                    callback_options options = {}, Token&& token = {})
    {
        return initiate_callback(
            callback_call(std::move(to), std::move(name), payload, std::move(options), false),
            std::forward<Token>(token));
    }

    /// The same by a callback<Payload>.
    template <class Payload, class Token = boost::asio::use_awaitable_t<>>
    auto async_send(run_ref to, const callback<Payload>& named,
                    const std::type_identity_t<Payload>& payload, callback_options options = {},
                    Token&& token = {})
    {
        return async_send(std::move(to), named.name(), payload, std::move(options),
                          std::forward<Token>(token));
    }

    /// The same by a callback without payload.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_send(run_ref to, const callback<void>& named, callback_options options = {},
                    Token&& token = {})
    {
        return async_send(std::move(to), named.name(), bytes{}, std::move(options),
                          std::forward<Token>(token));
    }

    /// Pauses a run until somebody resumes it, also one that has not begun.
    /// Signature: `void(error_code)`. A running handler is cancelled, and what it did since its
    /// last save is forgotten. An error pause becomes one that does not end by itself.
    ///
    /// Durability, cancellation: as async_call.
    ///
    /// Errors: not_found; already_finished; already_paused; invalid_argument when `why.by` is too
    /// long.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_pause(run_ref to, command_reason why, Token&& token = {})
    {
        return initiate_command(std::move(to), message_kind::pause, std::move(why),
                                std::forward<Token>(token));
    }

    /// Resumes a paused run: its attempts start again from zero, deadlines that have passed
    /// meanwhile are due. As async_pause; not_paused when it is not.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_resume(run_ref to, command_reason why = {}, Token&& token = {})
    {
        return initiate_command(std::move(to), message_kind::resume, std::move(why),
                                std::forward<Token>(token));
    }

    /// Ends a run where it is, as cancelled. No handler runs for that: to undo something, declare a
    /// callback that moves the run to a status whose step does. As async_pause.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_cancel(run_ref to, command_reason why, Token&& token = {})
    {
        return initiate_command(std::move(to), message_kind::cancel, std::move(why),
                                std::forward<Token>(token));
    }

    /// Replaces the object of a finished run by what the workflow's scrubber leaves of it.
    /// Completes when the request is durable; the run's state then goes from RequestedDataDeleted
    /// to DataDeleted. May be repeated, for a scrubber that has learnt more. As async_pause;
    /// unfinished while the run is.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_delete_data(run_ref to, command_reason why, Token&& token = {})
    {
        return initiate_command(std::move(to), message_kind::delete_data, std::move(why),
                                std::forward<Token>(token));
    }

    /// Reads a run. Signature: `void(error_code, std::optional<snapshot>)`; empty when there is
    /// none.
    ///
    /// Cancellation: none. Errors: decode_failed.
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

    /// Reads the unfinished run of the foreign id; if it has none, the one that was created last.
    /// As async_find.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_find_latest(std::string foreign_id, Token&& token = {})
    {
        return detail::initiate<Token, std::optional<snapshot_type>>(
            [](auto handler, client self, std::string key) {
                self.engine_->latest(self.workflow_.name(), std::move(key),
                                     self.decoding_optional(std::move(handler)));
            },
            token, *this, std::move(foreign_id));
    }

    /// Reads a page of runs of this workflow (`query.workflow` is set to it).
    /// Signature: `void(error_code, page<Object, Status>)`.
    ///
    /// A run whose object cannot be read is listed with snapshot::decode_error. Pages follow each
    /// other by their places in the order of creation: a run that is removed meanwhile ends no
    /// listing.
    ///
    /// Cancellation: none. Errors: invalid_argument for a limit out of 1 to 1000.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_list(record_query query, Token&& token = {})
    {
        query.workflow = workflow_.name();
        return detail::initiate<Token, page<Object, Status>>(
            [](auto handler, client self, record_query what) {
                self.engine_->list(
                    std::move(what),
                    detail::completion<record_page>{detail::decoding_handler{
                        self.engine_, std::move(handler), decode_page{self.workflow_}}});
            },
            token, *this, std::move(query));
    }

    /// How many runs of this workflow stand in which status and run state.
    /// Signature: `void(error_code, std::vector<status_count>)`. Cancellation: none.
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

    /// Reads the events of a run with a version greater than `after`, in order, at most `limit` (1
    /// to 1000). Signature: `void(error_code, std::vector<event>)`; empty when there is no such
    /// run of this workflow. Errors: invalid_argument when `limit` is out of its range.
    /// Cancellation: none.
    template <class Token = boost::asio::use_awaitable_t<>>
    auto async_history(run_id run, std::uint64_t after = 0, std::size_t limit = 1000,
                       Token&& token = {})
    {
        return detail::initiate<Token, std::vector<event>>(
            [](auto handler, client self, run_id id, std::uint64_t from, std::size_t count) {
                self.engine_->history(self.workflow_.name(), id, from, count,
                                      detail::completion<std::vector<event>>{std::move(handler)});
            },
            token, *this, run, after, limit);
    }

private:
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
            for (const auto& run : raw.runs)
                result.runs.push_back(listed(flow, run));
            return result;
        }
    };

    /// One run that cannot be read must not hide the others of its page.
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

    template <class Payload>
    detail::send_call callback_call(run_ref to, std::string name, const Payload& payload,
                                    callback_options options, bool wait)
    {
        detail::send_call call;
        call.to = std::move(to);
        call.name = std::move(name);
        call.early = detail::encode_into(payload, call.payload);
        if constexpr (std::is_same_v<Payload, bytes>) {
            // Written by hand, or taken over from outside: what the callback takes now.
            const auto& versions = workflow_.impl()->payload_versions;
            const auto known = versions.find(call.name);
            call.payload_version = known == versions.end() ? 1 : known->second;
        } else {
            call.payload_version = schema<Payload>::version;
        }
        call.key = std::move(options.idempotency_key);
        call.expires_after = options.expires_after;
        call.wait_until_settled = wait;
        return call;
    }

    template <class Token>
    auto initiate_callback(detail::send_call call, Token&& token)
    {
        return detail::initiate<Token, settlement>(
            [](auto handler, client self, detail::send_call what) {
                self.engine_->send(
                    self.workflow_.impl(), std::move(what),
                    detail::completion<settlement>{
                        detail::settling_handler<decltype(handler)>{std::move(handler)}});
            },
            token, *this, std::move(call));
    }

    template <class Token>
    auto initiate_command(run_ref to, message_kind kind, command_reason why, Token&& token)
    {
        detail::send_call call;
        call.to = std::move(to);
        call.kind = kind;
        call.payload = std::move(why.reason);
        call.requested_by = std::move(why.by);
        return detail::initiate<Token>(
            [](auto handler, client self, detail::send_call what) {
                const auto kind = what.kind;
                self.engine_->send(
                    self.workflow_.impl(), std::move(what),
                    detail::completion<settlement>{
                        detail::command_handler<decltype(handler)>{std::move(handler), kind}});
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
