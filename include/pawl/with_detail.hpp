#pragma once

#include <string>
#include <type_traits>
#include <utility>

namespace pawl {

/// A completion token that stores the detail of an error. Made by with_detail().
template <class Token>
struct with_detail_t {
    std::string* detail;
    Token token;
};

/// Lets an operation of a client, a schedule or an engine complete through `token`, after it has
/// stored in `detail` what its error code cannot say: which argument, which value, which limit, the
/// database's own words. `detail` is emptied when there is no more to say, and on success.
///
/// A coroutine that awaits with use_awaitable needs no such token: the exception that it gets is a
/// pawl::error, which has the detail.
///
/// @code
/// std::string detail;
/// const auto [code, run] = co_await orders.async_trigger(
///     id, order, {}, pawl::with_detail(detail,
///     boost::asio::as_tuple(boost::asio::use_awaitable)));
/// if (code)
///     spdlog::warn("{}: {}", code.message(), detail);
/// @endcode
///
/// Lifetime: `detail` must live until the operation has completed.
template <class Token>
with_detail_t<std::decay_t<Token>> with_detail(std::string& detail, Token&& token)
{
    return {&detail, std::forward<Token>(token)};
}

} // namespace pawl
