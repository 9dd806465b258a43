#pragma once

#include "pawl/engine.hpp"

#include <boost/asio/awaitable.hpp>

#include <string>

namespace order_processing {

/// Which servers share the database, and who drives which shard, as a JSON document: `self`,
/// `engines` (name and number of shards), `shards` (number, owner, epoch, lease_until), and
/// `due_lag_ms`, the age of the oldest due run in this server's shards.
///
/// Fails as pawl::engine::async_cluster.
boost::asio::awaitable<std::string> read_cluster(pawl::engine& engine);

} // namespace order_processing
