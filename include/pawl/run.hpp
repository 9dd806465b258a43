#pragma once

#include "pawl/callback.hpp"
#include "pawl/child.hpp"
#include "pawl/codec.hpp"
#include "pawl/detail/run_context.hpp"
#include "pawl/detail/send_call.hpp"
#include "pawl/log.hpp"
#include "pawl/record.hpp"
#include "pawl/run_id.hpp"
#include "pawl/time.hpp"
#include "pawl/workflow_handle.hpp"

#include <boost/asio/awaitable.hpp>

#include <concepts>
#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

namespace pawl {

namespace detail {

template <class Result>
struct effect_result {
    using type = Result;
    static constexpr bool awaited = false;
};

template <class Result, class Executor>
struct effect_result<boost::asio::awaitable<Result, Executor>> {
    using type = Result;
    static constexpr bool awaited = true;
};

template <class Fn>
using effect_result_of = effect_result<std::remove_cvref_t<std::invoke_result_t<Fn&>>>;

/// The effect that the context's handler, or its run, has recorded under `name`; nullptr if there
/// is none.
const effect* find_effect(const run_context& context, std::string_view name, bool for_run) noexcept;

std::string make_idempotency_key(const run_context& context, std::string_view name);

/// "<run id>/run/<name>"
std::string make_idempotency_key_per_run(const run_context& context, std::string_view name);

/// The key of a callback that the handler sends. Throws pawl::error (invalid_argument) for a key of
/// the options that is too long.
std::string make_send_key(const run_context& context, std::string_view key);

/// The key of a child that the handler starts. Throws as make_send_key().
std::string make_start_key(const run_context& context, std::string_view key);

std::string trace_parent_of(const run_context& context);

/// A recorded effect that no longer fits its type. No attempt of the same program can read it.
class unreadable_effect : public error {
public:
    unreadable_effect(const std::string& name, const std::exception& cause);
};

/// True for an error with errc::program_too_old.
bool is_too_old(const std::exception& failure) noexcept;

template <class Result>
Result decode_effect(const effect& known)
{
    try {
        return decode_stored<Result>(known.value, known.version,
                                     "the recorded effect \"" + known.name + "\"");
    } catch (const std::exception& e) {
        if (is_too_old(e))
            throw;
        throw unreadable_effect{known.name, e};
    }
}

/// Throws pawl::error (invalid_argument) for a name that cannot be recorded.
void check_effect_name(std::string_view name);

/// What an effect's function gave; void gives nothing.
template <class Result>
using given_result =
    std::optional<std::conditional_t<std::is_void_v<Result>, std::monostate, Result>>;

struct transactions;

} // namespace detail

/// A run as its handler sees it: the object, the run's identity, and what the handler may ask of
/// the engine.
///
/// A reference, cheap to copy, valid until the handler returns. Handlers take it as
/// `pawl::run<Order>& run`.
///
/// The object is the handler's own copy. It is saved when the handler moves, repeats, pauses or
/// ends the run, by checkpoint(), and by each new effect of once(). A failed attempt's changes
/// since then are discarded: the next attempt starts from what was saved last.
///
/// @par Thread Safety
/// Use it from the handler's own coroutine only.
template <class Object>
class run {
public:
    /// Made by the engine, and by tests with a context of their own.
    run(Object& object, detail::run_context& context) noexcept
        : object_(&object), context_(&context)
    {
    }

    /// The object of the run: the handler's own copy.
    Object& object() noexcept { return *object_; }
    const Object& object() const noexcept { return *object_; }

    /// The id of the run.
    run_id id() const noexcept { return context_->current().id; }

    /// The application's own name for the run, for example the order number. Valid while the
    /// handler runs.
    const std::string& foreign_id() const noexcept { return context_->current().foreign_id; }

    /// The name of the workflow. Valid while the handler runs.
    const std::string& workflow() const noexcept { return context_->current().workflow; }

    /// The status of the run: `run.status<OrderStatus>()`.
    template <class Status>
        requires std::is_enum_v<Status>
    Status status() const noexcept
    {
        return static_cast<Status>(context_->current().status);
    }

    /// The number of this attempt, from 1. Attempts are counted for a step in its visit and round,
    /// for a firing of a timeout, for the message of a callback; the count is stored and survives a
    /// restart.
    int attempt() const noexcept { return context_->attempt(); }

    /// The number of statuses that the run has entered so far, including this one.
    std::uint32_t visit() const noexcept { return context_->current().visit; }

    /// The wall-clock time of the engine's clock; with a shared store, of the store's clock, on
    /// which all engines agree. Use it instead of the system clock, so that tests can set the time.
    time_point now() const { return context_->now(); }

