#pragma once

#include "pawl/codec.hpp"
#include "pawl/detail/run_context.hpp"
#include "pawl/log.hpp"
#include "pawl/record.hpp"
#include "pawl/run_id.hpp"
#include "pawl/time.hpp"

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

/// The recorded effect of the context's handler, or of its run; nullptr when there is none.
const effect* find_effect(const run_context& context, std::string_view name, bool for_run) noexcept;

std::string make_idempotency_key(const run_context& context, std::string_view name);

/// "<run id>/run/<name>"
std::string make_idempotency_key_per_run(const run_context& context, std::string_view name);

std::string trace_parent_of(const run_context& context);

/// A recorded effect that its type no longer fits. No attempt of the same program can read it.
class unreadable_effect : public error {
public:
    unreadable_effect(const std::string& name, const std::exception& why);
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

/// A run in the hands of a handler: its object, its identity, and what it may ask of the engine.
///
/// A reference, cheap to copy, valid until the handler returns. Handlers take it as
/// `pawl::run<Order>& run`.
///
/// The object is the handler's own copy. It is saved when the handler moves the run, repeats or
/// pauses it, at checkpoint(), and with each once(); what a failed attempt did to it since then is
/// forgotten, so the next attempt starts from what was saved last.
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

    Object& object() noexcept { return *object_; }
    const Object& object() const noexcept { return *object_; }

    run_id id() const noexcept { return context_->current().id; }

    /// The caller's own key, e.g. the order number. Valid, as a reference or a view, for as long as
    /// the handler runs.
    const std::string& foreign_id() const noexcept { return context_->current().foreign_id; }

    /// The workflow's name, valid as long as foreign_id().
    const std::string& workflow() const noexcept { return context_->current().workflow; }

    /// The status that the run stands in: `run.status<OrderStatus>()`.
    template <class Status>
        requires std::is_enum_v<Status>
    Status status() const noexcept
    {
        return static_cast<Status>(context_->current().status);
    }

    /// Which attempt of this step or timeout this is, in this scope: 1 is the first, and all of a
    /// callback. Counted in the store, so it goes on after a restart.
    int attempt() const noexcept { return context_->attempt(); }

    /// How many statuses the run has entered so far, this one included.
    std::uint32_t visit() const noexcept { return context_->current().visit; }

    /// Wall-clock time of the engine's clock; in a shared store of the store's, which all engines
    /// agree on. Use it instead of the system's, so that tests can set the time too.
    time_point now() const { return context_->now(); }

    /// A key for an outside effect: the same at each attempt and after a crash, and unlike that of
    /// any other run, scope or name. Send it as the `Idempotency-Key` of a request.
    ///
    /// once() and idempotency_key() have the same scope, which depends on the handler. The key is
    /// the scope's text, then "/<name>":
    ///
    /// - of a step: the visit, and after repeat_after() a new round;
    ///   "<run>/<status>.<visit>[.<round>]"
    /// - of a callback: the message, until it is settled; "<run>/m<message>"
    /// - of a timeout: the firing, and after repeat_after() a new one;
    ///   "<run>/<status>.<visit>.t<n>[.<round>]", where n is a number made of the timeout's name.
    ///
    /// All attempts of a handler share its scope: failed ones, ones that a crash or a stop ended,
    /// and for a message also those of a later visit. So a step that polls with repeat_after()
    /// polls each time, and each of two callbacks "add_item" reserves its own item.
    ///
    /// Example: "018f3c5e-7b7a-7cc0-9c4e-0d6a2f1b3c4d/2.2/charge". Rounds count from 1 behind the
    /// first, which has no number.
    std::string idempotency_key(std::string_view name) const
    {
        return detail::make_idempotency_key(*context_, name);
    }

    /// As idempotency_key(), but the same in each visit and handler of the run: for what
    /// once_per_run() does. "<run>/run/<name>".
    std::string idempotency_key_per_run(std::string_view name) const
    {
        return detail::make_idempotency_key_per_run(*context_, name);
    }

