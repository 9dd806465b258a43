#pragma once

#include "sqlite/connection.hpp"

#include <cstdint>

namespace pawl::sqlite {

/// Makes a new database of the file, or brings one of Pawl's up to date. `shards` counts only when
/// it is made. Throws error (store_damaged) for a file of somebody else's, which it leaves as it
/// is, and (store_too_new) for one of a newer Pawl.
void prepare_schema(connection& database, std::uint32_t shards);

/// The greatest sequence of an event that a position can hold.
inline constexpr std::uint64_t last_sequence = (1ull << 48) - 1;

/// Where an event stands in the log: the key of the events table.
constexpr std::int64_t position_of(std::uint32_t shard, std::uint64_t sequence) noexcept
{
    return (static_cast<std::int64_t>(shard) << 48) | static_cast<std::int64_t>(sequence);
}

constexpr std::uint32_t shard_at(std::int64_t position) noexcept
{
    return static_cast<std::uint32_t>(position >> 48);
}

constexpr std::uint64_t sequence_at(std::int64_t position) noexcept
{
    return static_cast<std::uint64_t>(position) & last_sequence;
}

/// Each so many versions of a run a mark is set in its history.
inline constexpr std::uint64_t mark_distance = 64;

} // namespace pawl::sqlite
