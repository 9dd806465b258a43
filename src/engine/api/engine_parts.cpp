#include "engine/api/engine_parts.hpp"

#include "engine/cluster/shard_manager.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <utility>

namespace pawl::engine_detail {

namespace asio = boost::asio;

asio::awaitable<void> wait(timer& pause, duration span)
{
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(
        [](auto handler, timer* waiting, duration length) {
            waiting->wait(length, std::move(handler));
        },
        asio::use_awaitable, &pause, span);
}

bool engine_parts::mark_too_old(engine_workflow& entry)
{
    if (entry.too_old.exchange(true))
        return false;
    shards->recheck_leases();
    return true;
}

} // namespace pawl::engine_detail
