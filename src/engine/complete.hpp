#pragma once

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>

#include <tuple>
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
    boost::asio::post(fallback, [handler = std::move(handler), fallback,
                                 values = std::tuple<Results...>(std::move(results)...)]() mutable {
        auto executor = boost::asio::get_associated_executor(handler, fallback);
        boost::asio::dispatch(executor, [handler = std::move(handler),
                                         values = std::move(values)]() mutable {
            std::apply([&](Results&... value) { std::move(handler)(std::move(value)...); }, values);
        });
    });
}

} // namespace pawl::engine_detail