    /// Does something outside once in the handler's scope (see idempotency_key()), and remembers
    /// what came of it.
    ///
    /// @code
    /// const auto payment = co_await run.once("charge", [&] { return charge(services, order); });
    /// @endcode
    ///
    /// `fn` takes nothing and returns T or boost::asio::awaitable<T>; T is void or has a codec. It
    /// is moved into the coroutine and lives as long as that, so a capturing lambda may itself be
    /// a coroutine. If an effect of this name was recorded in this scope, its result is decoded and
    /// returned and `fn` is not called. Otherwise `fn` is called, and its result is recorded.
    ///
    /// A name stands for one effect of the scope: two effects need two names. If `fn` throws,
    /// nothing is recorded and the exception goes on to the caller.
    ///
    /// Several calls of once(), once_per_run() and checkpoint() may be under way in one handler,
    /// for example with the awaitable operators. Their functions run beside each other; what they
    /// save is as if one had saved after the other, in the order in which the functions ended. Of
    /// two with one name the second waits for the first, and returns its result unless that threw.
    /// So `fn` must not call once() with its own name. When one cannot save, those that follow it
    /// in the handler fail, too.
    ///
    /// Completes when the result is durable, and returns it as it will be read after a crash.
    ///
    /// Durability: the result is one commit together with the object as it is when `fn` has
    /// returned. Until that commit a crash, a stop of the engine or an interruption of the step
    /// makes the next attempt call `fn` again: the effect happens at least once, and is recorded
    /// once. Give the outside the idempotency key, and it can tell a repetition.
    ///
    /// Cancellation: terminal, passed on to `fn`.
    ///
    /// Errors: invalid_argument for an empty name, before `fn` is called; encode_failed when result
    /// or object cannot be written, after it; decode_failed when the recorded bytes do not fit T
    /// any longer, which pauses the run without further attempts: give pawl::schema<T> an upgrade;
    /// conflict or a store_* code when the result could not be saved; operation_aborted, before
    /// `fn` is called, in a handler that did not react to its cancellation in time and was left
    /// behind.
    template <class Fn>
    auto once(std::string name, Fn fn)
        -> boost::asio::awaitable<typename detail::effect_result_of<Fn>::type>
    {
        return perform<typename detail::effect_result_of<Fn>::type>(
            *this, std::move(name), false, call_function<Fn>{std::move(fn)});
    }

    /// As once(), but remembered for the whole run: no later visit of this or another status does
    /// it again. Its names are apart from those of once().
    ///
    /// The results are stored with the run until it is deleted; keep them few and small.
    template <class Fn>
    auto once_per_run(std::string name, Fn fn)
        -> boost::asio::awaitable<typename detail::effect_result_of<Fn>::type>
    {
        return perform<typename detail::effect_result_of<Fn>::type>(
            *this, std::move(name), true, call_function<Fn>{std::move(fn)});
    }

    /// Saves the object in the middle of a handler, as it is when the call is awaited.
    ///
    /// Durability: when it completes, a crash resumes with this object, in this status, and the
    /// handler starts from its beginning.
    ///
    /// Errors: encode_failed when the object cannot be written; conflict or a store_* code when it
    /// could not be saved; operation_aborted as in once().
    boost::asio::awaitable<void> checkpoint() { return save(*this); }

    /// The W3C trace context of this attempt: give it to what it calls, as the header
    /// `traceparent`.
    ///
    /// Its trace is the one that the trigger named (trigger_options::trace_parent); without that,
    /// one that has the run's id. Its span is the attempt's own, the same after a crash.
    std::string trace_parent() const { return detail::trace_parent_of(*context_); }

    /// Writes a line to the engine's log, with the run's name added.
    void log(log_level level, std::string_view text) const { context_->log(level, text); }

private:
    std::string encoded() const
    {
        std::string bytes;
        codec<Object>::encode(*object_, bytes);
        return bytes;
    }

    static boost::asio::awaitable<void> save(run self)
    {
        co_await self.context_->checkpoint(self.encoded());
    }

    /// The recorded result, or that of `make(self, done, made)`, which makes the effect, records it
    /// as `done` says, and puts its result in `made`.
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
        detail::given_result<Result> made;
        if (!known) {
            effect done{name, {}, for_run, 1, for_run ? 0 : context.handler_number()};
            try {
                co_await make(self, std::move(done), made);
            } catch (...) {
                context.end_effect(name, for_run);
                throw;
            }
            context.end_effect(name, for_run);
        }
        if constexpr (!std::is_void_v<Result>) {
            if (known)
                co_return detail::decode_effect<Result>(*known);
            co_return std::move(*made);
        }
    }

    /// Adds a result to its effect, and reads it back: what is recorded must be readable.
    template <class Result, class Made>
    static void add_result(effect& done, const Result& given, std::optional<Made>& made)
    {
        codec<Result>::encode(given, done.value);
        done.version = schema<Result>::version;
        made.emplace(detail::decode_effect<Result>(done));
    }

    /// Calls a function of once().
    template <class Fn>
    struct call_function {
        Fn fn;

        /// It stands in the frame of perform(), which waits for this.
        template <class Made>
        auto operator()(run self, effect done, std::optional<Made>& made)
            -> boost::asio::awaitable<void>
        {
            using traits = detail::effect_result_of<Fn>;
            using result = typename traits::type;
            if constexpr (std::is_void_v<result>) {
                if constexpr (traits::awaited)
                    co_await fn();
                else
                    fn();
                made.emplace();
            } else if constexpr (traits::awaited) {
                const result given = co_await fn();
                add_result<result>(done, given, made);
            } else {
                add_result<result>(done, fn(), made);
            }
            co_await self.context_->record_effect(std::move(done), self.encoded());
        }
    };

    friend struct detail::transactions;

    Object* object_;
    detail::run_context* context_;
};

} // namespace pawl