    /// Returns a key for an effect on another system: the same in each attempt and after a crash,
    /// and different for every other run, scope and name. Send it, for example, as the header
    /// `Idempotency-Key` of a request.
    ///
    /// The key is the text of the scope, then "/<name>". once() has the same scope, which depends
    /// on the handler:
    ///
    /// - step: the visit, and a new round after repeat_after(); "<run>/<status>.<visit>[.<round>]"
    /// - callback: the message, until it is settled; "<run>/m<message>"
    /// - timeout: the firing, and a new one after repeat_after();
    ///   "<run>/<status>.<visit>.t<n>[.<round>]", where n is a hash of the timeout's name.
    ///
    /// Rounds count from 1; the first one has no number. Example:
    /// "018f3c5e-7b7a-7cc0-9c4e-0d6a2f1b3c4d/2.2/charge".
    ///
    /// All attempts of a handler share its scope: failed ones, ones that a crash or a stop ended,
    /// and for a message also attempts in a later visit. So a step that polls with repeat_after()
    /// polls each time, and each of two callbacks "add_item" reserves its own item.
    std::string idempotency_key(std::string_view name) const
    {
        return detail::make_idempotency_key(*context_, name);
    }

    /// Returns a key that is the same in all visits and handlers of the run, "<run>/run/<name>":
    /// the key for effects of once_per_run().
    std::string idempotency_key_per_run(std::string_view name) const
    {
        return detail::make_idempotency_key_per_run(*context_, name);
    }

    /// Calls `fn` once in the handler's scope (see idempotency_key()) and stores its result; later
    /// calls return the stored result.
    ///
    /// @code
    /// const auto payment = co_await run.once("charge", [&] { return charge(services, order); });
    /// @endcode
    ///
    /// `fn` takes nothing and returns T or boost::asio::awaitable<T>; T is void or has a codec.
    /// `fn` is moved into the coroutine and lives as long as it, so a lambda with captures may
    /// itself be a coroutine. If an effect `name` was recorded in this scope, `fn` is not called.
    /// Two effects of one scope need two names.
    ///
    /// Several calls of once(), once_per_run() and checkpoint() may run concurrently in one
    /// handler, for example with the awaitable operators. Their functions run concurrently; what
    /// they save is ordered by when the functions end. Of two calls with one name the second waits
    /// for the first and returns its result, unless the first threw. `fn` must therefore not call
    /// once() with its own name. When a call cannot save, later calls of the handler fail too.
    ///
    /// Completes: when the result is durable. Returns the result as it will be read after a crash.
    /// Durability: the result is one commit with the object as it is when `fn` has returned. If a
    /// crash, a stop or a cancellation falls before that commit, the next attempt calls `fn` again:
    /// the effect happens at least once and is recorded once. With the idempotency key the other
    /// system can recognize a repetition.
    /// Errors: invalid_argument — `name` is empty (before `fn` is called); encode_failed — the
    /// result or the object cannot be written; decode_failed — the recorded result no longer fits
    /// T, which fails the handler without retries (give pawl::schema<T> an upgrade); too_large —
    /// the object or the run's effects exceed engine_options::max_object_size; conflict — the run
    /// was changed meanwhile; operation_aborted — the handler ignored its cancellation and was
    /// abandoned (before `fn` is called); a store_* code — the result could not be saved. An
    /// exception of `fn` is passed on, and nothing is recorded.
    /// Cancellation: terminal; passed on to `fn`.
    template <class Fn>
    auto once(std::string name, Fn fn)
        -> boost::asio::awaitable<typename detail::effect_result_of<Fn>::type>
    {
        return perform<typename detail::effect_result_of<Fn>::type>(
            *this, std::move(name), false, call_function<Fn>{std::move(fn)});
    }

    /// Calls `fn` once in the whole run and stores its result; later calls in any visit and handler
    /// return the stored result.
    ///
    /// `fn`, completion, durability, errors and cancellation are those of once(). The names are
    /// separate from those of once(). The results are kept with the run until its data is deleted
    /// or the run is removed: keep them few and small.
    template <class Fn>
    auto once_per_run(std::string name, Fn fn)
        -> boost::asio::awaitable<typename detail::effect_result_of<Fn>::type>
    {
        return perform<typename detail::effect_result_of<Fn>::type>(
            *this, std::move(name), true, call_function<Fn>{std::move(fn)});
    }

    /// Saves the object in the middle of a handler, as it is when the call is awaited.
    ///
    /// Durability: when it completes, an attempt after a crash or a failure starts from this
    /// object, in this status, at the beginning of the handler.
    /// Errors: encode_failed — the object cannot be written; too_large — it exceeds
    /// engine_options::max_object_size; conflict — the run was changed meanwhile; operation_aborted
    /// — the handler ignored its cancellation and was abandoned; a store_* code — the object could
    /// not be saved.
    boost::asio::awaitable<void> checkpoint() { return save(*this); }

