#include "streams/commit_feed.hpp"

#include <utility>

namespace pawl::streams {

namespace {

constexpr std::uint32_t max_unwanted_events = 1024;

} // namespace

commit_subscriber::commit_subscriber(std::uint32_t first, std::uint32_t shards, want_function wants)
    : first_(first), shards_(shards), wants_(std::move(wants)),
      fresh_(std::make_unique<std::atomic<bool>[]>(shards)),
      passed_over_(std::make_unique<std::atomic<std::uint32_t>[]>(shards))
{
    for (std::uint32_t shard = 0; shard < shards; ++shard)
        fresh_[shard] = true;
}

void commit_subscriber::committed(const transition& change, std::uint32_t shard)
{
    if (!is_own(shard))
        return;
    if (wants_(change) || ++passed_over_[shard - first_] >= max_unwanted_events)
        tell(shard);
}

void commit_subscriber::tell(std::uint32_t shard)
{
    if (is_own(shard) && !fresh_[shard - first_].exchange(true))
        news_->set();
}

void commit_feed::add(const std::shared_ptr<commit_subscriber>& added)
{
    const std::lock_guard lock{mutex_};
    std::erase_if(ears_, [](const auto& each) { return each.expired(); });
    ears_.push_back(added);
    any_ = true;
}

void commit_feed::committed(const transition& change, std::uint32_t shard)
{
    if (!any_)
        return;
    const std::lock_guard lock{mutex_};
    for (const auto& each : ears_)
        if (const auto ear = each.lock())
            ear->committed(change, shard);
}

void commit_feed::tell(std::uint32_t shard)
{
    if (!any_)
        return;
    const std::lock_guard lock{mutex_};
    for (const auto& each : ears_)
        if (const auto ear = each.lock())
            ear->tell(shard);
}

} // namespace pawl::streams
