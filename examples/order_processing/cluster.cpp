#include "cluster.hpp"

#include "pawl/codec.hpp"

#include <boost/asio/use_awaitable.hpp>
#include <boost/describe/class.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace order_processing {
namespace {

struct engine_entry {
    std::string name;
    std::int64_t shards = 0;
};
BOOST_DESCRIBE_STRUCT(engine_entry, (), (name, shards))

struct shard_entry {
    std::uint32_t shard = 0;
    std::string owner;
    std::uint64_t epoch = 0;
    std::optional<pawl::time_point> lease_until; ///< empty where leases do not expire
};
BOOST_DESCRIBE_STRUCT(shard_entry, (), (shard, owner, epoch, lease_until))

struct cluster_document {
    std::string self;
    std::vector<engine_entry> engines;
    std::vector<shard_entry> shards;
    std::int64_t due_lag_ms = 0;
};
BOOST_DESCRIBE_STRUCT(cluster_document, (), (self, engines, shards, due_lag_ms))

} // namespace

boost::asio::awaitable<std::string> read_cluster(pawl::engine& engine)
{
    const auto view = co_await engine.async_cluster(boost::asio::use_awaitable);
    const auto now = co_await engine.async_statistics(boost::asio::use_awaitable);
    cluster_document document;
    document.self = view.self;
    for (const auto& name : view.engines)
        document.engines.push_back(
            {name, std::ranges::count(view.shards, name, &pawl::lease::owner)});
    for (const auto& shard : view.shards) {
        shard_entry entry{shard.shard, shard.owner, shard.epoch, {}};
        if (!shard.owner.empty() && shard.until != pawl::time_point::max())
            entry.lease_until = shard.until;
        document.shards.push_back(std::move(entry));
    }
    document.due_lag_ms =
        std::chrono::duration_cast<std::chrono::milliseconds>(now.due_lag).count();
    std::string text;
    pawl::codec<cluster_document>::encode(document, text);
    co_return text;
}

} // namespace order_processing
