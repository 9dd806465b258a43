// How a store of tables reads what it keeps: which fields its columns carry, in which order.
//
// Row has read(value) for the type of each column, integer(), bytes(), and damaged(what), which
// throws error (store_corrupt).
#pragma once

#include "stores/common/record_details.hpp"
#include "pawl/record_store.hpp"

#include <cstdint>

namespace pawl::core {

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

/// An enumeration whose values are 1 to `last`.
template <typename Enum, typename Row>
Enum read_enum(Row& row, Enum last)
{
    const std::int64_t stored = row.integer();
    if (stored < 1 || stored > static_cast<std::int64_t>(last))
        row.damaged("a number stands for nothing that this Pawl knows");
    return static_cast<Enum>(stored);
}

template <typename Row>
run_state read_run_state(Row& row)
{
    return read_enum(row, run_state::requested_data_deleted);
}

/// The columns that `record_columns` of a store names.
template <typename Row>
record read_record(Row& row)
{
    record run;
    row.read(run.id);
    row.read(run.workflow);
    row.read(run.foreign_id);
    row.read(run.version);
    run.state = read_run_state(row);
    row.read(run.status);
    row.read(run.visit);
    row.read(run.entered_at);
    row.read(run.attempt);
    row.read(run.step_done);
    row.read(run.not_before);
    row.read(run.wake_at);
    row.read(run.created_at);
    row.read(run.updated_at);
    row.read(run.inbox_last);
    row.read(run.inbox_pending);
    row.read(run.last_error);
    row.read(run.reason);
    row.read(run.start_key);
    row.read(run.trace_parent);
    row.read(run.object_version);
    decode_details(row.bytes(), run);
    row.read(run.object);
    return run;
}

/// The columns that `event_columns` of a store names.
template <typename Row>
event read_event(Row& row)
{
    event read;
    const auto position = row.integer();
    read.shard = shard_at(position);
    read.sequence = sequence_at(position);
    read.kind = read_enum(row, event_kind::attempt_begun);
    row.read(read.run);
    row.read(read.workflow);
    row.read(read.foreign_id);
    row.read(read.version);
    row.read(read.from);
    row.read(read.to);
    read.state = read_run_state(row);
    row.read(read.attempt);
    row.read(read.error);
    row.read(read.requested_by);
    row.read(read.at);
    return read;
}

/// The columns that `message_columns` of a store names.
template <typename Row>
message read_message(Row& row, const run_id& run)
{
    message read;
    read.run = run;
    row.read(read.sequence);
    read.kind = read_enum(row, message_kind::delete_data);
    row.read(read.sent_at);
    row.read(read.expires_at);
    row.read(read.name);
    row.read(read.key);
    row.read(read.requested_by);
    row.read(read.payload_version);
    row.read(read.payload);
    return read;
}

} // namespace pawl::core
