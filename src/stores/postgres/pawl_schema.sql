-- The tables and functions of Pawl in PostgreSQL (13 or later).
--
-- Pawl runs this script when it opens a database with a role that may create the schema. For a role
-- that may not, an administrator runs it once:
--
--     psql --single-transaction -v ON_ERROR_STOP=1 -v schema=pawl -v shards=64 -f pawl_schema.sql
--
-- and grants these privileges to the role of the application:
--
--     GRANT USAGE ON SCHEMA pawl TO application;
--     GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA pawl TO application;
--
-- Texts of callers are stored as bytea, because the type text accepts neither NUL nor bytes outside
-- the database's encoding; the view runs_readable decodes them. An empty text is stored as NULL, unless
-- it is a name. Times are microseconds since the Unix epoch, UTC. Enumerations are the numbers of Pawl's
-- public headers.

\if :{?schema} \else \set schema pawl \endif
\if :{?shards} \else \set shards 64 \endif

-- version 1

CREATE SCHEMA IF NOT EXISTS :"schema";
SET LOCAL search_path = :"schema";

CREATE TABLE meta (
    version integer NOT NULL,
    shards integer NOT NULL
);

-- One row per shard. next_sequence is the sequence of the shard's next event; epoch is the fencing
-- token of its owner: see next_epoch(). commits is the number of commits that changed the shard, for
-- polling. A transaction that changes runs, messages or cursors of a shard locks its row first.
CREATE TABLE shards (
    shard integer PRIMARY KEY,
    next_sequence bigint NOT NULL DEFAULT 1,
    commits bigint NOT NULL DEFAULT 0,
    epoch bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- The owner of each shard; NULL when it is free. Leases have rows of their own, so that a renewal waits
-- for no batch. A transaction that changes the owner also locks the shard's row. lease_duration is the
-- duration that the owner requested, in microseconds: see is_lapsed().
CREATE TABLE leases (
    shard integer PRIMARY KEY,
    lease_until bigint,
    owner bytea,
    lease_duration bigint
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

CREATE TABLE workflows (
    workflow integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name bytea NOT NULL UNIQUE
);

-- The index key of a text of a caller, after a prefix: the whole text, or a digest of a long one,
-- because index rows have a maximum size. The key is one value, because a planner without statistics
-- would otherwise search by a part of it.
CREATE FUNCTION index_key(prefix bytea, whole bytea) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT prefix || CASE WHEN length(whole) <= 500 THEN whole
                         ELSE substring(whole FROM 1 FOR 469) || sha256(whole) END $$;

-- The current record of each run. No index has a column that an ordinary transition changes, so the
-- update writes no index (HOT). The fill factor leaves room for one more version of each row, because
-- runs that start together are stored together and progress together. For HOT, due times are in a table
-- of their own, and finished_at, the time of a finished run's last commit, is not updated_at. No two
-- indexes begin with the same key or have the same condition, so that no plan scans all runs of a
-- foreign id or workflow to find one of them. paused says whether state is 3, for an index: state itself
-- changes with the first transition of each run. details has the fields that no query uses, as Pawl
-- encodes them.
CREATE TABLE runs (
    id uuid PRIMARY KEY,
    version bigint NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    entered_at bigint NOT NULL,
    not_before bigint,
    wake_at bigint,
    finished_at bigint,
    inbox_last bigint NOT NULL,
    visit bigint NOT NULL,
    object_version bigint NOT NULL,
    shard integer NOT NULL,
    workflow integer NOT NULL,
    status integer NOT NULL,
    attempt integer NOT NULL,
    inbox_pending integer NOT NULL,
    state smallint NOT NULL,
    step_done boolean NOT NULL,
    paused boolean NOT NULL,
    foreign_id bytea NOT NULL,
    start_key bytea,
    trace_parent bytea,
    last_error bytea,
    reason bytea,
    details bytea,
    object bytea NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
CREATE UNIQUE INDEX runs_unfinished ON runs (index_key(int4send(workflow) || '\x01', foreign_id))
    WHERE finished_at IS NULL;
CREATE UNIQUE INDEX runs_started
    ON runs (index_key(int4send(workflow) || index_key(int4send(length(foreign_id)), foreign_id),
                       start_key))
    WHERE start_key IS NOT NULL;
CREATE INDEX runs_foreign ON runs (index_key(int4send(workflow), foreign_id), created_at, id);
CREATE INDEX runs_created ON runs (workflow, created_at, id);
CREATE INDEX runs_open ON runs ((int4send(workflow) || '\x02'), created_at, id)
    WHERE coalesce(finished_at, 0) = 0;
CREATE INDEX runs_paused ON runs ((int4send(workflow) || '\x03'), created_at, id) WHERE paused;
CREATE INDEX runs_failing ON runs ((int4send(workflow) || '\x04'), created_at, id)
    WHERE last_error IS NOT NULL;
CREATE INDEX runs_finished ON runs (shard, workflow, finished_at, id)
    WHERE finished_at IS NOT NULL;

-- The times at which runs need an engine: runs.wake_at, where it is not NULL.
CREATE TABLE due (
    shard integer NOT NULL,
    wake_at bigint NOT NULL,
    run uuid NOT NULL,
    PRIMARY KEY (shard, wake_at, run)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);

-- The log. position is shard << 48 | sequence, so the events of a shard are adjacent.
CREATE TABLE events (
    position bigint PRIMARY KEY,
    run uuid NOT NULL,
    version bigint NOT NULL,
    at bigint NOT NULL,
    from_status integer NOT NULL,
    to_status integer NOT NULL,
    attempt integer NOT NULL,
    kind smallint NOT NULL,
    state smallint NOT NULL,
    error bytea,
    requested_by bytea
) WITH (autovacuum_vacuum_insert_scale_factor = 0.1);
CREATE INDEX events_run ON events (run, version);

-- The inboxes. outcome 0 is pending. A settled message keeps its row but not its payload; a failed one
-- does not keep its key either.
CREATE TABLE messages (
    run uuid NOT NULL,
    sequence bigint NOT NULL,
    sent_at bigint NOT NULL,
    expires_at bigint,
    kind smallint NOT NULL,
    outcome smallint NOT NULL,
    name bytea NOT NULL,
    key bytea,
    requested_by bytea,
    detail bytea,
    payload_version bigint NOT NULL,
    payload bytea NOT NULL,
    PRIMARY KEY (run, sequence)
) WITH (fillfactor = 80);
CREATE INDEX messages_pending ON messages (run, sequence) WHERE outcome = 0;
CREATE UNIQUE INDEX messages_key
    ON messages (index_key(uuid_send(run) || index_key(int4send(length(name)), name), key))
    WHERE key IS NOT NULL;

-- Removed runs whose events and messages are not all deleted yet: see sweep_removed().
CREATE TABLE leftovers (run uuid PRIMARY KEY);

-- Named positions in a shard's log. Their type is numeric, because a position is an unsigned 64-bit number.
CREATE TABLE cursors (
    shard integer NOT NULL,
    name bytea NOT NULL,
    position numeric NOT NULL,
    PRIMARY KEY (shard, name)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- The number of runs of each workflow, status and state: the sum over all slots. Each session updates
-- the slot of its process, so that concurrent writers seldom wait for each other.
CREATE TABLE counts (
    slot integer NOT NULL,
    workflow integer NOT NULL,
    status integer NOT NULL,
    state smallint NOT NULL,
    runs bigint NOT NULL,
    PRIMARY KEY (slot, workflow, status, state)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

CREATE TABLE topics (
    topic integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name bytea NOT NULL UNIQUE,
    next_position bigint NOT NULL DEFAULT 1
) WITH (fillfactor = 50);

CREATE TABLE topic_events (
    topic integer NOT NULL,
    position bigint NOT NULL,
    at bigint NOT NULL,
    id bytea,
    key bytea,
    type bytea,
    headers bytea,
    trace_parent bytea,
    payload bytea NOT NULL,
    PRIMARY KEY (topic, position)
);
CREATE UNIQUE INDEX topic_events_id ON topic_events (index_key(int4send(topic), id))
    WHERE id IS NOT NULL;

CREATE TABLE roles (
    name bytea PRIMARY KEY,
    owner bytea,
    epoch bigint NOT NULL,
    lease_until bigint NOT NULL,
    lease_duration bigint -- as that of a shard
);

INSERT INTO shards (shard) SELECT generate_series(0, :shards - 1);
INSERT INTO leases (shard) SELECT shard FROM shards;
INSERT INTO meta VALUES (1, :shards);

-- Runs in readable form, for psql. Bytes that are not ASCII appear as \nnn.
CREATE VIEW runs_readable AS
SELECT id, encode(workflows.name, 'escape') AS workflow, encode(foreign_id, 'escape') AS foreign_id,
       shard, version,
       (ARRAY['Initiated', 'Running', 'Paused', 'Cancelled', 'Completed', 'DataDeleted',
              'RequestedDataDeleted'])[state] AS state,
       status, attempt, to_timestamp(wake_at / 1e6) AS wake_at,
       to_timestamp(created_at / 1e6) AS created_at, to_timestamp(updated_at / 1e6) AS updated_at,
       inbox_pending, encode(last_error, 'escape') AS last_error,
       encode(reason, 'escape') AS reason, encode(object, 'escape') AS object
FROM runs JOIN workflows USING (workflow);

-- The parameters of apply(): the changes of a batch, one type per kind of change. ord is the change's
-- index in the batch. Changes of one wave may be decided together; those of a later wave see the effects
-- of earlier waves.
CREATE TYPE transition_input AS (
    ord integer,
    wave integer,
    run uuid,
    shard integer,
    expected bigint,     -- 0 creates
    epoch bigint,        -- 0 is not checked
    once boolean,
    inbox_seen bigint,
    kind smallint,
    from_status integer,
    error bytea,         -- of the event
    requested_by bytea,
    workflow integer,
    foreign_id bytea,    -- from here to created_at: of a start only
    start_key bytea,
    trace_parent bytea,
    created_at bigint,
    version bigint,
    updated_at bigint,
    entered_at bigint,
    not_before bigint,
    wake_at bigint,
    visit bigint,
    object_version bigint,
    status integer,
    attempt integer,
    state smallint,
    finished boolean,
    step_done boolean,
    last_error bytea,
    reason bytea,
    details bytea,
    object bytea
);
CREATE TYPE settlement_input AS (ord integer, sequence bigint, outcome smallint, detail bytea);
CREATE TYPE delivery_input AS (
    ord integer,
    wave integer,
    run uuid,
    sent_at bigint,
    expires_at bigint,
    kind smallint,
    name bytea,
    key bytea,
    requested_by bytea,
    payload_version bigint,
    payload bytea,
    max_pending integer
);
CREATE TYPE cursor_input AS (ord integer, shard integer, name bytea, place text, epoch bigint);
CREATE TYPE removal_input AS (ord integer, wave integer, run uuid, expected bigint, epoch bigint);
CREATE TYPE publication_input AS (
    ord integer,
    wave integer,
    topic bytea,
    at bigint,
    id bytea,
    key bytea,
    type bytea,
    headers bytea,
    trace_parent bytea,
    payload bytea
);
CREATE TYPE trim_input AS (ord integer, wave integer, topic bytea, up_to bigint);

-- The result of a change. verdict is a number of pawl::apply_status; wake is the due time that the change
-- stored in shard.
CREATE TYPE verdict AS (
    ord integer,
    verdict smallint,
    sequence bigint,
    existing uuid,
    outcome smallint,
    detail bytea,
    shard integer,
    wake bigint
);

CREATE FUNCTION now_us() RETURNS bigint LANGUAGE sql VOLATILE AS
$$ SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint $$;

-- The epoch after another one. It is the current time if that is greater, so that an epoch that was
-- granted and then lost, for example in a failover to a lagging standby, is not granted again.
CREATE FUNCTION next_epoch(before bigint) RETURNS bigint LANGUAGE sql VOLATILE AS
$$ SELECT greatest(before + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) $$;

-- The functions below find rows with LATERAL subqueries that end in LIMIT or OFFSET, and change them by
-- their ctid. So no plan can scan a whole table and search its rows in the batch, as a planner would
-- that assumes an empty table. A ctid stays valid, because no other transaction changes these rows: see
-- apply().

-- Settles the messages of those transitions that will be accepted.
CREATE FUNCTION apply_settlements(transitions transition_input[], settlements settlement_input[],
                                  present integer)
RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    WITH allowed AS MATERIALIZED (
        SELECT t.ord, t.run, r.place
        FROM unnest(transitions) t
        CROSS JOIN LATERAL (SELECT s.epoch FROM shards s WHERE s.shard = t.shard LIMIT 1) s
        CROSS JOIN LATERAL (
            SELECT r.ctid AS place, r.version, r.inbox_pending FROM runs r
            WHERE r.id = t.run LIMIT 1) r
        WHERE t.wave = present AND t.expected > 0 AND r.version = t.expected
          AND (t.epoch = 0 OR t.epoch = s.epoch) AND r.inbox_pending > 0
    ), found AS MATERIALIZED (
        SELECT a.place AS run_place, m.place, i.outcome, i.detail
        FROM allowed a JOIN unnest(settlements) i ON i.ord = a.ord
        CROSS JOIN LATERAL (
            SELECT m.ctid AS place, m.outcome FROM messages m
            WHERE m.run = a.run AND m.sequence = i.sequence LIMIT 1) m
        WHERE m.outcome = 0
    ), settled AS (
        UPDATE messages m SET outcome = f.outcome, detail = f.detail, payload = '',
                              key = CASE WHEN f.outcome <> 3 THEN m.key END
        FROM found f WHERE m.ctid = f.place
    )
    UPDATE runs r SET inbox_pending = r.inbox_pending - ended.messages
    FROM (SELECT run_place, count(*)::integer AS messages FROM found GROUP BY run_place) ended
    WHERE r.ctid = ended.run_place;
END $$;

CREATE FUNCTION apply_transitions(transitions transition_input[], present integer)
RETURNS SETOF verdict LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RETURN QUERY WITH judged AS MATERIALIZED (
        SELECT i.*, s.next_sequence, s.place AS shard_place, r.place AS run_place,
               r.wake_at AS old_wake, r.status AS old_status, r.state AS old_state,
               r.inbox_pending AS pending,
               CASE WHEN i.inbox_seen < r.inbox_last AND NOT i.finished
                    THEN least(i.wake_at, i.updated_at) ELSE i.wake_at END AS new_wake,
               CASE WHEN i.expected > 0 AND r.id IS NULL THEN 7
                    WHEN i.epoch <> 0 AND i.epoch <> s.epoch THEN 6
                    WHEN i.expected > 0 THEN CASE WHEN r.version = i.expected THEN 0 ELSE 2 END
                    WHEN same.id IS NOT NULL THEN 1
                    WHEN r.id IS NOT NULL THEN 2
                    WHEN unfinished.id IS NOT NULL THEN 3
                    WHEN latest.id IS NOT NULL THEN 4
                    ELSE 0 END::smallint AS verdict,
               coalesce(same.id, unfinished.id, latest.id) AS existing
        FROM unnest(transitions) i
        CROSS JOIN LATERAL (
            SELECT s.ctid AS place, s.next_sequence, s.epoch FROM shards s
            WHERE s.shard = i.shard LIMIT 1) s
        LEFT JOIN LATERAL (
            SELECT r.ctid AS place, r.id, r.version, r.wake_at, r.status, r.state, r.inbox_last,
                   r.inbox_pending
            FROM runs r WHERE r.id = i.run LIMIT 1) r ON true
        LEFT JOIN LATERAL (
            SELECT o.id FROM runs o
            WHERE i.expected = 0 AND o.start_key IS NOT NULL
              AND index_key(int4send(o.workflow) ||
                            index_key(int4send(length(o.foreign_id)), o.foreign_id), o.start_key)
                = index_key(int4send(i.workflow) ||
                            index_key(int4send(length(i.foreign_id)), i.foreign_id), i.start_key)
            LIMIT 1) same ON true
        LEFT JOIN LATERAL (
            SELECT o.id FROM runs o
            WHERE i.expected = 0 AND o.finished_at IS NULL
              AND index_key(int4send(o.workflow) || '\x01', o.foreign_id)
                = index_key(int4send(i.workflow) || '\x01', i.foreign_id)
            LIMIT 1) unfinished ON true
        LEFT JOIN LATERAL (
            SELECT o.id FROM runs o
            WHERE i.expected = 0 AND i.once
              AND index_key(int4send(o.workflow), o.foreign_id)
                = index_key(int4send(i.workflow), i.foreign_id)
            ORDER BY o.created_at DESC, o.id DESC LIMIT 1) latest ON true
        WHERE i.wave = present
    ), accepted AS MATERIALIZED (
        SELECT *, next_sequence - 1 + row_number() OVER (PARTITION BY shard ORDER BY ord)
                  AS sequence
        FROM judged WHERE verdict = 0
    ), updated AS (
        UPDATE runs r SET
            version = a.version, updated_at = a.updated_at, entered_at = a.entered_at,
            not_before = a.not_before, wake_at = a.new_wake,
            finished_at = CASE WHEN a.finished THEN a.updated_at END,
            visit = a.visit, object_version = a.object_version, status = a.status,
            attempt = a.attempt, state = a.state, step_done = a.step_done, paused = a.state = 3,
            inbox_pending = CASE WHEN a.finished THEN 0 ELSE r.inbox_pending END,
            last_error = a.last_error, reason = a.reason, details = a.details, object = a.object
        FROM accepted a WHERE r.ctid = a.run_place
    ), created AS (
        INSERT INTO runs (id, version, created_at, updated_at, entered_at, not_before, wake_at,
                          finished_at, inbox_last, visit, object_version, shard, workflow, status,
                          attempt, inbox_pending, state, step_done, paused, foreign_id, start_key,
                          trace_parent, last_error, reason, details, object)
        SELECT run, version, created_at, updated_at, entered_at, not_before, new_wake,
               CASE WHEN finished THEN updated_at END, 0, visit, object_version, shard, workflow,
               status, attempt, 0, state, step_done, state = 3, foreign_id, start_key, trace_parent,
               last_error, reason, details, object
        FROM accepted WHERE expected = 0
    ), ended AS (
        UPDATE messages m SET outcome = 2, detail = 'the run has finished', payload = ''
        FROM accepted a CROSS JOIN LATERAL (
            SELECT m.ctid AS place FROM messages m WHERE m.run = a.run AND m.outcome = 0
            OFFSET 0) waiting
        WHERE a.finished AND a.pending > 0 AND m.ctid = waiting.place
    ), unsaid AS (
        -- data_deleted: texts that may quote the data, but for the reason of the deletion
        UPDATE events e SET error = NULL
        FROM accepted a CROSS JOIN LATERAL (
            SELECT e.ctid AS place FROM events e
            WHERE e.run = a.run AND e.error IS NOT NULL AND e.kind <> 11 OFFSET 0) said
        WHERE a.kind = 12 AND e.ctid = said.place
    ), forgotten AS (
        UPDATE messages m SET detail = NULL
        FROM accepted a CROSS JOIN LATERAL (
            SELECT m.ctid AS place FROM messages m
            WHERE m.run = a.run AND m.outcome <> 0 AND m.detail IS NOT NULL OFFSET 0) settled
        WHERE a.kind = 12 AND m.ctid = settled.place
    ), logged AS (
        INSERT INTO events (position, run, version, at, from_status, to_status, attempt, kind,
                            state, error, requested_by)
        SELECT shard::bigint << 48 | sequence, run, version, updated_at, from_status, status,
               attempt, kind, state, error, requested_by
        FROM accepted ORDER BY shard, ord
    ), timed AS MATERIALIZED (
        SELECT a.shard, a.run, a.old_wake, a.new_wake, d.place
        FROM accepted a LEFT JOIN LATERAL (
            SELECT d.ctid AS place FROM due d
            WHERE d.shard = a.shard AND d.wake_at = a.old_wake AND d.run = a.run LIMIT 1) d ON true
        WHERE a.old_wake IS DISTINCT FROM a.new_wake
    ), asleep AS (
        DELETE FROM due d USING timed t WHERE t.new_wake IS NULL AND d.ctid = t.place
    ), moved AS (
        UPDATE due d SET wake_at = t.new_wake FROM timed t
        WHERE t.new_wake IS NOT NULL AND d.ctid = t.place
    ), awake AS (
        INSERT INTO due (shard, wake_at, run)
        SELECT shard, new_wake, run FROM timed WHERE old_wake IS NULL
    ), numbered AS (
        UPDATE shards s SET next_sequence = s.next_sequence + taken.events, commits = s.commits + 1
        FROM (SELECT shard_place, count(*) AS events FROM accepted GROUP BY shard_place) taken
        WHERE s.ctid = taken.shard_place
    ), counted AS (
        INSERT INTO counts (slot, workflow, status, state, runs)
        SELECT pg_backend_pid() & 63, workflow, status, state, sum(runs) FROM (
            SELECT workflow, status, state, 1 AS runs FROM accepted
            WHERE (status, state) IS DISTINCT FROM (old_status, old_state)
            UNION ALL
            SELECT workflow, old_status, old_state, -1 FROM accepted
            WHERE (status, state) IS DISTINCT FROM (old_status, old_state) AND expected > 0
        ) each GROUP BY workflow, status, state HAVING sum(runs) <> 0
        ORDER BY workflow, status, state
        ON CONFLICT (slot, workflow, status, state)
            DO UPDATE SET runs = counts.runs + excluded.runs
    )
    SELECT ord, verdict, NULL::bigint, existing, NULL::smallint, NULL::bytea, shard, NULL::bigint
    FROM judged WHERE verdict <> 0
    UNION ALL
    SELECT ord, 0::smallint, sequence, NULL, NULL, NULL, shard, new_wake FROM accepted;
END $$;

CREATE FUNCTION apply_deliveries(deliveries delivery_input[], present integer, locked integer[])
RETURNS SETOF verdict LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RETURN QUERY WITH found AS MATERIALIZED (
        SELECT i.*, r.shard, r.place, r.wake_at AS old_wake, r.inbox_last, r.inbox_pending,
               same.sequence AS first_sequence, same.outcome AS first_outcome,
               same.detail AS first_detail,
               CASE WHEN r.place IS NULL THEN 7
                    WHEN same.sequence IS NOT NULL THEN 1
                    WHEN r.finished_at IS NOT NULL AND i.kind <> 5 THEN 5
                    ELSE 0 END::smallint AS first_verdict
        FROM unnest(deliveries) i
        LEFT JOIN LATERAL (
            SELECT r.ctid AS place, r.shard, r.wake_at, r.inbox_last, r.inbox_pending,
                   r.finished_at
            FROM runs r
            WHERE r.id = i.run AND r.shard = ANY (locked) LIMIT 1) r ON true
        LEFT JOIN LATERAL (
            SELECT m.sequence, m.outcome, m.detail FROM messages m
            WHERE m.key IS NOT NULL
              AND index_key(uuid_send(m.run) || index_key(int4send(length(m.name)), m.name), m.key)
                = index_key(uuid_send(i.run) || index_key(int4send(length(i.name)), i.name), i.key)
            LIMIT 1) same ON true
        WHERE i.wave = present
    ), limited AS ( -- messages of one limit fill an inbox, so that callbacks leave room for commands
        SELECT f.*, CASE WHEN f.first_verdict = 0 AND f.max_pending > 0
                          AND f.inbox_pending
                              + count(*) FILTER (WHERE f.first_verdict = 0)
                                    OVER (PARTITION BY f.run, f.max_pending ORDER BY f.ord)
                              > f.max_pending
                         THEN 8 ELSE f.first_verdict END::smallint AS second_verdict
        FROM found f
    ), judged AS MATERIALIZED ( -- then all of them together
        SELECT l.*, CASE WHEN l.second_verdict = 0 AND l.max_pending > 0
                          AND l.inbox_pending
                              + count(*) FILTER (WHERE l.second_verdict = 0)
                                    OVER (PARTITION BY l.run ORDER BY l.ord)
                              > l.max_pending
                         THEN 8 ELSE l.second_verdict END::smallint AS verdict
        FROM limited l
    ), accepted AS MATERIALIZED (
        SELECT *, inbox_last + row_number() OVER (PARTITION BY run ORDER BY ord) AS sequence
        FROM judged WHERE verdict = 0
    ), stored AS (
        INSERT INTO messages (run, sequence, sent_at, expires_at, kind, outcome, name, key,
                              requested_by, detail, payload_version, payload)
        SELECT run, sequence, sent_at, expires_at, kind, 0, name, key, requested_by, NULL,
               payload_version, payload
        FROM accepted
    ), changed AS MATERIALIZED (
        SELECT run, place, shard, old_wake, least(old_wake, min(sent_at)) AS new_wake,
               max(sequence) AS last, count(*)::integer AS messages
        FROM accepted GROUP BY run, place, shard, old_wake
    ), updated AS (
        UPDATE runs r SET inbox_last = c.last, inbox_pending = r.inbox_pending + c.messages,
                          wake_at = c.new_wake
        FROM changed c WHERE r.ctid = c.place
    ), moved AS (
        UPDATE due d SET wake_at = c.new_wake FROM changed c CROSS JOIN LATERAL (
            SELECT d.ctid AS place FROM due d
            WHERE d.shard = c.shard AND d.wake_at = c.old_wake AND d.run = c.run LIMIT 1) found
        WHERE c.new_wake <> c.old_wake AND d.ctid = found.place
    ), awake AS (
        INSERT INTO due (shard, wake_at, run)
        SELECT shard, new_wake, run FROM changed WHERE old_wake IS NULL
    ), noted AS (
        UPDATE shards s SET commits = s.commits + 1
        WHERE s.shard = ANY (ARRAY(SELECT DISTINCT c.shard FROM changed c))
    )
    SELECT ord, verdict, first_sequence, CASE WHEN verdict = 1 THEN run END, first_outcome,
           first_detail, shard, NULL::bigint
    FROM judged WHERE verdict <> 0
    UNION ALL
    SELECT a.ord, 0::smallint, a.sequence, NULL, NULL, NULL, a.shard,
           least(a.old_wake, min(a.sent_at) OVER (PARTITION BY a.run))
    FROM accepted a;
END $$;

CREATE FUNCTION apply_removals(removals removal_input[], present integer, locked integer[])
RETURNS SETOF verdict LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RETURN QUERY WITH judged AS MATERIALIZED (
        SELECT i.ord, i.run, r.place, r.shard, r.wake_at, r.workflow, r.status, r.state,
               CASE WHEN r.place IS NULL THEN 7
                    WHEN i.epoch <> 0 AND i.epoch <> s.epoch THEN 6
                    WHEN r.version <> i.expected THEN 2
                    WHEN r.finished_at IS NULL THEN 3
                    ELSE 0 END::smallint AS verdict
        FROM unnest(removals) i
        LEFT JOIN LATERAL (
            SELECT r.ctid AS place, r.shard, r.version, r.wake_at, r.workflow, r.status, r.state,
                   r.finished_at
            FROM runs r WHERE r.id = i.run AND r.shard = ANY (locked) LIMIT 1) r ON true
        LEFT JOIN LATERAL (
            SELECT s.epoch FROM shards s WHERE s.shard = r.shard LIMIT 1) s ON true
        WHERE i.wave = present
    ), accepted AS MATERIALIZED (
        SELECT * FROM judged WHERE verdict = 0
    ), no_events AS (
        DELETE FROM events e USING accepted a CROSS JOIN LATERAL (
            SELECT e.ctid AS place FROM events e WHERE e.run = a.run LIMIT 500) found
        WHERE e.ctid = found.place
    ), no_messages AS (
        DELETE FROM messages m USING accepted a CROSS JOIN LATERAL (
            SELECT m.ctid AS place FROM messages m WHERE m.run = a.run LIMIT 500) found
        WHERE m.ctid = found.place
    ), long_lived AS (
        INSERT INTO leftovers SELECT a.run FROM accepted a
        WHERE EXISTS (SELECT FROM events e WHERE e.run = a.run OFFSET 500)
           OR EXISTS (SELECT FROM messages m WHERE m.run = a.run OFFSET 500)
        ON CONFLICT DO NOTHING RETURNING run
    ), asleep AS (
        DELETE FROM due d USING accepted a CROSS JOIN LATERAL (
            SELECT d.ctid AS place FROM due d
            WHERE d.shard = a.shard AND d.wake_at = a.wake_at AND d.run = a.run LIMIT 1) found
        WHERE d.ctid = found.place
    ), removed AS (
        DELETE FROM runs r USING accepted a WHERE r.ctid = a.place
    ), counted AS (
        INSERT INTO counts (slot, workflow, status, state, runs)
        SELECT pg_backend_pid() & 63, workflow, status, state, -count(*) FROM accepted
        GROUP BY workflow, status, state ORDER BY workflow, status, state
        ON CONFLICT (slot, workflow, status, state)
            DO UPDATE SET runs = counts.runs + excluded.runs
    )
    SELECT ord, verdict,
           (EXISTS (SELECT FROM long_lived) OR EXISTS (SELECT FROM leftovers))::integer::bigint,
           NULL::uuid, NULL::smallint, NULL::bytea, NULL::integer, NULL::bigint
    FROM judged;
END $$;

-- Deletes a part of the rows of a removed run; false when no removed run has rows. These rows are not
-- visible, because all readers of events join runs.
CREATE FUNCTION sweep_removed() RETURNS boolean LANGUAGE plpgsql VOLATILE
SET search_path = :"schema"
SET enable_seqscan = off
AS $$
DECLARE
    gone uuid;
    deleted bigint;
    forgotten bigint;
BEGIN
    SELECT r.run INTO gone FROM leftovers r LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF gone IS NULL THEN
        RETURN false;
    END IF;
    DELETE FROM events e WHERE e.ctid = ANY (ARRAY(
        SELECT o.ctid FROM events o WHERE o.run = gone LIMIT 5000));
    GET DIAGNOSTICS deleted = ROW_COUNT;
    DELETE FROM messages m WHERE m.ctid = ANY (ARRAY(
        SELECT o.ctid FROM messages o WHERE o.run = gone LIMIT 5000));
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    IF deleted + forgotten = 0 THEN
        DELETE FROM leftovers r WHERE r.run = gone;
    END IF;
    RETURN true;
END $$;

CREATE FUNCTION apply_cursor_moves(cursor_moves cursor_input[])
RETURNS SETOF verdict LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RETURN QUERY WITH judged AS MATERIALIZED (
        -- Cursors of an owner, and of receivers of a workflow's events, count in the shard's log.
        SELECT i.*, CASE WHEN i.epoch <> 0 AND i.epoch <> s.epoch THEN 6
                         WHEN (i.epoch <> 0 OR substring(i.name FROM 1 FOR 7) = 'events/')
                          AND i.place::numeric > s.next_sequence THEN 6
                         ELSE 0 END::smallint AS verdict
        FROM unnest(cursor_moves) i
        CROSS JOIN LATERAL (
            SELECT s.epoch, s.next_sequence FROM shards s WHERE s.shard = i.shard LIMIT 1) s
    ), moved AS (
        INSERT INTO cursors (shard, name, position)
        SELECT shard, name, max(place::numeric) FROM judged
        WHERE verdict = 0 AND place <> '0' GROUP BY shard, name ORDER BY shard, name
        ON CONFLICT (shard, name) DO UPDATE SET position = excluded.position
            WHERE cursors.position < excluded.position
    )
    SELECT ord, verdict, NULL::bigint, NULL::uuid, NULL::smallint, NULL::bytea, NULL::integer,
           NULL::bigint
    FROM judged;
END $$;

CREATE FUNCTION apply_publications(publications publication_input[], present integer)
RETURNS SETOF verdict LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RETURN QUERY WITH judged AS MATERIALIZED (
        SELECT i.*, t.topic AS number, t.place, t.next_position, same.position
        FROM unnest(publications) i
        CROSS JOIN LATERAL (
            SELECT t.ctid AS place, t.topic, t.next_position FROM topics t
            WHERE t.name = i.topic LIMIT 1) t
        LEFT JOIN LATERAL (
            SELECT e.position FROM topic_events e
            WHERE e.id IS NOT NULL
              AND index_key(int4send(e.topic), e.id) = index_key(int4send(t.topic), i.id)
            LIMIT 1) same ON true
        WHERE i.wave = present
    ), accepted AS MATERIALIZED (
        SELECT *, next_position - 1 + row_number() OVER (PARTITION BY number ORDER BY ord)
                  AS given
        FROM judged WHERE position IS NULL
    ), stored AS (
        INSERT INTO topic_events (topic, position, at, id, key, type, headers, trace_parent,
                                  payload)
        SELECT number, given, at, id, key, type, headers, trace_parent, payload FROM accepted
        ORDER BY number, given
    ), numbered AS (
        UPDATE topics t SET next_position = taken.last + 1
        FROM (SELECT place, max(given) AS last FROM accepted GROUP BY place) taken
        WHERE t.ctid = taken.place
    )
    SELECT ord, 1::smallint, position, NULL::uuid, NULL::smallint, NULL::bytea, NULL::integer,
           NULL::bigint
    FROM judged WHERE position IS NOT NULL
    UNION ALL
    SELECT ord, 0::smallint, given, NULL, NULL, NULL, NULL, NULL FROM accepted;
END $$;

-- Deletes at most 5,000 events of each topic. The sequence of the verdict is 0 when the trim is
-- complete.
CREATE FUNCTION apply_trims(trims trim_input[], present integer)
RETURNS SETOF verdict LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RETURN QUERY WITH wanted AS MATERIALIZED (
        SELECT * FROM unnest(trims) WHERE wave = present
    ), gone AS (
        DELETE FROM topic_events e USING wanted w
        CROSS JOIN LATERAL (SELECT t.topic FROM topics t WHERE t.name = w.topic LIMIT 1) t
        CROSS JOIN LATERAL (
            SELECT e.ctid AS place FROM topic_events e
            WHERE e.topic = t.topic AND e.position <= w.up_to
            ORDER BY e.position LIMIT 5000) found
        WHERE e.ctid = found.place
        RETURNING w.ord
    )
    SELECT ord, 0::smallint, (SELECT count(*) / 5000 FROM gone g WHERE g.ord = wanted.ord),
           NULL::uuid, NULL::smallint, NULL::bytea, NULL::integer,
           NULL::bigint
    FROM wanted;
END $$;

-- Applies a batch. It first locks the rows of all its shards, in ascending order to prevent deadlocks,
-- and then of its topics. Each later statement sees the effects of earlier statements and committed batches, and no
-- other transaction changes these rows. It waits for each of these locks for at most `patience`
-- milliseconds, and for others for the session's lock_timeout.
--
-- Planner settings enforce index scans for each run, because one plan serves batches of all sizes and is
-- usually made before there are statistics.
CREATE FUNCTION apply(transitions transition_input[], settlements settlement_input[],
                      deliveries delivery_input[], cursor_moves cursor_input[],
                      removals removal_input[], publications publication_input[],
                      trims trim_input[], last_wave integer, patience integer)
RETURNS SETOF verdict LANGUAGE plpgsql VOLATILE
SET search_path = :"schema"
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan
SET jit = off
AS $$
DECLARE
    wanted integer[];
    locked integer[];
    usual_patience text := current_setting('lock_timeout');
BEGIN
    -- As a foreign key of runs, but once a batch: the row of a workflow may be lost. By this code the
    -- store reads again which workflows there are.
    IF EXISTS (SELECT FROM (SELECT DISTINCT t.workflow FROM unnest(transitions) t
                            WHERE t.expected = 0) started
               WHERE NOT EXISTS (SELECT FROM workflows w WHERE w.workflow = started.workflow)) THEN
        RAISE undefined_object USING MESSAGE = 'a workflow of the batch is not stored';
    END IF;
    SELECT array_agg(DISTINCT each.shard) INTO wanted FROM (
        SELECT t.shard FROM unnest(transitions) t
        UNION ALL SELECT c.shard FROM unnest(cursor_moves) c
        UNION ALL SELECT r.shard FROM unnest(deliveries) d
            CROSS JOIN LATERAL (SELECT r.shard FROM runs r WHERE r.id = d.run LIMIT 1) r
        UNION ALL SELECT r.shard FROM unnest(removals) d
            CROSS JOIN LATERAL (SELECT r.shard FROM runs r WHERE r.id = d.run LIMIT 1) r) each;
    PERFORM set_config('lock_timeout', patience::text, true);
    SELECT array_agg(held.shard) INTO locked FROM (
        SELECT s.shard FROM shards s WHERE s.shard = ANY (wanted)
        ORDER BY s.shard FOR NO KEY UPDATE) held;
    IF cardinality(publications) > 0 THEN
        INSERT INTO topics (name)
        SELECT DISTINCT p.topic FROM unnest(publications) p
        WHERE NOT EXISTS (SELECT FROM topics t WHERE t.name = p.topic)
        ORDER BY p.topic ON CONFLICT (name) DO NOTHING;
    END IF;
    IF cardinality(publications) > 0 OR cardinality(trims) > 0 THEN
        PERFORM FROM topics t WHERE t.name = ANY (ARRAY(
            SELECT p.topic FROM unnest(publications) p
            UNION SELECT m.topic FROM unnest(trims) m))
        ORDER BY t.topic FOR NO KEY UPDATE;
    END IF;
    PERFORM set_config('lock_timeout', usual_patience, true);
    FOR present IN 0..last_wave LOOP
        IF cardinality(transitions) > 0 THEN
            IF cardinality(settlements) > 0 THEN
                PERFORM apply_settlements(transitions, settlements, present);
            END IF;
            RETURN QUERY SELECT * FROM apply_transitions(transitions, present);
        END IF;
        IF cardinality(deliveries) > 0 THEN
            RETURN QUERY SELECT * FROM apply_deliveries(deliveries, present, locked);
        END IF;
        IF cardinality(removals) > 0 THEN
            RETURN QUERY SELECT * FROM apply_removals(removals, present, locked);
        END IF;
        IF cardinality(publications) > 0 THEN
            RETURN QUERY SELECT * FROM apply_publications(publications, present);
        END IF;
        IF cardinality(trims) > 0 THEN
            RETURN QUERY SELECT * FROM apply_trims(trims, present);
        END IF;
    END LOOP;
    IF cardinality(cursor_moves) > 0 THEN
        RETURN QUERY SELECT * FROM apply_cursor_moves(cursor_moves);
    END IF;
END $$;

-- The shards and topics, among the given ones, whose rows another session has locked at the moment.
CREATE FUNCTION find_locked(shard_numbers integer[], topic_names bytea[])
RETURNS TABLE (shard integer, topic bytea)
LANGUAGE plpgsql VOLATILE SET search_path = :"schema" AS $$
#variable_conflict use_column
DECLARE
    free_shards integer[];
    free_topics bytea[];
BEGIN
    PERFORM set_config('lock_timeout', '100', true); -- of the tables
    PERFORM set_config('synchronous_commit', 'off', true);
    SELECT coalesce(array_agg(free.shard), '{}') INTO free_shards FROM (
        SELECT s.shard FROM shards s WHERE s.shard = ANY (shard_numbers)
        FOR NO KEY UPDATE SKIP LOCKED) free;
    SELECT coalesce(array_agg(free.name), '{}') INTO free_topics FROM (
        SELECT t.name FROM topics t WHERE t.name = ANY (topic_names)
        FOR NO KEY UPDATE SKIP LOCKED) free;
    RETURN QUERY
    SELECT s.shard, NULL::bytea FROM shards s
    WHERE s.shard = ANY (shard_numbers) AND s.shard <> ALL (free_shards)
    UNION ALL
    SELECT NULL, t.name FROM topics t
    WHERE t.name = ANY (topic_names) AND t.name <> ALL (free_topics);
END $$;

-- Detects lost commits. The parameters are the last event that a store has seen of each shard: its
-- sequence, run and version. A shard without this event has lost commits, by a restore or a failover: it
-- gets the next epoch and no owner, so that changes based on the lost state are fenced. Returns these
-- shards.
CREATE FUNCTION fence_lost(known integer[], sequences bigint[], runs uuid[], versions bigint[])
RETURNS SETOF integer LANGUAGE plpgsql VOLATILE SET search_path = :"schema" AS $$
DECLARE
    lost integer[];
BEGIN
    SELECT array_agg(k.shard) INTO lost
    FROM unnest(known, sequences, runs, versions) AS k (shard, sequence, run, version)
    CROSS JOIN LATERAL (
        SELECT s.next_sequence FROM shards s WHERE s.shard = k.shard LIMIT 1) s
    WHERE s.next_sequence <= k.sequence OR EXISTS (
        SELECT FROM events e WHERE e.position = (k.shard::bigint << 48 | k.sequence)
                               AND (e.run <> k.run OR e.version <> k.version));
    IF lost IS NOT NULL THEN
        PERFORM FROM shards s WHERE s.shard = ANY (lost) ORDER BY s.shard FOR NO KEY UPDATE;
        UPDATE shards s SET epoch = next_epoch(s.epoch) WHERE s.shard = ANY (lost);
        PERFORM FROM leases l WHERE l.shard = ANY (lost) ORDER BY l.shard FOR NO KEY UPDATE;
        UPDATE leases l SET owner = NULL, lease_until = NULL WHERE l.shard = ANY (lost);
    END IF;
    RETURN QUERY SELECT unnest(lost);
END $$;

-- Whether a lease has ended at this time. If the clock goes back, for example in a failover to a server
-- whose clock is behind, a dead engine would keep its shards: a lease that ends later than twice its
-- duration from now was granted by another clock and counts as ended.
CREATE FUNCTION is_lapsed(lease_until bigint, lease_duration bigint, now bigint) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT lease_until <= now OR coalesce(lease_until - now > 2 * lease_duration, false) $$;

-- Claims those of these shards that are free, lapsed, or already the claimer's. A shard in which a batch
-- is being stored at the moment gets no new owner. The wait for locked rows of all shards together is at
-- most a quarter of the lease, and the other shards are renewed.
CREATE FUNCTION claim_shards(wanted integer[], claimer bytea, span bigint)
RETURNS TABLE (shard integer, epoch bigint, owner bytea, lease_until bigint)
LANGUAGE plpgsql VOLATILE SET search_path = :"schema" AS $$
#variable_conflict use_column
DECLARE
    own integer[];
    free integer[];
    missed integer[];
    each integer;
    patience bigint := least(span / 4000, 60000); -- in milliseconds
BEGIN
    PERFORM set_config('lock_timeout', greatest(patience, 100)::text, true);
    SELECT array_agg(held.shard) FILTER (WHERE held.owner = claimer),
           array_agg(held.shard) FILTER (WHERE held.owner IS DISTINCT FROM claimer)
    INTO own, free FROM (
        SELECT l.shard, l.owner FROM leases l
        WHERE l.shard = ANY (wanted)
          AND (l.owner IS NULL OR l.owner = claimer
               OR is_lapsed(l.lease_until, l.lease_duration, now_us()))
        ORDER BY l.shard FOR NO KEY UPDATE SKIP LOCKED) held;
    SELECT array_agg(l.shard ORDER BY l.shard) INTO missed FROM leases l
    WHERE l.shard = ANY (wanted) AND l.owner = claimer AND l.shard <> ALL (coalesce(own, '{}'));
    IF missed IS NOT NULL THEN
        PERFORM set_config('lock_timeout', greatest(patience / cardinality(missed), 20)::text, true);
        FOREACH each IN ARRAY missed LOOP
            BEGIN
                PERFORM FROM leases l WHERE l.shard = each AND l.owner = claimer
                FOR NO KEY UPDATE;
                IF FOUND THEN
                    own := own || each;
                END IF;
            EXCEPTION WHEN lock_not_available THEN
                NULL;
            END;
        END LOOP;
    END IF;
    SELECT array_agg(idle.shard) INTO free FROM (
        SELECT s.shard FROM shards s WHERE s.shard = ANY (free)
        ORDER BY s.shard FOR NO KEY UPDATE SKIP LOCKED) idle;
    UPDATE shards s SET epoch = next_epoch(s.epoch) WHERE s.shard = ANY (free);
    UPDATE leases l SET owner = claimer, lease_until = now_us() + span, lease_duration = span
    WHERE l.shard = ANY (own) OR l.shard = ANY (free);
    RETURN QUERY SELECT l.shard, s.epoch, l.owner, l.lease_until
    FROM leases l JOIN shards s ON s.shard = l.shard
    WHERE l.shard = ANY (own) OR l.shard = ANY (free);
END $$;

CREATE FUNCTION release_shards(given integer[], epochs bigint[])
RETURNS void LANGUAGE plpgsql VOLATILE SET search_path = :"schema" AS $$
BEGIN
    PERFORM FROM leases l WHERE l.shard = ANY (given) ORDER BY l.shard FOR NO KEY UPDATE;
    UPDATE leases l SET owner = NULL, lease_until = NULL
    FROM unnest(given, epochs) AS held (shard, epoch) JOIN shards s USING (shard)
    WHERE l.shard = held.shard AND s.epoch = held.epoch AND l.owner IS NOT NULL;
END $$;

-- version 2
--
-- Each workflow has shards of its own, meta.shards of them from first_shard on, and an engine owns
-- only shards of its workflows. first_shard is NULL for pawl.schedules: a schedule is in the shards of
-- the workflow that it triggers. The rows of the shards that all workflows shared are moved; events keep
-- their sequences.

SET LOCAL search_path = :"schema";

ALTER TABLE workflows ADD COLUMN first_shard integer UNIQUE;
INSERT INTO workflows (name)
SELECT DISTINCT substring(r.foreign_id FROM 1 FOR greatest(position('/'::bytea IN r.foreign_id) - 1, 0))
FROM runs r JOIN workflows w ON w.workflow = r.workflow WHERE w.name = 'pawl.schedules'
ON CONFLICT DO NOTHING;
UPDATE workflows w SET first_shard = given.place * meta.shards
FROM (SELECT workflow, row_number() OVER (ORDER BY workflow) - 1 AS place FROM workflows
      WHERE name <> 'pawl.schedules') given, meta
WHERE w.workflow = given.workflow;

INSERT INTO shards (shard, next_sequence, commits, epoch)
SELECT w.first_shard + s.shard, s.next_sequence, s.commits, s.epoch
FROM workflows w CROSS JOIN shards s WHERE w.first_shard > 0;
INSERT INTO leases (shard) SELECT shard FROM shards ON CONFLICT DO NOTHING;
INSERT INTO cursors (shard, name, position)
SELECT w.first_shard + c.shard, c.name, c.position
FROM workflows w CROSS JOIN cursors c WHERE w.first_shard > 0;
WITH moves AS MATERIALIZED (
    SELECT r.id, r.shard + home.first_shard AS shard, home.first_shard::bigint << 48 AS distance
    FROM runs r JOIN workflows w ON w.workflow = r.workflow
    JOIN workflows home ON home.name = CASE WHEN w.name = 'pawl.schedules'
        THEN substring(r.foreign_id FROM 1 FOR greatest(position('/'::bytea IN r.foreign_id) - 1, 0))
        ELSE w.name END
    WHERE home.first_shard > 0
), moved_runs AS (
    UPDATE runs r SET shard = m.shard FROM moves m WHERE r.id = m.id
), moved_due AS (
    UPDATE due d SET shard = m.shard FROM moves m WHERE d.run = m.id
)
UPDATE events e SET position = e.position + m.distance FROM moves m WHERE e.run = m.id;
DELETE FROM roles WHERE name >= 'pawl.engine/' AND name < 'pawl.engine0';

-- Makes sure that a workflow has a number, and shards if wanted. Returns NULL, or the first shard that
-- the workflow would need if that exceeds the limit of `most` shards.
CREATE FUNCTION add_workflow(added bytea, with_shards boolean, most integer)
RETURNS integer LANGUAGE plpgsql VOLATILE SET search_path = :"schema" AS $$
DECLARE
    slices integer;
    free integer;
BEGIN
    SELECT m.shards INTO slices FROM meta m FOR UPDATE; -- one after another
    INSERT INTO workflows (name) SELECT added
    WHERE NOT EXISTS (SELECT FROM workflows w WHERE w.name = added);
    IF NOT with_shards OR (SELECT w.first_shard IS NOT NULL FROM workflows w WHERE w.name = added)
    THEN
        RETURN NULL;
    END IF;
    SELECT coalesce(max(w.first_shard) + slices, 0) INTO free FROM workflows w;
    IF free > most - slices THEN
        RETURN free;
    END IF;
    UPDATE workflows w SET first_shard = free WHERE w.name = added;
    INSERT INTO shards (shard) SELECT generate_series(free, free + slices - 1)
    ON CONFLICT DO NOTHING;
    INSERT INTO leases (shard) SELECT generate_series(free, free + slices - 1)
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;

UPDATE meta SET version = 2;

-- version 3
--
-- A run may be the child of another one. parent is its id, which details has behind a first byte of 4;
-- a trigger copies it when the run is created. runs_children has the children of a run in the order of
-- their creation, and nothing for other runs.

SET LOCAL search_path = :"schema";

ALTER TABLE runs ADD COLUMN parent uuid;
CREATE INDEX runs_children ON runs ((int4send(workflow) || '\x05'), parent, created_at, id)
    WHERE parent IS NOT NULL;

CREATE FUNCTION set_parent() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.parent := encode(substring(NEW.details FROM 2 FOR 16), 'hex')::uuid;
    RETURN NEW;
END $$;
CREATE TRIGGER set_parent BEFORE INSERT ON runs FOR EACH ROW
    WHEN (get_byte(NEW.details, 0) = 4) EXECUTE FUNCTION set_parent();

-- The number of children of each run by state: the sum over all sessions. Each session updates rows of
-- its own, so that concurrent writers never wait for each other.
CREATE TABLE child_counts (
    parent uuid NOT NULL,
    session integer NOT NULL,
    state smallint NOT NULL,
    runs bigint NOT NULL,
    PRIMARY KEY (parent, session, state)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

-- The counts of a run are deleted with its last child.
CREATE FUNCTION count_child() RETURNS trigger LANGUAGE plpgsql SET search_path = :"schema" AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO child_counts (parent, session, state, runs)
        VALUES (OLD.parent, pg_backend_pid(), OLD.state, -1)
        ON CONFLICT (parent, session, state) DO UPDATE SET runs = child_counts.runs - 1;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO child_counts (parent, session, state, runs)
        VALUES (NEW.parent, pg_backend_pid(), NEW.state, 1)
        ON CONFLICT (parent, session, state) DO UPDATE SET runs = child_counts.runs + 1;
    ELSIF (SELECT sum(c.runs) FROM child_counts c WHERE c.parent = OLD.parent) = 0 THEN
        DELETE FROM child_counts c WHERE c.parent = OLD.parent;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER count_started_child AFTER INSERT ON runs FOR EACH ROW
    WHEN (NEW.parent IS NOT NULL) EXECUTE FUNCTION count_child();
CREATE TRIGGER count_changed_child AFTER UPDATE ON runs FOR EACH ROW
    WHEN (NEW.parent IS NOT NULL AND NEW.state <> OLD.state) EXECUTE FUNCTION count_child();
CREATE TRIGGER count_removed_child AFTER DELETE ON runs FOR EACH ROW
    WHEN (OLD.parent IS NOT NULL) EXECUTE FUNCTION count_child();

-- The attributes by which runs are found. value is encoded so that its bytes have the order of the
-- values: a byte for the kind, then the bytes of a text, or of a number in big-endian order with its sign
-- bit inverted. workflow and created_at are those of the run, for the index, which finds the runs with a
-- value in the order of listings.
CREATE TABLE attributes (
    run uuid NOT NULL,
    created_at bigint NOT NULL,
    workflow integer NOT NULL,
    name bytea NOT NULL,
    value bytea NOT NULL,
    PRIMARY KEY (run, name)
) WITH (autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX attributes_value ON attributes (workflow, name, value, created_at, run);

-- A change of an attribute. value NULL removes it; name NULL removes all attributes that the same change
-- does not set. ord is the index in the batch of the transition, removal or update that it belongs to.
CREATE TYPE attribute_input AS (ord integer, run uuid, name bytea, value bytea);
CREATE TYPE attribute_update_input AS (ord integer, run uuid, expected bigint);

-- Stores the attributes of the accepted changes as if they came one after the other. Values that are
-- stored already are not written again.
CREATE FUNCTION write_attributes(given attribute_input[], decided verdict[])
RETURNS void LANGUAGE plpgsql VOLATILE
SET enable_hashjoin = on
AS $$
BEGIN
    WITH accepted AS (
        SELECT g.ord, g.run, g.name, g.value,
               max(g.ord) FILTER (WHERE g.name IS NULL) OVER (PARTITION BY g.run) AS cleared
        FROM unnest(given) g JOIN unnest(decided) d ON d.ord = g.ord WHERE d.verdict = 0
    ), last AS MATERIALIZED (
        SELECT DISTINCT ON (a.run, a.name) a.run, a.name, a.value
        FROM accepted a WHERE a.ord >= coalesce(a.cleared, 0)
        ORDER BY a.run, a.name, a.ord DESC
    ), changed AS MATERIALIZED (
        SELECT l.run, bool_or(l.name IS NULL) AS clears,
               coalesce(array_agg(l.name) FILTER (WHERE l.value IS NOT NULL), '{}') AS kept,
               coalesce(array_agg(l.name) FILTER (WHERE l.name IS NOT NULL AND l.value IS NULL),
                        '{}') AS gone
        FROM last l GROUP BY l.run
    ), removed AS (
        DELETE FROM attributes a USING changed c CROSS JOIN LATERAL (
            SELECT o.ctid AS place, o.name FROM attributes o WHERE o.run = c.run OFFSET 0) stored
        WHERE a.ctid = stored.place
          AND CASE WHEN c.clears THEN stored.name <> ALL (c.kept)
                   ELSE stored.name = ANY (c.gone) END
    ), wanted AS MATERIALIZED (
        SELECT l.run, l.name, l.value, stored.place, stored.value AS old
        FROM last l LEFT JOIN LATERAL (
            SELECT o.ctid AS place, o.value FROM attributes o
            WHERE o.run = l.run AND o.name = l.name LIMIT 1) stored ON true
        WHERE l.value IS NOT NULL
    ), updated AS (
        UPDATE attributes a SET value = w.value FROM wanted w
        WHERE a.ctid = w.place AND w.value <> w.old
    )
    INSERT INTO attributes (run, created_at, workflow, name, value)
    SELECT w.run, r.created_at, r.workflow, w.name, w.value
    FROM wanted w CROSS JOIN LATERAL (
        SELECT r.created_at, r.workflow FROM runs r WHERE r.id = w.run LIMIT 1) r
    WHERE w.place IS NULL;
END $$;

-- apply() for a batch that changes attributes or removes runs.
CREATE FUNCTION apply_with_attributes(
    transitions transition_input[], settlements settlement_input[], deliveries delivery_input[],
    cursor_moves cursor_input[], removals removal_input[], publications publication_input[],
    trims trim_input[], last_wave integer, patience integer, attributes attribute_input[])
RETURNS SETOF verdict LANGUAGE plpgsql VOLATILE
SET search_path = :"schema"
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan
SET jit = off
AS $$
DECLARE
    decided verdict[];
BEGIN
    SELECT array_agg(v) INTO decided
    FROM apply(transitions, settlements, deliveries, cursor_moves, removals, publications, trims,
               last_wave, patience) v;
    PERFORM write_attributes(attributes, decided);
    RETURN QUERY SELECT * FROM unnest(decided);
END $$;

-- Changes attributes without a transition. It locks the rows of the shards as apply() does.
CREATE FUNCTION update_attributes(updates attribute_update_input[], attributes attribute_input[],
                                  patience integer)
RETURNS SETOF verdict LANGUAGE plpgsql VOLATILE
SET search_path = :"schema"
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan
SET jit = off
AS $$
DECLARE
    wanted integer[];
    locked integer[];
    decided verdict[];
    usual_patience text := current_setting('lock_timeout');
BEGIN
    SELECT array_agg(DISTINCT r.shard) INTO wanted FROM unnest(updates) u
    CROSS JOIN LATERAL (SELECT r.shard FROM runs r WHERE r.id = u.run LIMIT 1) r;
    PERFORM set_config('lock_timeout', patience::text, true);
    SELECT array_agg(held.shard) INTO locked FROM (
        SELECT s.shard FROM shards s WHERE s.shard = ANY (wanted)
        ORDER BY s.shard FOR NO KEY UPDATE) held;
    PERFORM set_config('lock_timeout', usual_patience, true);
    SELECT array_agg(ROW(u.ord, CASE WHEN r.version IS NULL THEN 7
                                     WHEN r.version <> u.expected THEN 2
                                     ELSE 0 END, NULL, NULL, NULL, NULL, NULL, NULL)::verdict)
    INTO decided FROM unnest(updates) u
    LEFT JOIN LATERAL (
        SELECT r.version FROM runs r WHERE r.id = u.run AND r.shard = ANY (locked) LIMIT 1) r
        ON true;
    PERFORM write_attributes(attributes, decided);
    RETURN QUERY SELECT * FROM unnest(decided);
END $$;

UPDATE meta SET version = 3;

-- version 4

-- Starts of runs and callbacks by SQL: start() and send() store a request in the transaction of their caller.
-- After its commit, an engine that has the workflow takes the request and carries it out.

SET LOCAL search_path = :"schema";

-- taken_until: until then an engine carries the request out, or it waits after a failure. callback is NULL for a
-- start. version is that of the schema of the payload; NULL: the one that the engine's program has.
CREATE TABLE requests (
    request bigint GENERATED ALWAYS AS IDENTITY,
    workflow integer NOT NULL,
    at bigint NOT NULL,
    taken_until bigint NOT NULL DEFAULT 0,
    version bigint,
    failures integer NOT NULL DEFAULT 0,
    foreign_id bytea NOT NULL,
    callback bytea,
    key bytea,
    payload bytea NOT NULL,
    PRIMARY KEY (workflow, request)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
-- Not on request itself: a scan for the first requests of a workflow would read those of all others.
CREATE UNIQUE INDEX requests_number ON requests (int8send(request));
CREATE INDEX requests_foreign ON requests (index_key(int4send(workflow), foreign_id), request);

CREATE FUNCTION store_request(function text, workflow_name text, foreign_id text, callback text, payload json,
                              key text, version bigint)
RETURNS bigint LANGUAGE plpgsql VOLATILE SET search_path = :"schema" AS $$
DECLARE
    number integer;
    stored bigint;
BEGIN
    SELECT w.workflow INTO number FROM workflows w
    WHERE w.name = convert_to(workflow_name, 'UTF8') AND workflow_name NOT LIKE 'pawl.%';
    IF number IS NULL THEN
        RAISE EXCEPTION '%: there is no workflow "%"', function, workflow_name
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'A workflow is known once an engine that has it was started on this schema.';
    END IF;
    IF coalesce(octet_length(convert_to(foreign_id, 'UTF8')), 0) NOT BETWEEN 1 AND 1024 THEN
        RAISE EXCEPTION '%: the foreign id has % bytes; it must have 1 to 1024', function,
            coalesce(octet_length(convert_to(foreign_id, 'UTF8')), 0) USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF callback = '' OR octet_length(convert_to(callback, 'UTF8')) > 1024 THEN
        RAISE EXCEPTION '%: the name of the callback has % bytes; it must have 1 to 1024', function,
            octet_length(convert_to(callback, 'UTF8')) USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF octet_length(convert_to(key, 'UTF8')) > 1024 OR key LIKE 'pawl.%' THEN
        RAISE EXCEPTION '%: the key is "%"; it must have at most 1024 bytes and must not begin with "pawl."',
            function, left(key, 100) USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF payload IS NULL THEN
        RAISE EXCEPTION '%: the % is NULL', function, CASE WHEN callback IS NULL THEN 'object' ELSE 'payload' END
            USING ERRCODE = 'null_value_not_allowed';
    END IF;
    IF version NOT BETWEEN 1 AND 4294967295 THEN
        RAISE EXCEPTION '%: the version is %; it must be at least 1', function, version
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO requests (workflow, at, version, foreign_id, callback, key, payload)
    VALUES (number, now_us(), version, convert_to(foreign_id, 'UTF8'), convert_to(callback, 'UTF8'),
            convert_to(nullif(key, ''), 'UTF8'), convert_to(payload::text, 'UTF8'))
    RETURNING request INTO stored;
    PERFORM pg_notify('pawl_news_' || current_schema(), 'requests');
    RETURN stored;
END $$;

-- Starts a run when the transaction of the caller commits. Returns the number of the request. object is the
-- workflow's object in JSON. A request with a key that a start of the foreign id has had starts nothing. object_version
-- is the version of the object's schema; NULL: the one that the engine's program has.
CREATE FUNCTION start(workflow text, foreign_id text, object json, key text DEFAULT NULL,
                      object_version bigint DEFAULT NULL)
RETURNS bigint LANGUAGE sql VOLATILE SET search_path = :"schema" AS
$$ SELECT store_request('start', $1, $2, NULL, $3, $4, $5) $$;

-- Sends a callback to the unfinished run of the foreign id when the transaction of the caller commits.
CREATE FUNCTION send(workflow text, foreign_id text, callback text, payload json DEFAULT 'null',
                     key text DEFAULT NULL, payload_version bigint DEFAULT NULL)
RETURNS bigint LANGUAGE sql VOLATILE SET search_path = :"schema" AS
$$ SELECT store_request('send', $1, $2, coalesce($3, ''), $4, $5, $6) $$;

-- Takes up to most requests of the workflows, until the lease of so many microseconds has lapsed. While a request of a
-- foreign id is taken, later ones are not. One session takes at a time, so that it sees what others have taken; nothing
-- else waits for that lock.
CREATE FUNCTION take_requests(names bytea[], most bigint, lease bigint)
RETURNS SETOF requests LANGUAGE plpgsql VOLATILE
SET search_path = :"schema"
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan
SET jit = off
AS $$
DECLARE
    present bigint;
    longest CONSTANT bigint := 60000000; -- no lease and no delay is longer
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('pawl.requests'), hashtext(current_schema()));
    present := now_us();
    RETURN QUERY WITH found AS MATERIALIZED (
        SELECT r.place FROM unnest(names) n
        CROSS JOIN LATERAL (SELECT w.workflow FROM workflows w WHERE w.name = n LIMIT 1) w
        CROSS JOIN LATERAL (
            SELECT r.ctid AS place, r.request FROM requests r
            WHERE r.workflow = w.workflow AND is_lapsed(r.taken_until, longest, present) AND NOT EXISTS (
                SELECT FROM requests e
                WHERE index_key(int4send(e.workflow), e.foreign_id)
                      = index_key(int4send(r.workflow), r.foreign_id)
                  AND e.request < r.request AND NOT is_lapsed(e.taken_until, longest, present))
            ORDER BY r.request LIMIT most) r
        ORDER BY r.request LIMIT most
    )
    UPDATE requests r SET taken_until = present + lease FROM found f WHERE r.ctid = f.place
    RETURNING r.*;
END $$;

UPDATE meta SET version = 4;

-- version 5

-- The pending messages of a run are rejected by the transition that finishes it, and not by later ones:
-- apply_transitions() otherwise did what it did in version 1. runs_troubled has the unfinished runs with a
-- last error, for listings: among the runs with a last error, the finished ones grow without limit. Its
-- columns are those of other indexes, so that ordinary transitions still write no index (HOT).

SET LOCAL search_path = :"schema";

CREATE INDEX runs_troubled ON runs ((int4send(workflow) || '\x06'), created_at, id)
    WHERE last_error IS NOT NULL AND finished_at IS NULL;

CREATE OR REPLACE FUNCTION apply_transitions(transitions transition_input[], present integer)
RETURNS SETOF verdict LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RETURN QUERY WITH judged AS MATERIALIZED (
        SELECT i.*, s.next_sequence, s.place AS shard_place, r.place AS run_place,
               r.wake_at AS old_wake, r.status AS old_status, r.state AS old_state,
               r.inbox_pending AS pending, i.finished AND r.finished_at IS NULL AS finishes,
               CASE WHEN i.inbox_seen < r.inbox_last AND (NOT i.finished OR r.finished_at IS NOT NULL)
                    THEN least(i.wake_at, i.updated_at) ELSE i.wake_at END AS new_wake,
               CASE WHEN i.expected > 0 AND r.id IS NULL THEN 7
                    WHEN i.epoch <> 0 AND i.epoch <> s.epoch THEN 6
                    WHEN i.expected > 0 THEN CASE WHEN r.version = i.expected THEN 0 ELSE 2 END
                    WHEN same.id IS NOT NULL THEN 1
                    WHEN r.id IS NOT NULL THEN 2
                    WHEN unfinished.id IS NOT NULL THEN 3
                    WHEN latest.id IS NOT NULL THEN 4
                    ELSE 0 END::smallint AS verdict,
               coalesce(same.id, unfinished.id, latest.id) AS existing
        FROM unnest(transitions) i
        CROSS JOIN LATERAL (
            SELECT s.ctid AS place, s.next_sequence, s.epoch FROM shards s
            WHERE s.shard = i.shard LIMIT 1) s
        LEFT JOIN LATERAL (
            SELECT r.ctid AS place, r.id, r.version, r.wake_at, r.status, r.state, r.inbox_last,
                   r.inbox_pending, r.finished_at
            FROM runs r WHERE r.id = i.run LIMIT 1) r ON true
        LEFT JOIN LATERAL (
            SELECT o.id FROM runs o
            WHERE i.expected = 0 AND o.start_key IS NOT NULL
              AND index_key(int4send(o.workflow) ||
                            index_key(int4send(length(o.foreign_id)), o.foreign_id), o.start_key)
                = index_key(int4send(i.workflow) ||
                            index_key(int4send(length(i.foreign_id)), i.foreign_id), i.start_key)
            LIMIT 1) same ON true
        LEFT JOIN LATERAL (
            SELECT o.id FROM runs o
            WHERE i.expected = 0 AND o.finished_at IS NULL
              AND index_key(int4send(o.workflow) || '\x01', o.foreign_id)
                = index_key(int4send(i.workflow) || '\x01', i.foreign_id)
            LIMIT 1) unfinished ON true
        LEFT JOIN LATERAL (
            SELECT o.id FROM runs o
            WHERE i.expected = 0 AND i.once
              AND index_key(int4send(o.workflow), o.foreign_id)
                = index_key(int4send(i.workflow), i.foreign_id)
            ORDER BY o.created_at DESC, o.id DESC LIMIT 1) latest ON true
        WHERE i.wave = present
    ), accepted AS MATERIALIZED (
        SELECT *, next_sequence - 1 + row_number() OVER (PARTITION BY shard ORDER BY ord)
                  AS sequence
        FROM judged WHERE verdict = 0
    ), updated AS (
        UPDATE runs r SET
            version = a.version, updated_at = a.updated_at, entered_at = a.entered_at,
            not_before = a.not_before, wake_at = a.new_wake,
            finished_at = CASE WHEN a.finished THEN a.updated_at END,
            visit = a.visit, object_version = a.object_version, status = a.status,
            attempt = a.attempt, state = a.state, step_done = a.step_done, paused = a.state = 3,
            inbox_pending = CASE WHEN a.finishes THEN 0 ELSE r.inbox_pending END,
            last_error = a.last_error, reason = a.reason, details = a.details, object = a.object
        FROM accepted a WHERE r.ctid = a.run_place
    ), created AS (
        INSERT INTO runs (id, version, created_at, updated_at, entered_at, not_before, wake_at,
                          finished_at, inbox_last, visit, object_version, shard, workflow, status,
                          attempt, inbox_pending, state, step_done, paused, foreign_id, start_key,
                          trace_parent, last_error, reason, details, object)
        SELECT run, version, created_at, updated_at, entered_at, not_before, new_wake,
               CASE WHEN finished THEN updated_at END, 0, visit, object_version, shard, workflow,
               status, attempt, 0, state, step_done, state = 3, foreign_id, start_key, trace_parent,
               last_error, reason, details, object
        FROM accepted WHERE expected = 0
    ), ended AS (
        UPDATE messages m SET outcome = 2, detail = 'the run has finished', payload = ''
        FROM accepted a CROSS JOIN LATERAL (
            SELECT m.ctid AS place FROM messages m WHERE m.run = a.run AND m.outcome = 0
            OFFSET 0) waiting
        WHERE a.finishes AND a.pending > 0 AND m.ctid = waiting.place
    ), unsaid AS (
        -- data_deleted: texts that may quote the data, but for the reason of the deletion
        UPDATE events e SET error = NULL
        FROM accepted a CROSS JOIN LATERAL (
            SELECT e.ctid AS place FROM events e
            WHERE e.run = a.run AND e.error IS NOT NULL AND e.kind <> 11 OFFSET 0) said
        WHERE a.kind = 12 AND e.ctid = said.place
    ), forgotten AS (
        UPDATE messages m SET detail = NULL
        FROM accepted a CROSS JOIN LATERAL (
            SELECT m.ctid AS place FROM messages m
            WHERE m.run = a.run AND m.outcome <> 0 AND m.detail IS NOT NULL OFFSET 0) settled
        WHERE a.kind = 12 AND m.ctid = settled.place
    ), logged AS (
        INSERT INTO events (position, run, version, at, from_status, to_status, attempt, kind,
                            state, error, requested_by)
        SELECT shard::bigint << 48 | sequence, run, version, updated_at, from_status, status,
               attempt, kind, state, error, requested_by
        FROM accepted ORDER BY shard, ord
    ), timed AS MATERIALIZED (
        SELECT a.shard, a.run, a.old_wake, a.new_wake, d.place
        FROM accepted a LEFT JOIN LATERAL (
            SELECT d.ctid AS place FROM due d
            WHERE d.shard = a.shard AND d.wake_at = a.old_wake AND d.run = a.run LIMIT 1) d ON true
        WHERE a.old_wake IS DISTINCT FROM a.new_wake
    ), asleep AS (
        DELETE FROM due d USING timed t WHERE t.new_wake IS NULL AND d.ctid = t.place
    ), moved AS (
        UPDATE due d SET wake_at = t.new_wake FROM timed t
        WHERE t.new_wake IS NOT NULL AND d.ctid = t.place
    ), awake AS (
        INSERT INTO due (shard, wake_at, run)
        SELECT shard, new_wake, run FROM timed WHERE old_wake IS NULL
    ), numbered AS (
        UPDATE shards s SET next_sequence = s.next_sequence + taken.events, commits = s.commits + 1
        FROM (SELECT shard_place, count(*) AS events FROM accepted GROUP BY shard_place) taken
        WHERE s.ctid = taken.shard_place
    ), counted AS (
        INSERT INTO counts (slot, workflow, status, state, runs)
        SELECT pg_backend_pid() & 63, workflow, status, state, sum(runs) FROM (
            SELECT workflow, status, state, 1 AS runs FROM accepted
            WHERE (status, state) IS DISTINCT FROM (old_status, old_state)
            UNION ALL
            SELECT workflow, old_status, old_state, -1 FROM accepted
            WHERE (status, state) IS DISTINCT FROM (old_status, old_state) AND expected > 0
        ) each GROUP BY workflow, status, state HAVING sum(runs) <> 0
        ORDER BY workflow, status, state
        ON CONFLICT (slot, workflow, status, state)
            DO UPDATE SET runs = counts.runs + excluded.runs
    )
    SELECT ord, verdict, NULL::bigint, existing, NULL::smallint, NULL::bytea, shard, NULL::bigint
    FROM judged WHERE verdict <> 0
    UNION ALL
    SELECT ord, 0::smallint, sequence, NULL, NULL, NULL, shard, new_wake FROM accepted;
END $$;

UPDATE meta SET version = 5;
