#pragma once

#include "pawl/event.hpp"
#include "pawl/record_store.hpp"

#include <cstdint>
#include <map>
#include <mutex>
#include <span>
#include <vector>

namespace pawl::postgres {

/// An event that identifies a shard's log.
struct seen_event {
    std::uint32_t shard = 0;
    std::uint64_t sequence = 0;
    run_id run;
    std::uint64_t version = 0;
};

/// The last event that a store has seen in each shard's log. A database without this event has lost
/// commits: a standby that lagged took over, or a backup was restored. Thread-safe.
class log_positions {
public:
    /// True when the sequence of an event is not greater than the last one seen. Then the log may
    /// have lost events, or a later event was recorded first.
    bool record(std::span<const seen_event> events);

    /// Records a page of one shard, in order.
    void record(std::span<const event> page);

    /// Discards the position of a shard whose log has lost events.
    void discard(std::uint32_t shard);

    std::vector<seen_event> all() const;

private:
    mutable std::mutex mutex_;
    std::map<std::uint32_t, seen_event> last_;
};

} // namespace pawl::postgres
