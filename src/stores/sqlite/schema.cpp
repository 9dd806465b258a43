#include "stores/sqlite/schema.hpp"

#include "pawl/error.hpp"
#include "stores/sqlite/error.hpp"

#include <fmt/format.h>

#include <array>

namespace pawl::sqlite {

namespace {

/// "Pawl" in ASCII. Stored: never change.
constexpr std::int64_t application_id = 0x5061'776c;

// Version 1 of the file's format. The additions of later versions follow.
//
// Times are microseconds since the Unix epoch, UTC. Enumerations are the numbers of the public
// headers. Texts should be UTF-8, but any bytes are stored unchanged, including NUL.
//
// shards    One row per shard; their number is fixed when the file is created. next_sequence is the
//           sequence of the shard's next event; rejected changes use none. owner is '' when the
//           shard is free; epoch grows with each owner and never decreases.
// workflows The number of each workflow.
// runs      The current record of each run. `row` identifies it within the file; `id` is the UUID's
//           16 bytes. finished says whether `state` is final; the index on it allows one unfinished
//           run per foreign id. last_event is the position of the run's newest
//           event. details: see stores/common/record_details.hpp; NULL when there are none.
// events    The log. position = shard << 48 | sequence, so that a shard's events are adjacent and
//           appended. before is the position of the run's previous event, 0 for the first one:
//           histories are read backwards, because an index on the run would have to be written
//           at a random page with each transition.
// marks     The position of every 64th event of a run, to read a part of a history.
// messages  The inboxes. outcome 0 is pending; a settled message keeps its row but not its payload.
// cursors   Named positions in a shard's log; an unsigned 64-bit number in a signed column.
// counts    The number of runs of each workflow, status and state.
constexpr const char* creation = R"(
CREATE TABLE shards (
    shard INTEGER PRIMARY KEY,
    next_sequence INTEGER NOT NULL,
    owner TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    lease_until INTEGER
) STRICT;

CREATE TABLE workflows (
    workflow INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE runs (
    row INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    workflow INTEGER NOT NULL,
    foreign_id TEXT NOT NULL,
    shard INTEGER NOT NULL,
    version INTEGER NOT NULL,
    state INTEGER NOT NULL,
    finished INTEGER NOT NULL,
    status INTEGER NOT NULL,
    visit INTEGER NOT NULL,
    entered_at INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    step_done INTEGER NOT NULL,
    not_before INTEGER,
    wake_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    inbox_last INTEGER NOT NULL,
    inbox_pending INTEGER NOT NULL,
    last_event INTEGER NOT NULL,
    last_error TEXT NOT NULL,
    reason TEXT NOT NULL,
    start_key TEXT NOT NULL,
    trace_parent TEXT NOT NULL,
    details BLOB,
    object BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX runs_unfinished ON runs (workflow, foreign_id) WHERE finished = 0;
CREATE UNIQUE INDEX runs_started ON runs (workflow, foreign_id, start_key) WHERE start_key <> '';
CREATE INDEX runs_foreign ON runs (workflow, foreign_id, created_at, id);
CREATE INDEX runs_created ON runs (created_at, id);
CREATE INDEX runs_of_workflow ON runs (workflow, created_at, id);
CREATE INDEX runs_due ON runs (shard, wake_at, id) WHERE wake_at IS NOT NULL;

CREATE TABLE events (
    position INTEGER PRIMARY KEY,
    run INTEGER NOT NULL,
    version INTEGER NOT NULL,
    before INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    from_status INTEGER NOT NULL,
    to_status INTEGER NOT NULL,
    state INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    at INTEGER NOT NULL,
    error TEXT NOT NULL
) STRICT;

CREATE TABLE marks (
    run INTEGER NOT NULL,
    version INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (run, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE messages (
    run INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    outcome INTEGER NOT NULL,
    sent_at INTEGER NOT NULL,
    expires_at INTEGER,
    name TEXT NOT NULL,
    key TEXT NOT NULL,
    detail TEXT NOT NULL,
    payload BLOB NOT NULL,
    PRIMARY KEY (run, sequence)
) STRICT, WITHOUT ROWID;
CREATE INDEX messages_pending ON messages (run, sequence) WHERE outcome = 0;
CREATE UNIQUE INDEX messages_key ON messages (run, key) WHERE key <> '';

CREATE TABLE cursors (
    shard INTEGER NOT NULL,
    name TEXT NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (shard, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE counts (
    workflow INTEGER NOT NULL,
    status INTEGER NOT NULL,
    state INTEGER NOT NULL,
    runs INTEGER NOT NULL,
    PRIMARY KEY (workflow, status, state)
) STRICT, WITHOUT ROWID;
)";

void create(connection& database)
{
    database.execute(creation);
    database.execute(fmt::format("PRAGMA application_id = {}", application_id).c_str());
}

// Version 2 adds:
//
// requested_by    The requester of a command.
// object_version  The schema version of a run's object.
// runs_finished   Finished runs by their last commit, for retention. Transitions of unfinished runs
//                 write nothing to it.
// topics, topic_events  Streams of events. next_position is the position of a topic's next event;
//                 headers: see core/stream_headers.hpp.
// roles           Like shards, for named roles.
constexpr const char* second = R"(
ALTER TABLE runs ADD COLUMN object_version INTEGER NOT NULL DEFAULT 1;
ALTER TABLE events ADD COLUMN requested_by TEXT NOT NULL DEFAULT '';
ALTER TABLE messages ADD COLUMN requested_by TEXT NOT NULL DEFAULT '';
CREATE INDEX runs_finished ON runs (workflow, updated_at, id) WHERE finished = 1;

CREATE TABLE topics (
    topic INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    next_position INTEGER NOT NULL
) STRICT;

CREATE TABLE topic_events (
    topic INTEGER NOT NULL,
    position INTEGER NOT NULL,
    id TEXT NOT NULL,
    key TEXT NOT NULL,
    type TEXT NOT NULL,
    headers BLOB,
    payload BLOB NOT NULL,
    trace_parent TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (topic, position)
) STRICT;
CREATE UNIQUE INDEX topic_events_id ON topic_events (topic, id) WHERE id <> '';

CREATE TABLE roles (
    name TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    lease_until INTEGER
) STRICT, WITHOUT ROWID;
)";

void to_second(connection& database)
{
    database.execute(second);
}

// Version 3: the idempotency keys of callbacks are unique per name.
constexpr const char* third = R"(
DROP INDEX messages_key;
CREATE UNIQUE INDEX messages_key ON messages (run, name, key) WHERE key <> '';
)";

void to_third(connection& database)
{
    database.execute(third);
}

// Version 4 adds:
//
// payload_version  The schema version of a callback's payload.
constexpr const char* fourth = R"(
ALTER TABLE messages ADD COLUMN payload_version INTEGER NOT NULL DEFAULT 1;
)";

void to_fourth(connection& database)
{
    database.execute(fourth);
}

// Version 5 adds:
//
// runs_open  Unfinished runs in the order of their creation, for listings: a workflow has many more
//            finished ones.
constexpr const char* fifth = R"(
CREATE INDEX runs_open ON runs (workflow, created_at, id) WHERE finished = 0;
)";

void to_fifth(connection& database)
{
    database.execute(fifth);
}

// Version 6 adds:
//
// parent         The id of the parent of a child; NULL for other runs.
// runs_children  The children of a run in the order of their creation. Runs that are no children
//                write nothing to it.
// child_counts   The number of children of each run, by run state.
constexpr const char* sixth = R"(
ALTER TABLE runs ADD COLUMN parent BLOB;
CREATE INDEX runs_children ON runs (parent, created_at, id) WHERE parent IS NOT NULL;

CREATE TABLE child_counts (
    parent BLOB NOT NULL,
    state INTEGER NOT NULL,
    runs INTEGER NOT NULL,
    PRIMARY KEY (parent, state)
) STRICT, WITHOUT ROWID;
)";

// attributes  The attributes by which runs are found. value: see core::encode_attribute().
//             workflow, created_at and id are those of the run, for the index: it finds the runs
//             with a value in the order of listings.
constexpr const char* sixth_attributes = R"(
CREATE TABLE attributes (
    run INTEGER NOT NULL,
    name TEXT NOT NULL,
    workflow INTEGER NOT NULL,
    value BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    id BLOB NOT NULL,
    PRIMARY KEY (run, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX attributes_value ON attributes (workflow, name, value, created_at, id);
)";

void to_sixth(connection& database)
{
    database.execute(sixth);
    database.execute(sixth_attributes);
}

// Version 7 adds the runs that need an operator, for listings. Transitions of other runs write
// nothing to these indexes.
//
// runs_failing  Unfinished runs with a last error.
// runs_paused   Paused runs.
constexpr const char* seventh = R"(
CREATE INDEX runs_failing ON runs (workflow, created_at, id)
    WHERE finished = 0 AND last_error <> '';
CREATE INDEX runs_paused ON runs (workflow, created_at, id) WHERE state = 3;
)";

void to_seventh(connection& database)
{
    database.execute(seventh);
}

/// The migration at index n brings a file of version n to n + 1. Never change an entry.
using migration = void (*)(connection&);
constexpr std::array<migration, 7> migrations{create,   to_second, to_third,  to_fourth,
                                              to_fifth, to_sixth,  to_seventh};

void make_shards(connection& database, std::uint32_t shards)
{
    statement insert{database, "INSERT INTO shards VALUES (?, 1, '', 0, NULL)"};
    for (std::uint32_t shard = 0; shard < shards; ++shard)
        execution{insert}.bind(shard).run();
}

/// The version of the file's format; 0 for an empty file.
std::size_t stored_version(connection& database)
{
    const auto owner = database.integer("PRAGMA application_id");
    const auto version = database.integer("PRAGMA user_version");
    const bool is_empty = database.integer("SELECT count(*) FROM sqlite_schema") == 0;
    if (is_empty && owner == 0 && version == 0)
        return 0;
    if (owner != application_id || version < 1)
        throw_corrupt(database.path(), "this is a database of another program");
    if (static_cast<std::uint64_t>(version) > migrations.size())
        throw error{errc::store_version_unsupported,
                    fmt::format("{}: its format is version {}, this Pawl knows up to {}",
                                database.path(), version, migrations.size())};
    return static_cast<std::size_t>(version);
}

} // namespace

void check_schema(connection& database)
{
    if (stored_version(database) != migrations.size())
        throw_corrupt(database.path(), "another program has changed its format");
}

void prepare_schema(connection& database, std::uint32_t shards)
{
    // The version is checked before anything is written, so another program's file is not changed.
    auto version = stored_version(database);
    if (version == migrations.size())
        return;
    const bool is_new = version == 0;
    transaction writing{database};
    for (; version < migrations.size(); ++version)
        migrations[version](database);
    if (is_new)
        make_shards(database, shards);
    database.execute(fmt::format("PRAGMA user_version = {}", migrations.size()).c_str());
    writing.commit();
}

} // namespace pawl::sqlite
