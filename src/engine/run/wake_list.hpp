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

/// Runs to wake at given times: one entry per run, the earliest first.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Unsafe.
class wake_list {
public:
    /// The limit of entries. An entry takes about 150 bytes.
    static constexpr std::size_t max_size = 65'536;

    struct entry {
        time_point at;
        run_id run;
        std::uint32_t shard = 0;
        int failures = 0; ///< consecutive failed activations of the run

        friend bool operator<(const entry& a, const entry& b)
        {
            return std::tie(a.at, a.run) < std::tie(b.at, b.run);
        }
    };

    /// Adds a run, or moves a known run to an earlier time. The retry of a failed run keeps its
    /// time until the run fails again. Returns the entry that exceeded the limit, which may be the
    /// added one.
    std::optional<entry> add(entry added);

    /// Removes the entry of the run and returns it.
    std::optional<entry> remove(run_id run);

    const entry* find(run_id run) const;
    const entry* first() const { return by_time_.empty() ? nullptr : &*by_time_.begin(); }
    std::size_t size() const noexcept { return by_time_.size(); }

private:
    std::set<entry> by_time_;
    std::unordered_map<run_id, std::set<entry>::iterator> by_run_;
};

} // namespace pawl::engine_detail
