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

/// A completion handler and its results. They are allocated once, because results may be large and
/// pass through several executors.
template <class... Results>
struct pending_completion {
    boost::asio::any_completion_handler<void(Results...)> handler;
    std::tuple<Results...> values;

    /// Dispatches to the handler's associated executor, or to `fallback` if it has none.
    static void run(std::unique_ptr<pending_completion> pending,
                    const boost::asio::any_io_executor& fallback)
    {
        auto executor = boost::asio::get_associated_executor(pending->handler, fallback);
        boost::asio::dispatch(executor, [pending = std::move(pending)]() mutable {
            auto ready = std::move(*pending);
            pending.reset(); // the memory is free before the handler runs
            std::apply([&](Results&... value) { std::move(ready.handler)(std::move(value)...); },
                       ready.values);
        });
    }
};

/// Calls a completion handler, possibly inside this call. The caller must be a function that
/// `fallback` called.
template <class... Results>
void complete_here(const boost::asio::any_io_executor& fallback,
                   boost::asio::any_completion_handler<void(Results...)> handler,
                   std::type_identity_t<Results>... results)
{
    using call = pending_completion<Results...>;
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
    using call = pending_completion<Results...>;
    auto pending =
        std::make_unique<call>(std::move(handler), std::tuple<Results...>(std::move(results)...));
    boost::asio::post(fallback, [pending = std::move(pending), fallback]() mutable {
        call::run(std::move(pending), fallback);
    });
}

} // namespace pawl::async
