-- Finds inconsistent rows of Pawl's tables. It changes nothing.
--
--     psql -v ON_ERROR_STOP=1 -v schema=pawl -f pawl_check.sql
--
-- prints one row for each violated rule: the rule, the number of violations, and up to five examples.
-- Without rows, the tables are consistent. The script reads each table once, in one statement with one
-- snapshot, so engines may run; for a large database use a standby or a restored copy. The role needs
-- SELECT on all tables of the schema.

\if :{?schema} \else \set schema pawl \endif

SET search_path = :"schema";

WITH pending AS (
    SELECT m.run, count(*) AS messages FROM messages m WHERE m.outcome = 0 GROUP BY m.run
), newest AS (
    SELECT m.run, max(m.sequence) AS sequence FROM messages m GROUP BY m.run
), logged AS (
    SELECT e.run, count(*) AS events, min(e.version) AS first, max(e.version) AS last,
           count(DISTINCT e.version) AS versions, min(e.position >> 48) AS least_shard,
           max(e.position >> 48) AS greatest_shard
    FROM events e GROUP BY e.run
), log_ends AS (
    SELECT e.position >> 48 AS shard, max(e.position & 281474976710655) AS sequence
    FROM events e GROUP BY e.position >> 48
), counted AS (
    SELECT c.workflow, c.status, c.state, sum(c.runs) AS runs FROM counts c
    GROUP BY c.workflow, c.status, c.state HAVING sum(c.runs) <> 0
), standing AS (
    SELECT r.workflow, r.status, r.state::smallint AS state, count(*) AS runs FROM runs r
    GROUP BY r.workflow, r.status, r.state
), counted_children AS (
    SELECT c.parent, c.state, sum(c.runs) AS runs FROM child_counts c
    GROUP BY c.parent, c.state HAVING sum(c.runs) <> 0
), children AS (
    SELECT r.parent, r.state, count(*) AS runs FROM runs r WHERE r.parent IS NOT NULL
    GROUP BY r.parent, r.state
), homes AS (
    SELECT r.id, r.shard, coalesce(home.first_shard, flow.first_shard) AS first_shard
    FROM runs r JOIN workflows flow ON flow.workflow = r.workflow
    LEFT JOIN workflows home ON flow.name IN ('pawl.schedules', 'pawl.bulk') AND home.name = substring(
        r.foreign_id FROM 1 FOR greatest(position('/'::bytea IN r.foreign_id) - 1, 0))
), topic_ends AS (
    SELECT e.topic, max(e.position) AS position FROM topic_events e GROUP BY e.topic
), broken (rule, example) AS (
    SELECT 'a run that waits for a time has one row in due, with this time and its shard',
           'run ' || r.id
    FROM runs r WHERE r.wake_at IS NOT NULL
      AND NOT EXISTS (SELECT FROM due d
                      WHERE d.run = r.id AND d.shard = r.shard AND d.wake_at = r.wake_at)
    UNION ALL
    SELECT 'each row in due is of a run that waits for this time', 'run ' || d.run
    FROM due d
    WHERE NOT EXISTS (SELECT FROM runs r
                      WHERE r.id = d.run AND r.shard = d.shard AND r.wake_at = d.wake_at)
    UNION ALL
    SELECT 'counts agrees with runs',
           'workflow ' || coalesce(s.workflow, c.workflow) || ', status '
           || coalesce(s.status, c.status) || ', state ' || coalesce(s.state, c.state) || ': '
           || coalesce(c.runs, 0) || ' counted, ' || coalesce(s.runs, 0) || ' there'
    FROM standing s FULL JOIN counted c
      ON c.workflow = s.workflow AND c.status = s.status AND c.state = s.state
    WHERE s.runs IS DISTINCT FROM c.runs
    UNION ALL
    SELECT 'child_counts agrees with runs',
           'parent ' || coalesce(s.parent, c.parent) || ', state ' || coalesce(s.state, c.state)
           || ': ' || coalesce(c.runs, 0) || ' counted, ' || coalesce(s.runs, 0) || ' there'
    FROM children s FULL JOIN counted_children c ON c.parent = s.parent AND c.state = s.state
    WHERE s.runs IS DISTINCT FROM c.runs
    UNION ALL
    SELECT 'runs.inbox_pending is the number of pending messages of the run', 'run ' || r.id
    FROM runs r LEFT JOIN pending p ON p.run = r.id
    WHERE r.inbox_pending <> coalesce(p.messages, 0)
    UNION ALL
    SELECT 'runs.inbox_last is no less than the sequence of any message of the run', 'run ' || r.id
    FROM runs r JOIN newest n ON n.run = r.id WHERE n.sequence > r.inbox_last
    UNION ALL
    SELECT 'each message is of a run', 'run ' || n.run
    FROM newest n
    WHERE NOT EXISTS (SELECT FROM runs r WHERE r.id = n.run)
      AND NOT EXISTS (SELECT FROM leftovers l WHERE l.run = n.run)
    UNION ALL
    SELECT 'each version of a run has one event', 'run ' || r.id
    FROM runs r LEFT JOIN logged l ON l.run = r.id
    WHERE (l.events, l.versions, l.first, l.last)
          IS DISTINCT FROM (r.version, r.version, 1::bigint, r.version)
    UNION ALL
    SELECT 'the events of a run are in the log of its shard', 'run ' || r.id
    FROM runs r JOIN logged l ON l.run = r.id
    WHERE l.least_shard <> r.shard OR l.greatest_shard <> r.shard
    UNION ALL
    SELECT 'each event is of a run', 'run ' || l.run
    FROM logged l
    WHERE NOT EXISTS (SELECT FROM runs r WHERE r.id = l.run)
      AND NOT EXISTS (SELECT FROM leftovers o WHERE o.run = l.run)
    UNION ALL
    SELECT 'shards.next_sequence is behind the last event of the shard', 'shard ' || l.shard
    FROM log_ends l LEFT JOIN shards s ON s.shard = l.shard
    WHERE s.next_sequence IS NULL OR s.next_sequence <= l.sequence
    UNION ALL
    SELECT 'a cursor of hooks or receivers is not behind the end of its log',
           'shard ' || c.shard || ', cursor ' || encode(c.name, 'escape')
    FROM cursors c LEFT JOIN shards s ON s.shard = c.shard
    WHERE (substring(c.name FROM 1 FOR 6) = 'hooks/' OR substring(c.name FROM 1 FOR 7) = 'events/')
      AND (s.next_sequence IS NULL OR c.position > s.next_sequence)
    UNION ALL
    SELECT 'the workflow of each run and count is known', 'workflow ' || u.workflow
    FROM (SELECT workflow FROM standing UNION SELECT workflow FROM counted) u
    WHERE NOT EXISTS (SELECT FROM workflows w WHERE w.workflow = u.workflow)
    UNION ALL
    SELECT 'a run is in a shard of its workflow', 'run ' || h.id
    FROM homes h CROSS JOIN meta
    WHERE h.first_shard IS NULL OR h.shard < h.first_shard
       OR h.shard >= h.first_shard + meta.shards
    UNION ALL
    SELECT 'each shard of a workflow has a row in shards and in leases', 'shard ' || wanted.shard
    FROM workflows w CROSS JOIN meta
    CROSS JOIN LATERAL generate_series(w.first_shard, w.first_shard + meta.shards - 1)
        AS wanted (shard)
    WHERE NOT EXISTS (SELECT FROM shards s WHERE s.shard = wanted.shard)
       OR NOT EXISTS (SELECT FROM leases l WHERE l.shard = wanted.shard)
    UNION ALL
    SELECT 'each attribute is of a run, with its workflow and time of creation', 'run ' || a.run
    FROM attributes a
    WHERE NOT EXISTS (SELECT FROM runs r WHERE r.id = a.run AND r.workflow = a.workflow
                                           AND r.created_at = a.created_at)
    UNION ALL
    SELECT 'the workflow of each request is known', 'request ' || q.request
    FROM requests q
    WHERE NOT EXISTS (SELECT FROM workflows w WHERE w.workflow = q.workflow)
    UNION ALL
    SELECT 'runs.finished_at and runs.paused agree with runs.state', 'run ' || r.id
    FROM runs r
    WHERE (r.finished_at IS NULL) <> (r.state IN (1, 2, 3)) OR r.paused <> (r.state = 3)
    UNION ALL
    SELECT 'each event of a topic is of a topic, before its topics.next_position',
           'topic ' || coalesce(encode(t.name, 'escape'), e.topic::text)
    FROM topic_ends e LEFT JOIN topics t ON t.topic = e.topic
    WHERE t.next_position IS NULL OR t.next_position <= e.position
)
SELECT rule, count(*) AS rows, (array_agg(example ORDER BY example))[1:5] AS examples
FROM broken GROUP BY rule ORDER BY rule;