    /// Sends a callback to a run of another workflow, once in the handler's scope (see
    /// idempotency_key()): a further attempt of the handler does not send it again, also if the run
    /// has finished meanwhile and its foreign id has another one.
    ///
    /// @code
    /// co_await run.send(parcels, "parcel-7", packed, {.weight = 1200});
    /// @endcode
    ///
    /// The definition of this workflow declares the other one, see builder::uses(). `receiver` is a
    /// run id or a foreign id. An idempotency key in the options distinguishes several callbacks of
    /// one name to one run. The callback is not sent if the handler fails before the call, and is
    /// not taken back if it fails afterwards. When retention removes a run that has the callback, a
    /// further attempt does not know that it was sent.
    ///
    /// Completes: when the callback is in the run's inbox.
    /// Durability: the callback is in the store and is handled even if this process dies, unless
    /// the run finishes first: then it is rejected.
    /// Errors: not_found — there is no such run; already_finished — the run has finished;
    /// no_such_callback — the workflow declares no callback of that name; inbox_full — the run has
    /// engine_options::max_pending_messages pending messages; invalid_argument — the workflow is
    /// not declared by builder::uses(), or the key of the options is longer than 768 bytes;
    /// too_large — the payload has more than engine_options::max_object_size; encode_failed — the
    /// codec cannot write the payload; overloaded — engine_options::max_waiting_calls calls wait
    /// for their commit; operation_aborted — the handler ignored its cancellation and was
    /// abandoned; a store_* code — the store failed.
    /// Cancellation: none.
    template <class TargetObject, class TargetStatus, class Payload>
    boost::asio::awaitable<void> send(const workflow_handle<TargetObject, TargetStatus>& target,
                                      run_ref receiver, const callback<Payload>& declaration,
                                      std::type_identity_t<Payload> payload,
                                      callback_options options = {})
    {
        return send_callback(*this, target.name(),
                             detail::make_callback_call(std::move(receiver), declaration.name(),
                                                        payload, std::move(options)));
    }

    /// The same with a callback that has no payload.
    template <class TargetObject, class TargetStatus>
    boost::asio::awaitable<void> send(const workflow_handle<TargetObject, TargetStatus>& target,
                                      run_ref receiver, const callback<void>& declaration,
                                      callback_options options = {})
    {
        return send_callback(*this, target.name(),
                             detail::make_callback_call(std::move(receiver), declaration.name(),
                                                        bytes{}, std::move(options)));
    }

    /// Starts a run of another workflow as a child of this run, once in the handler's scope (see
    /// idempotency_key()): a further attempt of the handler returns the child that was started.
    ///
    /// @code
    /// co_await run.start(parcels, "parcel-7", parcel{1200}, {.on_end = parcel_ended});
    /// @endcode
    ///
    /// A child is an ordinary run that knows its parent. When it has finished, its end is left in
    /// the inbox of this run, exactly once, if the options name a callback for it and this run has
    /// not finished. When this run is cancelled, its children continue or are cancelled too, as the
    /// options say; when it completes, they continue. The definition of this workflow declares the
    /// other one, or itself, see builder::uses(). The child belongs to the trace of this run.
    ///
    /// The end waits in the inbox like any callback: until this run is in a status that declares
    /// the callback, also while the run is paused. If its handler fails for good, the end becomes a
    /// dead letter. When retention removes a child, a further attempt of the handler starts another
    /// one: retention_options::keep of the child must exceed the time in which the handler is
    /// retried.
    ///
    /// Nothing is recorded in this run: any number of children may be started. Each start waits for
    /// its commit; several may run concurrently in one handler, and then share commits.
    ///
    /// Completes: when the child is stored. Returns its id.
    /// Durability: the child is in the store and is driven to its end, even if this process dies.
    /// Errors: already_running — the foreign id has an unfinished run that this handler has not
    /// started in this scope; invalid_argument — the workflow is not declared by builder::uses() or
    /// only as a foreign one by its handle, this workflow does not declare the callback, the
    /// foreign id is empty or longer than 1,024 bytes, or the key of the options is longer than 768
    /// bytes; invalid_status, too_large, encode_failed, decode_failed — as client::async_trigger();
    /// overloaded — engine_options::max_waiting_calls calls wait for their commit;
    /// operation_aborted — the handler ignored its cancellation and was abandoned; a store_* code —
    /// the store failed.
    /// Cancellation: none.
    template <class ChildObject, class ChildStatus>
    boost::asio::awaitable<run_id> start(const workflow_handle<ChildObject, ChildStatus>& target,
                                         std::string foreign_id,
                                         const std::type_identity_t<ChildObject>& object,
                                         child_options<ChildObject, ChildStatus> options = {})
    {
        detail::trigger_call call;
        call.foreign_id = std::move(foreign_id);
        if (options.start)
            call.status = static_cast<int>(*options.start);
        call.early = detail::encode_into(object, call.object);
        call.key = std::move(options.idempotency_key);
        call.parent.emplace().on_cancel = options.on_parent_cancel;
        if (options.on_end)
            call.parent->callback = options.on_end->name();
        return start_child(*this, target.name(), std::move(call));
    }

