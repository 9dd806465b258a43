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

namespace pawl::engine_detail {

/// Calls a completion handler through its associated executor (`fallback` if it has none), never
/// inside the caller. Boost 1.81 cannot post to the executor of an any_completion_handler, so the
/// call goes through a post to `fallback`.
template <class... Results>
void complete(const boost::asio::any_io_executor& fallback,
              boost::asio::any_completion_handler<void(Results...)> handler,
              std::type_identity_t<Results>... results)
{
    struct call {
        boost::asio::any_completion_handler<void(Results...)> handler;
        std::tuple<Results...> values;
    };
    // In one place until the end: results may be large, and are on their way in several hops.
    auto made =
        std::make_unique<call>(std::move(handler), std::tuple<Results...>(std::move(results)...));
    boost::asio::post(fallback, [made = std::move(made), fallback]() mutable {
        auto executor = boost::asio::get_associated_executor(made->handler, fallback);
        boost::asio::dispatch(executor, [made = std::move(made)]() mutable {
            auto ready = std::move(*made);
            made.reset();
            std::apply([&](Results&... value) { std::move(ready.handler)(std::move(value)...); },
                       ready.values);
        });
    });
}

} // namespace pawl::engine_detail
