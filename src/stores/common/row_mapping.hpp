// Reads rows of SQL tables: the fields of each type, in the order of the columns.
//
// Row has read(value) for the type of each column, integer(), bytes(), and throw_corrupt(problem),
// which throws error (store_corrupt).
#pragma once

#include "core/stream_headers.hpp"
#include "pawl/record_store.hpp"
#include "stores/common/record_details.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

namespace pawl::core {

/// The greatest sequence that a position can hold.
inline constexpr std::uint64_t last_sequence = (1ull << 48) - 1;

/// The position of an event in the log: the key of the events table.
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

/// Reads an enumeration whose values are those from `first` to `last`.
template <typename Enum, typename Row>
Enum read_enum(Row& row, std::string_view name, Enum first, Enum last)
{
    const std::int64_t stored = row.integer();
    if (stored < static_cast<std::int64_t>(first) || stored > static_cast<std::int64_t>(last))
        row.throw_corrupt("unknown " + std::string{name} + " value " + std::to_string(stored) +
                          "; the database was probably written by a newer Pawl");
    return static_cast<Enum>(stored);
}

template <typename Row>
run_state read_run_state(Row& row)
{
    return read_enum(row, "run_state", run_state::initiated, run_state::requested_data_deleted);
}

template <typename Row>
message_outcome read_outcome(Row& row)
{
    return read_enum(row, "message_outcome", message_outcome::pending, message_outcome::expired);
}

/// The run id whose 16 bytes a column holds.
template <typename Row>
run_id decode_run_id(const Row& row, std::string_view bytes)
{
    run_id id;
    if (bytes.size() != id.bytes.size())
        row.throw_corrupt("expected a run id of 16 bytes");
    std::ranges::copy(bytes, id.bytes.begin());
    return id;
}

/// Reads the columns that a store calls `record_columns`.
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

/// Reads the columns that a store calls `event_columns`.
template <typename Row>
event read_event(Row& row)
{
    event read;
    const auto position = row.integer();
    read.shard = shard_at(position);
    read.sequence = sequence_at(position);
    read.kind = read_enum(row, "event_kind", event_kind::started, event_kind::moved_by_command);
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

/// Reads the columns that a store calls `message_columns`.
template <typename Row>
message read_message(Row& row, const run_id& run)
{
    message read;
    read.run = run;
    row.read(read.sequence);
    read.kind = read_enum(row, "message_kind", message_kind::callback, message_kind::move);
    row.read(read.sent_at);
    row.read(read.expires_at);
    row.read(read.name);
    row.read(read.key);
    row.read(read.requested_by);
    row.read(read.payload_version);
    row.read(read.payload);
    return read;
}

/// Reads sequence, outcome, detail.
template <typename Row>
settlement read_settlement(Row& row)
{
    settlement read;
    row.read(read.sequence);
    read.outcome = read_outcome(row);
    row.read(read.detail);
    return read;
}

/// Reads the name of the workflow, status, state, runs.
template <typename Row>
status_count read_status_count(Row& row)
{
    status_count read;
    row.read(read.workflow);
    row.read(read.status);
    read.state = read_run_state(row);
    row.read(read.runs);
    return read;
}

/// Reads position, id, key, type, headers, payload, trace_parent, at.
template <typename Row>
stream_event read_stream_event(Row& row)
{
    stream_event read;
    row.read(read.position);
    row.read(read.id);
    row.read(read.key);
    row.read(read.type);
    read.headers = decode_headers(row.bytes());
    row.read(read.payload);
    row.read(read.trace_parent);
    row.read(read.at);
    return read;
}

/// Reads name, epoch, owner, lease_until.
template <typename Row>
role_lease read_role_lease(Row& row)
{
    role_lease read;
    row.read(read.role);
    row.read(read.epoch);
    row.read(read.owner);
    row.read(read.until);
    return read;
}

} // namespace pawl::core
