#pragma once

#include "pawl/record.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <utility>

namespace pawl::sqlite {

/// What a change needs to know about its run.
struct stored_run {
    std::int64_t row = 0;
    std::uint32_t shard = 0;
    std::int64_t workflow = 0;
    std::uint64_t version = 0;
    run_state state = run_state::initiated;
    int status = 0;
    std::optional<time_point> wake_at;
    std::uint64_t inbox_last = 0;
    std::uint32_t inbox_pending = 0;
    std::int64_t last_event = 0;
    run_id parent; ///< empty for a run that is no child
};

/// A cache of recently changed runs, so that the next change of a run need not read it again. It
/// has a younger and an older half; when the younger one is full, the older one is discarded.
class known_runs {
public:
    /// @param capacity maximum number of runs, of about 150 bytes each.
    explicit known_runs(std::size_t capacity) : half_(capacity / 2) {}

    /// Null when the run is unknown. Valid until the next find() or remember().
    stored_run* find(const run_id& id)
    {
        if (const auto known = young_.find(id); known != young_.end())
            return &known->second;
        auto node = old_.extract(id);
        if (node.empty())
            return nullptr;
        make_room();
        return &young_.insert(std::move(node)).position->second;
    }

    stored_run* remember(const run_id& id, const stored_run& run)
    {
        make_room();
        return &young_.insert_or_assign(id, run).first->second;
    }

    void forget(const run_id& id)
    {
        young_.erase(id);
        old_.erase(id);
    }

    void clear()
    {
        young_.clear();
        old_.clear();
    }

private:
    void make_room()
    {
        if (young_.size() < half_)
            return;
        std::swap(young_, old_);
        young_.clear();
    }

    const std::size_t half_;
    std::unordered_map<run_id, stored_run> young_;
    std::unordered_map<run_id, stored_run> old_;
};

} // namespace pawl::sqlite
