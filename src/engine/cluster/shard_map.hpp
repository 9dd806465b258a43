#pragma once

#include "pawl/record.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace pawl::engine_detail {

/// The shards of each workflow that an engine knows. See record_store::first_shards().
class shard_map {
public:
    /// The shards from `begin` up to, but without, `end`.
    struct range {
        std::uint32_t begin = 0;
        std::uint32_t end = 0;

        bool contains(std::uint32_t shard) const noexcept { return begin <= shard && shard < end; }
    };

    /// All workflows have the same shards.
    explicit shard_map(std::uint32_t shards) : slices_(shards), count_(shards), common_(true) {}

    /// Each workflow has shards of its own.
    /// @param first_shards the first shard of each workflow, by the workflow's name.
    shard_map(std::uint32_t slices, std::map<std::string, std::uint32_t, std::less<>> first_shards);

    /// One more than the last known shard.
    std::uint32_t count() const noexcept { return count_; }

    /// The shard of a run; count() if the workflow is not known.
    std::uint32_t shard_of(std::string_view workflow, std::string_view foreign_id) const;

    /// The shards of a workflow; empty if the workflow is not known.
    range shards_of(std::string_view workflow) const;

    const std::map<std::string, std::uint32_t, std::less<>>& first_shards() const noexcept
    {
        return first_shards_;
    }

private:
    std::uint32_t slices_;
    std::uint32_t count_;
    bool common_;
    std::map<std::string, std::uint32_t, std::less<>> first_shards_;
};

} // namespace pawl::engine_detail
