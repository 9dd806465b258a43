// How an operation of Pawl's begins: what its completion token gets when it fails.
#pragma once

#include "pawl/detail/failure.hpp"
#include "pawl/with_detail.hpp"

#include <boost/asio/associator.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>

#include <string>
#include <type_traits>
#include <utility>

namespace pawl::detail {

/// Tokens whose results are thrown: they are given the exception, which has the detail.
template <class Token>
inline constexpr bool throws = false;
template <class Executor>
inline constexpr bool throws<boost::asio::use_awaitable_t<Executor>> = true;
template <class Allocator>
inline constexpr bool throws<boost::asio::use_future_t<Allocator>> = true;
template <class Token, class Slot>
inline constexpr bool throws<boost::asio::cancellation_slot_binder<Token, Slot>> = throws<Token>;
template <class Token, class Executor>
inline constexpr bool throws<boost::asio::executor_binder<Token, Executor>> = throws<Token>;
template <class Token, class Allocator>
inline constexpr bool throws<boost::asio::allocator_binder<Token, Allocator>> = throws<Token>;

template <class Token>
inline constexpr bool stores_detail = false;
template <class Token>
inline constexpr bool stores_detail<with_detail_t<Token>> = true;

/// Passes a failure on as an exception.
template <class Handler>
struct exception_handler {
    Handler handler;

    template <class... Results>
    void operator()(const failure& result, Results&&... values)
    {
        std::move(handler)(exception_of(result), std::forward<Results>(values)...);
    }
};

/// Passes a failure on as its code, and stores its detail if that is wanted.
template <class Handler>
struct code_handler {
    Handler handler;
    std::string* detail = nullptr;

    template <class... Results>
    void operator()(failure result, Results&&... values)
    {
        if (detail)
            *detail = std::move(result.detail);
        std::move(handler)(result.code, std::forward<Results>(values)...);
    }
};

/// As boost::asio::async_initiate: calls `start` with a handler of signature `void(failure,
/// Results...)` and with `arguments`.
template <class Token, class... Results, class Start, class... Arguments>
auto initiate(Start start, std::remove_reference_t<Token>& token, Arguments&&... arguments)
{
    using token_type = std::remove_cvref_t<Token>;
    if constexpr (throws<token_type>) {
        return boost::asio::async_initiate<Token, void(std::exception_ptr, Results...)>(
            [start](auto done, auto... values) {
                start(exception_handler<decltype(done)>{std::move(done)}, std::move(values)...);
            },
            token, std::forward<Arguments>(arguments)...);
    } else if constexpr (stores_detail<token_type>) {
        using inner = decltype(token_type::token);
        return boost::asio::async_initiate<inner, void(error_code, Results...)>(
            [start](auto done, std::string* detail, auto... values) {
                start(code_handler<decltype(done)>{std::move(done), detail}, std::move(values)...);
            },
            token.token, token.detail, std::forward<Arguments>(arguments)...);
    } else {
        return boost::asio::async_initiate<Token, void(error_code, Results...)>(
            [start](auto done, auto... values) {
                start(code_handler<decltype(done)>{std::move(done)}, std::move(values)...);
            },
            token, std::forward<Arguments>(arguments)...);
    }
}

} // namespace pawl::detail

template <template <class, class> class Associator, class Handler, class DefaultCandidate>
struct boost::asio::associator<Associator, pawl::detail::exception_handler<Handler>,
                               DefaultCandidate> : Associator<Handler, DefaultCandidate> {
    static auto get(const pawl::detail::exception_handler<Handler>& wrapper,
                    const DefaultCandidate& candidate = DefaultCandidate()) noexcept
    {
        return Associator<Handler, DefaultCandidate>::get(wrapper.handler, candidate);
    }
};

template <template <class, class> class Associator, class Handler, class DefaultCandidate>
struct boost::asio::associator<Associator, pawl::detail::code_handler<Handler>, DefaultCandidate>
    : Associator<Handler, DefaultCandidate> {
    static auto get(const pawl::detail::code_handler<Handler>& wrapper,
                    const DefaultCandidate& candidate = DefaultCandidate()) noexcept
    {
        return Associator<Handler, DefaultCandidate>::get(wrapper.handler, candidate);
    }
};
