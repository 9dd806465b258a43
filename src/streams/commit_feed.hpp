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

/// What one reader of a log has not read yet, by shard: everything in the beginning. Commits that
/// it does not want are news too when there are many of them, so that it moves past them.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe, with one wait at a time.
class commit_subscriber {
public:
    using want_function = std::function<bool(const transition&)>;

    /// @param first of the shards that it hears of, and `shards` how many they are.
    commit_subscriber(std::uint32_t first, std::uint32_t shards, want_function wants);

    void committed(const transition& change, std::uint32_t shard);
    void tell(std::uint32_t shard);

    bool has_news(std::uint32_t shard) const noexcept { return fresh_[shard - first_]; }

    /// The shard has no news afterwards.
    void take(std::uint32_t shard)
    {
        passed_over_[shard - first_] = 0;
        fresh_[shard - first_] = false;
    }

    std::uint32_t first() const noexcept { return first_; }
    std::uint32_t shards() const noexcept { return shards_; }

    /// As news::wait().
    boost::asio::awaitable<void> wait() { return news_->wait(); }

private:
    bool is_own(std::uint32_t shard) const noexcept
    {
        return first_ <= shard && shard - first_ < shards_;
    }

    const std::uint32_t first_;
    const std::uint32_t shards_;
    const want_function wants_;
    const std::unique_ptr<std::atomic<bool>[]> fresh_;
    const std::unique_ptr<std::atomic<std::uint32_t>[]> passed_over_; ///< commits
    const std::shared_ptr<async::auto_reset_event> news_ =
        std::make_shared<async::auto_reset_event>();
};

/// Who listens to what one engine commits. Costs nothing while nobody does.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class commit_feed {
public:
    void add(const std::shared_ptr<commit_subscriber>& added);

    /// It has been committed, or may have been.
    void committed(const transition& change, std::uint32_t shard);

    /// Something may have been committed in the shard, by another process.
    void tell(std::uint32_t shard);

private:
    std::atomic<bool> any_{false};
    std::mutex mutex_;
    std::vector<std::weak_ptr<commit_subscriber>> ears_;
};

} // namespace pawl::streams
