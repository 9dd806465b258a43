#pragma once

#include "pawl/event.hpp"
#include "pawl/message.hpp"
#include "pawl/record.hpp"
#include "postgres/result.hpp"

#include <string_view>

// Which columns carry which fields, for reading; batch.cpp has the other direction.
namespace pawl::postgres {

/// To be selected from the table runs, joined with workflows as its `flow`.
extern const std::string_view record_columns;
record read_record(result& row);

/// To be selected from the table events as `e`, joined with runs and workflows.
extern const std::string_view event_columns;
event read_event(result& row);

/// To be selected from the table messages; the run is what the caller asked for.
extern const std::string_view message_columns;
message read_message(result& row, const run_id& run);

/// Throws error (store_damaged) when the number is none of the states.
run_state to_run_state(std::int64_t stored, const result& row);

/// The greatest sequence of an event that a position can hold.
inline constexpr std::uint64_t last_sequence = (1ull << 48) - 1;

/// Where an event stands in the log: the key of the events table.
constexpr std::int64_t position_of(std::uint32_t shard, std::uint64_t sequence) noexcept
{
    return (static_cast<std::int64_t>(shard) << 48) | static_cast<std::int64_t>(sequence);
}

} // namespace pawl::postgres
