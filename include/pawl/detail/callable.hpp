#pragma once

#include "pawl/detail/exception_text.hpp"
#include "pawl/detail/handlers.hpp"
#include "pawl/run.hpp"
#include "pawl/step.hpp"

#include <boost/asio/awaitable.hpp>

#include <concepts>
#include <exception>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

/// How the typed layer inspects and calls the user's functions.
namespace pawl::detail {

/// The type of the second parameter of a function, or of a functor with one call operator that is
/// not a template.
template <class Fn>
struct second_parameter {};

template <class Result, class First, class Second, bool Noexcept>
struct second_parameter<Result (*)(First, Second) noexcept(Noexcept)> {
    using type = Second;
};

template <class Class, class Result, class First, class Second, bool Noexcept>
struct second_parameter<Result (Class::*)(First, Second) const noexcept(Noexcept)> {
    using type = Second;
};

template <class Fn>
    requires requires { &Fn::operator(); }
struct second_parameter<Fn> : second_parameter<decltype(&Fn::operator())> {};

template <class Fn>
concept has_second_parameter = requires { typename second_parameter<Fn>::type; };

template <class Fn>
using payload_of = std::remove_cvref_t<typename second_parameter<Fn>::type>;

/// The number that an enumerator is stored as.
template <class Status, auto Enumerator>
constexpr int status_number()
{
    static_assert(std::is_same_v<decltype(Enumerator), Status>,
                  "this status is not an enumerator of the workflow's Status");
    constexpr auto number = static_cast<std::underlying_type_t<decltype(Enumerator)>>(Enumerator);
    static_assert(std::in_range<int>(number), "Pawl stores a status as an int");
    return static_cast<int>(number);
}

/// True for a pawl::step<…>.
template <class Result>
inline constexpr bool is_step = false;

template <auto... Statuses>
inline constexpr bool is_step<step<Statuses...>> = true;

/// The statuses in a handler's return type.
template <class Status, class Step>
struct destinations;

template <class Status, auto... Statuses>
struct destinations<Status, step<Statuses...>> {
    static std::vector<int> list() { return {status_number<Status, Statuses>()...}; }
};

/// Functions are held by a shared pointer, which the coroutines that call them hold too: a lambda
/// that is itself a coroutine keeps its captures until it ends.
template <class Fn>
using kept = std::shared_ptr<const Fn>;

template <class Object, class Fn>
boost::asio::awaitable<next_value> call_handler(kept<Fn> fn, object_ptr object,
                                                run_context& context)
{
    run<Object> current{*static_cast<Object*>(object.get()), context};
    auto outcome = co_await (*fn)(current);
    co_return std::move(outcome).value();
}

/// Decodes the payload of a callback. A payload that a newer program wrote is passed on as
/// program_too_old.
template <class Payload>
Payload decode_payload(const std::string& bytes, std::uint32_t version)
{
    try {
        return decode_stored<Payload>(bytes, version, "the callback's payload");
    } catch (const std::exception& e) {
        if (is_too_old(e))
            throw;
        throw unreadable_payload(errc::decode_failed, exception_text(std::current_exception()));
    } catch (...) {
        throw unreadable_payload(errc::decode_failed, exception_text(std::current_exception()));
    }
}

template <class Object, class Payload, class Fn>
boost::asio::awaitable<next_value> call_callback(kept<Fn> fn, object_ptr object,
                                                 run_context& context, std::string bytes)
{
    run<Object> current{*static_cast<Object*>(object.get()), context};
    Payload payload = decode_payload<Payload>(bytes, context.payload_version());
    auto outcome = co_await (*fn)(current, std::move(payload));
    co_return std::move(outcome).value();
}

template <class Snapshot, class Fn>
boost::asio::awaitable<void> call_hook(kept<Fn> fn, Snapshot seen)
{
    co_await (*fn)(seen);
}

template <class Snapshot, class Fn>
boost::asio::awaitable<void> call_hook(kept<Fn> fn, event committed, Snapshot seen)
{
    co_await (*fn)(committed, seen);
}

template <class Object, class Fn>
handler make_handler(const kept<Fn>& fn)
{
    return [fn](const object_ptr& object, run_context& context) {
        return call_handler<Object, Fn>(fn, object, context);
    };
}

template <class Object, class Payload, class Fn>
callback_handler make_callback(const kept<Fn>& fn)
{
    if constexpr (std::is_void_v<Payload>)
        return [fn](const object_ptr& object, run_context& context, std::string_view) {
            return call_handler<Object, Fn>(fn, object, context);
        };
    else
        return [fn](const object_ptr& object, run_context& context, std::string_view bytes) {
            return call_callback<Object, Payload, Fn>(fn, object, context, std::string{bytes});
        };
}

template <class Object, class When>
timer_function make_timer(const kept<When>& when)
{
    return [when](const object_ptr& object, run_context& context) {
        const run<Object> current{*static_cast<Object*>(object.get()), context};
        return std::optional<time_point>{(*when)(current)};
    };
}

/// True for a duration that is not above zero; false for other types.
template <class When>
constexpr bool is_no_span(const When& when)
{
    if constexpr (std::is_convertible_v<When, any_duration>)
        return any_duration{when} <= any_duration{duration::zero()};
    else
        return false;
}

/// Due when `span` has passed since the visit began.
timer_function make_timer(duration span);

/// Due at a fixed time.
timer_function make_timer(time_point due);

} // namespace pawl::detail
