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

/// The last event that a store has seen in each shard's log. A database whose log does not have it
/// has gone back: to a standby that was behind, or to an earlier state. Thread-safe.
class log_positions {
public:
    /// True when the sequence of one of them is not greater than the last one seen. Then the log
    /// may have lost events; or a later event was noted first.
    bool note(std::span<const seen_event> events);

    /// Of one shard, in order.
    void note(std::span<const event> page);

    /// Discards what was seen of a shard, whose log has lost events.
    void forget(std::uint32_t shard);

    std::vector<seen_event> all() const;

private:
    mutable std::mutex mutex_;
    std::map<std::uint32_t, seen_event> last_;
};

} // namespace pawl::postgres
