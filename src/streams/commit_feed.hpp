#pragma once

#include "async/auto_reset_event.hpp"
#include "pawl/record_store.hpp"

#include <boost/asio/awaitable.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace pawl::streams {

/// Which shards of a log one reader has to read: all of them in the beginning. A shard counts as
/// unread too after many commits that the reader does not want, so that its cursor moves past them.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe, with one wait at a time.
class commit_subscriber {
public:
    using want_function = std::function<bool(const transition&)>;

    /// @param first the first of the shards that the reader reads.
    /// @param shards the number of these shards.
    commit_subscriber(std::uint32_t first, std::uint32_t shards, want_function wants);

    /// A transition has been committed in the shard.
    void note_commit(const transition& change, std::uint32_t shard);

    /// Makes the shard unread, and wakes the reader.
    void notify_shard(std::uint32_t shard);

    bool is_unread(std::uint32_t shard) const noexcept { return unread_[shard - first_]; }

    void mark_read(std::uint32_t shard)
    {
        passed_over_[shard - first_] = 0;
        unread_[shard - first_] = false;
    }

    std::uint32_t first() const noexcept { return first_; }
    std::uint32_t shards() const noexcept { return shards_; }

    /// Waits for the next unread shard, as auto_reset_event::wait().
    boost::asio::awaitable<void> wait() { return notification_->wait(); }

private:
    bool has_shard(std::uint32_t shard) const noexcept
    {
        return first_ <= shard && shard - first_ < shards_;
    }

    const std::uint32_t first_;
    const std::uint32_t shards_;
    const want_function wants_;
    const std::unique_ptr<std::atomic<bool>[]> unread_;
    const std::unique_ptr<std::atomic<std::uint32_t>[]> passed_over_; ///< unwanted commits
    const std::shared_ptr<async::auto_reset_event> notification_ =
        std::make_shared<async::auto_reset_event>();
};

/// Notifies subscribers of what one engine commits. Costs nothing without subscribers.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class commit_feed {
public:
    void add(const std::shared_ptr<commit_subscriber>& added);

    /// A transition has been committed, or may have been.
    void publish_commit(const transition& change, std::uint32_t shard);

    /// Another process may have committed something in the shard.
    void notify_shard(std::uint32_t shard);

private:
    std::atomic<bool> any_{false};
    std::mutex mutex_;
    std::vector<std::weak_ptr<commit_subscriber>> subscribers_;
};

} // namespace pawl::streams
