#include "engine/background/removal_gate.hpp"

#include "core/message_acceptance.hpp"

#include <algorithm>

namespace pawl::engine_detail {

namespace asio = boost::asio;

namespace {

constexpr std::size_t searched_page = 1000;

} // namespace

asio::awaitable<std::string> removal_gate::holder_of(record run)
{
    // What the end of a run leads to comes first. It updates the run.
    if (run.state == run_state::requested_data_deleted)
        co_return "its data is being deleted";
    if (core::has_unreported_end(run))
        co_return "its parent has not got its end";
    if (run.cancels_children)
        co_return "its children have not got the command to cancel";
    const auto consumers = consumers_.consumers_of(workflow_.rules.name);
    if (!hooks_ && consumers.empty())
        co_return "";
    const auto last = co_await shared_.store.history(run.id, run.version - 1, 1);
    if (last.empty())
        co_return "";
    const auto& end = last.front();
    if (hooks_ && !hooks_->has_seen(run.id, end.shard, end.sequence)) {
        hooks_->notify_shard(end.shard);
        co_return "its hooks have not seen its end";
    }
    for (const auto& consumer : consumers) {
        const bool seen = co_await has_seen(consumer, run, end);
        if (!seen)
            co_return "the connector \"" + consumer.consumer + "\" has not seen its end";
    }
    co_return "";
}

/// Whether the consumer has acknowledged all events of the run that it wants. Reads the run's
/// history backwards, down to the consumer's position.
asio::awaitable<bool> removal_gate::has_seen(log_consumers::entry consumer, record run, event last)
{
    const auto next = co_await position_of(consumer, last.shard);
    if (next == 0 || next > last.sequence)
        co_return true; // it has never read this source, or is past the run
    for (auto high = run.version; high > 0;) {
        const auto low = high > searched_page ? high - searched_page : 0;
        const auto page = co_await shared_.store.history(run.id, low, high - low);
        const bool pending = std::ranges::any_of(page, [&](const event& entry) {
            return entry.sequence >= next && consumer.source->wants(entry.kind);
        });
        if (pending)
            co_return false;
        if (page.empty() || page.front().sequence < next)
            break;
        high = low;
    }
    co_return true;
}

asio::awaitable<std::uint64_t> removal_gate::position_of(log_consumers::entry consumer,
                                                         std::uint32_t shard)
{
    const std::pair key{consumer.consumer, shard};
    const auto known = positions_.find(key);
    if (known != positions_.end())
        co_return known->second;
    const auto next = co_await consumer.source->position(consumer.consumer, shard);
    positions_[key] = next;
    co_return next;
}

} // namespace pawl::engine_detail
