#pragma once

#include "pawl/run_id.hpp"
#include "pawl/time.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <tuple>
#include <unordered_map>

namespace pawl::engine_detail {

/// Runs to wake at times of their own: one entry a run, the earliest first.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Unsafe.
class wake_list {
public:
    /// Entries at most. One takes about 150 bytes.
    static constexpr std::size_t max_size = 65'536;

    struct entry {
        time_point at;
        run_id run;
        std::uint32_t shard = 0;
        int failures = 0; ///< of the run's activations, in a row

        friend bool operator<(const entry& a, const entry& b)
        {
            return std::tie(a.at, a.run) < std::tie(b.at, b.run);
        }
    };

    /// Adds a run, or wakes one that is known earlier; one that failed waits for its own time.
    /// Gives the entry that there was no room for.
    std::optional<entry> add(entry added);

    /// Takes a run out.
    std::optional<entry> take(run_id run);

    const entry* find(run_id run) const;
    const entry* first() const { return by_time_.empty() ? nullptr : &*by_time_.begin(); }
    std::size_t size() const noexcept { return by_time_.size(); }

private:
    std::set<entry> by_time_;
    std::unordered_map<run_id, std::set<entry>::iterator> by_run_;
};

} // namespace pawl::engine_detail
