#pragma once

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>

#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

namespace pawl::async {

/// A call of a completion handler, in one place until the end: results may be large, and are on
/// their way in several hops.
template <class... Results>
struct completing {
    boost::asio::any_completion_handler<void(Results...)> handler;
    std::tuple<Results...> values;

    /// Through the handler's associated executor, or `fallback`; inside this call if that allows.
    static void run(std::unique_ptr<completing> made, const boost::asio::any_io_executor& fallback)
    {
        auto executor = boost::asio::get_associated_executor(made->handler, fallback);
        boost::asio::dispatch(executor, [made = std::move(made)]() mutable {
            auto ready = std::move(*made);
            made.reset();
            std::apply([&](Results&... value) { std::move(ready.handler)(std::move(value)...); },
                       ready.values);
        });
    }
};

/// As complete(), from a function that the executor called: maybe inside this call.
template <class... Results>
void complete_here(const boost::asio::any_io_executor& fallback,
                   boost::asio::any_completion_handler<void(Results...)> handler,
                   std::type_identity_t<Results>... results)
{
    using call = completing<Results...>;
    call::run(
        std::make_unique<call>(std::move(handler), std::tuple<Results...>(std::move(results)...)),
        fallback);
}

/// Calls a completion handler through its associated executor (`fallback` if it has none), never
/// inside the caller. Boost 1.81 cannot post to the executor of an any_completion_handler, so the
/// call goes through a post to `fallback`.
template <class... Results>
void complete(const boost::asio::any_io_executor& fallback,
              boost::asio::any_completion_handler<void(Results...)> handler,
              std::type_identity_t<Results>... results)
{
    using call = completing<Results...>;
    auto made =
        std::make_unique<call>(std::move(handler), std::tuple<Results...>(std::move(results)...));
    boost::asio::post(fallback, [made = std::move(made), fallback]() mutable {
        call::run(std::move(made), fallback);
    });
}

} // namespace pawl::async
