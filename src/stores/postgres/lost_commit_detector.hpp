#pragma once

#include "stores/postgres/connection.hpp"
#include "stores/postgres/log_positions.hpp"
#include "stores/postgres/pool.hpp"
#include "stores/postgres/queries.hpp"
#include "stores/postgres/warning_log.hpp"

#include <boost/asio/awaitable.hpp>

#include <memory>

namespace pawl::postgres {

/// Detects that the database has lost commits that the store has read or made, and fences the
/// affected shards: their owners, in this store or in others, must claim them again. Thread-safe.
class lost_commit_detector {
public:
    lost_commit_detector(std::shared_ptr<const queries> statements,
                         std::shared_ptr<warning_log> warnings)
        : statements_(std::move(statements)), warnings_(std::move(warnings))
    {
    }

    log_positions& positions() noexcept { return positions_; }

    /// Compares the recorded positions with the database. Throws what the statement throws.
    boost::asio::awaitable<void> fence_lost_shards(connection& link);
    boost::asio::awaitable<void> fence_lost_shards(pool& sessions);

private:
    void report_lost(result rows);

    const std::shared_ptr<const queries> statements_;
    const std::shared_ptr<warning_log> warnings_;
    log_positions positions_;
};

} // namespace pawl::postgres
