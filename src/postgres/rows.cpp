#include "postgres/rows.hpp"

#include "core/record_details.hpp"
#include "postgres/error.hpp"

namespace pawl::postgres {

namespace {

template <typename Enum>
Enum checked(std::int64_t stored, Enum last, const result& row)
{
    if (stored < 1 || stored > static_cast<std::int64_t>(last))
        throw_damaged(row.where(), "a number stands for nothing that this Pawl knows");
    return static_cast<Enum>(stored);
}

} // namespace

run_state to_run_state(std::int64_t stored, const result& row)
{
    return checked(stored, run_state::requested_data_deleted, row);
}

const std::string_view record_columns =
    "runs.id, flow.name, runs.foreign_id, runs.version, runs.state, runs.status, runs.visit, "
    "runs.entered_at, runs.attempt, runs.step_done, runs.not_before, runs.wake_at, "
    "runs.created_at, runs.updated_at, runs.inbox_last, runs.inbox_pending, runs.last_error, "
    "runs.reason, runs.start_key, runs.trace_parent, runs.object_version, runs.details, "
    "runs.object";

record read_record(result& row)
{
    record run;
    row.read(run.id);
    row.read(run.workflow);
    row.read(run.foreign_id);
    row.read(run.version);
    run.state = to_run_state(row.integer(), row);
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
    core::decode_details(row.bytes(), run);
    row.read(run.object);
    return run;
}

const std::string_view event_columns =
    "e.position, e.kind, runs.id, flow.name, runs.foreign_id, e.version, e.from_status, "
    "e.to_status, e.state, e.attempt, e.error, e.requested_by, e.at";

event read_event(result& row)
{
    event read;
    const auto position = row.integer();
    read.shard = static_cast<std::uint32_t>(position >> 48);
    read.sequence = static_cast<std::uint64_t>(position) & last_sequence;
    read.kind = checked(row.integer(), event_kind::message_kept, row);
    row.read(read.run);
    row.read(read.workflow);
    row.read(read.foreign_id);
    row.read(read.version);
    row.read(read.from);
    row.read(read.to);
    read.state = to_run_state(row.integer(), row);
    row.read(read.attempt);
    row.read(read.error);
    row.read(read.requested_by);
    row.read(read.at);
    return read;
}

const std::string_view message_columns =
    "sequence, kind, sent_at, expires_at, name, key, requested_by, payload";

message read_message(result& row, const run_id& run)
{
    message read;
    read.run = run;
    row.read(read.sequence);
    read.kind = checked(row.integer(), message_kind::delete_data, row);
    row.read(read.sent_at);
    row.read(read.expires_at);
    row.read(read.name);
    row.read(read.key);
    row.read(read.requested_by);
    row.read(read.payload);
    return read;
}

} // namespace pawl::postgres
