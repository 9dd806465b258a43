// How a call of a client becomes a coroutine that ends in its handler.
#pragma once

#include "engine/complete.hpp"
#include "engine/engine_core.hpp"
#include "engine/error_text.hpp"

#include <utility>

namespace pawl::detail {

template <class T>
void engine_core::launch(boost::asio::awaitable<T> work, completion<T> done)
{
    if (running() && gate_.enter())
        gate_.start(shared_.executor, finish(std::move(work), std::move(done)));
    else
        engine_detail::complete(shared_.executor, std::move(done),
                                make_error_code(errc::not_running), T{});
}

template <class T>
boost::asio::awaitable<void> engine_core::finish(boost::asio::awaitable<T> work, completion<T> done)
{
    // The caller may drop its client and the engine object while the call is under way.
    const auto alive = shared_from_this();
    error_code result;
    T value{};
    try {
        value = co_await std::move(work);
    } catch (...) {
        result = engine_detail::error_code_of(std::current_exception());
    }
    engine_detail::complete(shared_.executor, std::move(done), result, std::move(value));
}

} // namespace pawl::detail
