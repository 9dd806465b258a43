#pragma once

#include "stores/postgres/connection.hpp"
#include "stores/postgres/log_positions.hpp"
#include "stores/postgres/pool.hpp"
#include "stores/postgres/queries.hpp"
#include "stores/postgres/trouble_log.hpp"

#include <boost/asio/awaitable.hpp>

#include <memory>

namespace pawl::postgres {

/// Notices that the database has gone back behind what the store has read from it or stored in it,
/// and fences the shards in which it has: their owners, this store's or others', take them again.
/// Thread-safe.
class lost_commits {
public:
    lost_commits(std::shared_ptr<const queries> statements, std::shared_ptr<trouble_log> troubles)
        : statements_(std::move(statements)), troubles_(std::move(troubles))
    {
    }

    log_positions& positions() noexcept { return positions_; }

    /// Throws what the statement throws.
    boost::asio::awaitable<void> look_for(connection& link);
    boost::asio::awaitable<void> look_for(pool& sessions);

private:
    void note(result rows);

    const std::shared_ptr<const queries> statements_;
    const std::shared_ptr<trouble_log> troubles_;
    log_positions positions_;
};

} // namespace pawl::postgres
