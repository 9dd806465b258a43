#include "engine/api/context.hpp"

#include "engine/cluster/shard_manager.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <utility>

namespace pawl::engine_detail {

namespace asio = boost::asio;

asio::awaitable<void> wait(timer& on, duration span)
{
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(
        [](auto handler, timer* waiting, duration length) {
            waiting->wait(length, std::move(handler));
        },
        asio::use_awaitable, &on, span);
}

bool context::found_too_old(workflow_entry& entry)
{
    if (entry.too_old.exchange(true))
        return false;
    shards->doubt();
    return true;
}

} // namespace pawl::engine_detail
