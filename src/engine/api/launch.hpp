// How a call of a client becomes a coroutine that ends in its handler.
#pragma once

#include "async/complete.hpp"
#include "engine/api/engine_core.hpp"
#include "engine/run/exception_info.hpp"

#include <string>
#include <type_traits>
#include <utility>

namespace pawl::detail {

/// Throws error (invalid_argument) unless `text` can name something: a foreign id, a key, somebody.
void check_name(const std::string& text, bool may_be_empty, const char* what);

/// Says that no run can start in the status.
std::string no_start_text(const workflow_impl& workflow, int status);

template <class T, class Given>
void engine_core::launch(boost::asio::awaitable<Given> work, completion<T> done)
{
    if (admits() && tasks_.enter())
        tasks_.start(shared_.executor, finish(std::move(work), std::move(done)));
    else
        async::complete(shared_.executor, std::move(done), make_error_code(errc::not_running), T{});
}

template <class T, class Given>
boost::asio::awaitable<void> engine_core::finish(boost::asio::awaitable<Given> work,
                                                 completion<T> done)
{
    // The caller may drop its client and the engine object while the call is under way.
    const auto alive = shared_from_this();
    failure result;
    T value{};
    try {
        auto given = co_await std::move(work);
        if constexpr (std::is_same_v<Given, T>)
            value = std::move(given);
        else if (given)
            value = std::move(*given);
        else
            result = given.error();
    } catch (...) {
        result = failure_of(std::current_exception());
    }
    async::complete(shared_.executor, std::move(done), std::move(result), std::move(value));
}

} // namespace pawl::detail
