#include "streams/commit_feed.hpp"

#include <utility>

namespace pawl::streams {

namespace {

constexpr std::uint32_t max_unwanted_events = 1024;

} // namespace

commit_subscriber::commit_subscriber(std::uint32_t first, std::uint32_t shards, want_function wants)
    : first_(first), shards_(shards), wants_(std::move(wants)),
      unread_(std::make_unique<std::atomic<bool>[]>(shards)),
      passed_over_(std::make_unique<std::atomic<std::uint32_t>[]>(shards))
{
    for (std::uint32_t shard = 0; shard < shards; ++shard)
        unread_[shard] = true;
}

void commit_subscriber::note_commit(const transition& change, std::uint32_t shard)
{
    if (!has_shard(shard))
        return;
    if (wants_(change) || ++passed_over_[shard - first_] >= max_unwanted_events)
        notify_shard(shard);
}

void commit_subscriber::notify_shard(std::uint32_t shard)
{
    if (has_shard(shard) && !unread_[shard - first_].exchange(true))
        notification_->set();
}

void commit_feed::add(const std::shared_ptr<commit_subscriber>& added)
{
    const std::lock_guard lock{mutex_};
    std::erase_if(subscribers_, [](const auto& known) { return known.expired(); });
    subscribers_.push_back(added);
    any_ = true;
}

void commit_feed::publish_commit(const transition& change, std::uint32_t shard)
{
    if (!any_)
        return;
    const std::lock_guard lock{mutex_};
    for (const auto& known : subscribers_)
        if (const auto subscriber = known.lock())
            subscriber->note_commit(change, shard);
}

void commit_feed::notify_shard(std::uint32_t shard)
{
    if (!any_)
        return;
    const std::lock_guard lock{mutex_};
    for (const auto& known : subscribers_)
        if (const auto subscriber = known.lock())
            subscriber->notify_shard(shard);
}

} // namespace pawl::streams