    /// Counts the children of this run by run state. Does not read the children.
    ///
    /// A child whose end this run has received is counted as finished. Children that retention has
    /// removed are not counted.
    ///
    /// Errors: a store_* code — the store failed.
    /// Cancellation: none.
    boost::asio::awaitable<child_counts> children() { return context_->count_children(); }

    /// Returns the W3C trace context of this attempt: the header `traceparent` for requests of the
    /// handler.
    ///
    /// Its trace is the one of trigger_options::trace_parent, or one of the run; see trace_policy.
    /// Its span belongs to this attempt. An attempt that is made again has another one.
    std::string trace_parent() const { return detail::trace_parent_of(*context_); }

    /// Writes a line to the engine's log, with the fields of the run.
    void log(log_level level, std::string_view text) const { context_->log(level, text); }

private:
    std::string encoded() const
    {
        std::string bytes;
        codec<Object>::encode(*object_, bytes);
        return bytes;
    }

    static boost::asio::awaitable<void> send_callback(run self, std::string workflow,
                                                      detail::send_call call)
    {
        call.key = detail::make_send_key(*self.context_, call.key);
        co_await self.context_->send(std::move(workflow), std::move(call));
    }

    static boost::asio::awaitable<run_id> start_child(run self, std::string workflow,
                                                      detail::trigger_call call)
    {
        call.key = detail::make_start_key(*self.context_, call.key);
        call.parent->run = self.id();
        call.trace_parent = self.trace_parent();
        const auto child = co_await self.context_->start(std::move(workflow), std::move(call));
        co_return child;
    }

    static boost::asio::awaitable<void> save(run self)
    {
        co_await self.context_->checkpoint(self.encoded());
    }

    /// Returns the recorded result, or that of `make(self, added, stored)`, which performs the
    /// effect, records it as `added`, and puts its result into `stored`.
    template <class Result, class Make>
    static auto perform(run self, std::string name, bool for_run, Make make)
        -> boost::asio::awaitable<Result>
    {
        detail::check_effect_name(name);
        auto& context = *self.context_;
        const effect* known = detail::find_effect(context, name, for_run);
        while (!known && !context.begin_effect(name, for_run)) {
            co_await context.effect_ended();
            known = detail::find_effect(context, name, for_run);
        }
        if constexpr (!std::is_void_v<Result>)
            static_assert(codable<Result>,
                          "Pawl has no codec for this effect's result: describe it with "
                          "BOOST_DESCRIBE_STRUCT or BOOST_DESCRIBE_ENUM, or specialise "
                          "pawl::json_codec");
        detail::given_result<Result> stored;
        if (!known) {
            effect added{name, {}, for_run, 1, for_run ? 0 : context.handler_number()};
            try {
                co_await make(self, std::move(added), stored);
            } catch (...) {
                context.end_effect(name, for_run);
                throw;
            }
            context.end_effect(name, for_run);
        }
        if constexpr (!std::is_void_v<Result>) {
            if (known)
                co_return detail::decode_effect<Result>(*known);
            co_return std::move(*stored);
        }
    }

    /// Adds a result to its effect, and reads it back: what is recorded must be readable.
    template <class Result, class Stored>
    static void add_result(effect& added, const Result& given, std::optional<Stored>& stored)
    {
        codec<Result>::encode(given, added.value);
        added.version = schema<Result>::version;
        stored.emplace(detail::decode_effect<Result>(added));
    }

    /// Calls a function of once().
    template <class Fn>
    struct call_function {
        Fn fn;

        /// This object is in the frame of perform(), which waits for the coroutine.
        template <class Stored>
        auto operator()(run self, effect added, std::optional<Stored>& stored)
            -> boost::asio::awaitable<void>
        {
            using traits = detail::effect_result_of<Fn>;
            using result = typename traits::type;
            if constexpr (std::is_void_v<result>) {
                if constexpr (traits::awaited)
                    co_await fn();
                else
                    fn();
                stored.emplace();
            } else if constexpr (traits::awaited) {
                const result given = co_await fn();
                add_result<result>(added, given, stored);
            } else {
                add_result<result>(added, fn(), stored);
            }
            co_await self.context_->record_effect(std::move(added), self.encoded());
        }
    };

    friend struct detail::transactions;

    Object* object_;
    detail::run_context* context_;
};

} // namespace pawl
