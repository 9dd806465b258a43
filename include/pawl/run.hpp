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
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

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

/// The recorded effect; nullptr when there is none.
const effect* find_effect(const record& where, std::string_view name, bool for_run) noexcept;

/// "<run id>/<status>.<visit>/<name>"
std::string make_idempotency_key(const record& where, std::string_view name);

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

    /// The caller's own key, e.g. the order number.
    const std::string& foreign_id() const noexcept { return context_->current().foreign_id; }

    /// The workflow's name.
    const std::string& workflow() const noexcept { return context_->current().workflow; }

    /// The status that the run stands in: `run.status<OrderStatus>()`.
    template <class Status>
        requires std::is_enum_v<Status>
    Status status() const noexcept
    {
        return static_cast<Status>(context_->current().status);
    }

    /// Which attempt of this step or timeout this is, in this visit: 1 is the first, and all of a
    /// callback. Counted in the store, so it goes on after a restart.
    int attempt() const noexcept { return context_->attempt(); }

    /// How many statuses the run has entered so far, this one included.
    std::uint32_t visit() const noexcept { return context_->current().visit; }

    /// Wall-clock time of the engine's clock; in a shared store of the store's, which all engines
    /// agree on. Use it instead of the system's, so that tests can set the time too.
    time_point now() const { return context_->now(); }

    /// A key for an outside effect of this visit: the same at each attempt and after a crash, and
    /// unlike that of any other run, visit or name. Send it as the `Idempotency-Key` of a request.
    ///
    /// The text is "<run id>/<status number>.<visit>/<name>", e.g.
    /// "018f3c5e-7b7a-7cc0-9c4e-0d6a2f1b3c4d/2.2/charge".
    std::string idempotency_key(std::string_view name) const
    {
        return detail::make_idempotency_key(context_->current(), name);
    }

    /// Does something outside once in this visit, and remembers what came of it.
    ///
    /// @code
    /// const auto payment = co_await run.once("charge", [&] { return charge(services, order); });
    /// @endcode
    ///
    /// `fn` takes nothing and returns T or boost::asio::awaitable<T>; T is void or has a codec. It
    /// is moved into the coroutine and lives as long as that, so a capturing lambda may itself be
    /// a coroutine. If an effect of this name was recorded in this visit, its result is decoded and
    /// returned and `fn` is not called. Otherwise `fn` is called, and its result is recorded.
    ///
    /// A name stands for one effect of the visit: two effects need two names. If `fn` throws,
    /// nothing is recorded and the exception goes on to the caller.
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
    /// any longer, which pauses the run without further attempts: give pawl::schema<T> an upgrade.
    template <class Fn>
    auto once(std::string name, Fn fn)
        -> boost::asio::awaitable<typename detail::effect_result_of<Fn>::type>
    {
        return perform(*this, std::move(name), std::move(fn), false);
    }

    /// As once(), but remembered for the whole run: no later visit of this or another status does
    /// it again. Its names are apart from those of once().
    ///
    /// The results are stored with the run until it is deleted; keep them few and small.
    template <class Fn>
    auto once_per_run(std::string name, Fn fn)
        -> boost::asio::awaitable<typename detail::effect_result_of<Fn>::type>
    {
        return perform(*this, std::move(name), std::move(fn), true);
    }

    /// Saves the object in the middle of a handler.
    ///
    /// Durability: when it completes, a crash resumes with this object, in this status, and the
    /// handler starts from its beginning.
    ///
    /// Errors: encode_failed when the object cannot be written.
    boost::asio::awaitable<void> checkpoint() { return context_->checkpoint(encoded()); }

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

    template <class Fn>
    static auto perform(run self, std::string name, Fn fn, bool for_run)
        -> boost::asio::awaitable<typename detail::effect_result_of<Fn>::type>
    {
        using traits = detail::effect_result_of<Fn>;
        using result = typename traits::type;
        detail::check_effect_name(name);
        const auto* known = detail::find_effect(self.context_->current(), name, for_run);
        if constexpr (std::is_void_v<result>) {
            if (known)
                co_return;
            if constexpr (traits::awaited)
                co_await fn();
            else
                fn();
            effect done{std::move(name), {}, for_run, 1};
            co_await self.context_->record_effect(std::move(done), self.encoded());
        } else {
            static_assert(codable<result>,
                          "Pawl has no codec for this effect's result: describe it with "
                          "BOOST_DESCRIBE_STRUCT or BOOST_DESCRIBE_ENUM, or specialise "
                          "pawl::json_codec");
            if (known)
                co_return detail::decode_effect<result>(*known);
            std::string value;
            if constexpr (traits::awaited) {
                const result made = co_await fn();
                codec<result>::encode(made, value);
            } else {
                codec<result>::encode(fn(), value);
            }
            effect done{std::move(name), std::move(value), for_run, schema<result>::version};
            result recorded = detail::decode_effect<result>(done);
            co_await self.context_->record_effect(std::move(done), self.encoded());
            co_return recorded;
        }
    }

    Object* object_;
    detail::run_context* context_;
};

} // namespace pawl
