#pragma once

#include "pawl/record_store.hpp"
#include "stores/postgres/batch.hpp"
#include "stores/postgres/notification.hpp"
#include "stores/postgres/pool.hpp"
#include "stores/postgres/queries.hpp"
#include "stores/postgres/warning_log.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pawl::postgres {

class notification_listener;

/// Sends notifications of commits: at once to the subscribers of this store, and merged after a
/// short while to other processes. Its coroutines keep it alive.
class notifier : public std::enable_shared_from_this<notifier> {
public:
    notifier(boost::asio::any_io_executor executor, std::shared_ptr<pool> readers,
             std::shared_ptr<const target> server, std::shared_ptr<const queries> statements,
             std::shared_ptr<warning_log> warnings, const postgres_options& options);

    /// Reports a commit of this store. May be called from any thread.
    void notify_commit(std::span<const stored_wake> wakes);

    /// Sets the number of shards that the store knows. May be called from any thread.
    void set_shard_count(std::uint32_t count) { shards_ = count; }

    std::shared_ptr<void> subscribe(change_handler handler);

    /// Calls `handler` when requests were stored, until the handle is destroyed.
    std::shared_ptr<void> subscribe_to_requests(std::function<void()> handler);

private:
    friend class notification_listener;

    template <class Handler>
    using handlers = std::map<std::uint64_t, std::shared_ptr<const Handler>>;

    template <class Handler>
    std::shared_ptr<void> add_subscriber(handlers<Handler>& all, Handler handler);
    template <class Handler, class... Arguments>
    void call_all(const handlers<Handler>& all, const Arguments&... arguments);
    void notify_of_requests();

    /// Ignores shards that the store does not know.
    void notify_subscribers(due_by_shard changed);
    static boost::asio::awaitable<void> send_notifications(std::shared_ptr<notifier> self);
    std::vector<std::string> take_pending_payloads();

    const boost::asio::any_io_executor executor_;
    const std::shared_ptr<pool> readers_;
    const std::shared_ptr<const target> server_;
    const std::shared_ptr<const queries> statements_;
    const std::shared_ptr<warning_log> warnings_;
    const postgres_options options_;
    const std::string origin_; ///< identifies this store's own notifications

    std::atomic<std::uint32_t> shards_{0};
    std::mutex mutex_;
    handlers<change_handler> subscribers_;
    handlers<std::function<void()>> request_subscribers_;
    std::uint64_t next_subscriber_ = 0;
    std::shared_ptr<notification_listener> listener_; ///< while there are subscribers
    due_by_shard pending_;                            ///< not sent to other processes yet
    bool is_notifying_ = false;
};

} // namespace pawl::postgres
