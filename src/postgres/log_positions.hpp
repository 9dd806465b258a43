#pragma once

#include "pawl/event.hpp"
#include "pawl/record_store.hpp"

#include <cstdint>
#include <map>
#include <mutex>
#include <span>
#include <vector>

namespace pawl::postgres {

/// An event of a shard's log, by which the log is known again.
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
    /// True when one of them is not behind the last that was seen: as a rule the log has gone back,
    /// unless they are noted in another order than they were stored in.
    bool note(std::span<const seen_event> events);

    /// Of one shard, in order.
    void note(std::span<const event> page);

    /// The shard's log has gone back: it is known by what is seen from now on.
    void forget(std::uint32_t shard);

    std::vector<seen_event> all() const;

private:
    mutable std::mutex mutex_;
    std::map<std::uint32_t, seen_event> last_;
};

} // namespace pawl::postgres
