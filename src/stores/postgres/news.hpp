#pragma once

#include "pawl/record_store.hpp"
#include "stores/postgres/batch.hpp"
#include "stores/postgres/notification.hpp"
#include "stores/postgres/pool.hpp"
#include "stores/postgres/queries.hpp"
#include "stores/postgres/trouble_log.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pawl::postgres {

class listener;

/// Spreads the news of commits: at once to those who listen in this store, after a short while, in
/// which they are merged, to the other processes. Its coroutines keep it alive.
class news : public std::enable_shared_from_this<news> {
public:
    news(boost::asio::any_io_executor executor, std::shared_ptr<pool> asking,
         std::shared_ptr<const target> where, std::shared_ptr<const queries> statements,
         std::shared_ptr<trouble_log> troubles, const postgres_options& options);

    /// This store has committed. From any thread.
    void committed(std::span<const stored_wake> wakes);

    /// The store has these shards, at least. From any thread.
    void know_shards(std::uint32_t all) { shards_ = all; }

    std::shared_ptr<void> subscribe(change_handler hear);

private:
    friend class listener;

    /// What is of shards that nobody here knows is left out.
    void tell(due_by_shard changed);
    static boost::asio::awaitable<void> notify_later(std::shared_ptr<news> self);
    std::vector<std::string> take_payloads();

    const boost::asio::any_io_executor executor_;
    const std::shared_ptr<pool> asking_;
    const std::shared_ptr<const target> where_;
    const std::shared_ptr<const queries> statements_;
    const std::shared_ptr<trouble_log> troubles_;
    const postgres_options options_;
    const std::string origin_; ///< tells this store's own notifications

    std::atomic<std::uint32_t> shards_{0};
    std::mutex mutex_;
    std::map<std::uint64_t, std::shared_ptr<const change_handler>> hearers_;
    std::uint64_t next_hearer_ = 0;
    std::shared_ptr<listener> listener_; ///< while somebody listens
    due_by_shard untold_;                ///< to the other processes
    bool is_notifying_ = false;
};

} // namespace pawl::postgres
