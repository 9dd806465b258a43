#include "stores/sqlite/reader.hpp"

#include "pawl/error.hpp"
#include "stores/common/attribute_ranges.hpp"
#include "stores/common/row_mapping.hpp"
#include "stores/common/store_semantics.hpp"
#include "stores/sqlite/schema.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

namespace pawl::sqlite {

namespace {

/// Columns of runs, in the order of core::read_record().
constexpr std::string_view record_columns =
    "runs.id, (SELECT name FROM workflows WHERE workflow = runs.workflow), runs.foreign_id, "
    "runs.version, runs.state, runs.status, runs.visit, runs.entered_at, runs.attempt, "
    "runs.step_done, runs.not_before, runs.wake_at, runs.created_at, runs.updated_at, "
    "runs.inbox_last, runs.inbox_pending, runs.last_error, runs.reason, runs.start_key, "
    "runs.trace_parent, runs.object_version, runs.details, runs.object";

/// Columns of events, joined with runs, in the order of core::read_event().
constexpr std::string_view event_columns =
    "events.position, events.kind, runs.id, "
    "(SELECT name FROM workflows WHERE workflow = runs.workflow), runs.foreign_id, "
    "events.version, events.from_status, events.to_status, events.state, events.attempt, "
    "events.error, events.requested_by, events.at";

/// Columns of messages, in the order of core::read_message().
constexpr std::string_view message_columns =
    "sequence, kind, sent_at, expires_at, name, key, requested_by, payload_version, payload";

/// The limit for SQLite, to which a negative one would mean no limit.
std::int64_t sql_limit(std::size_t limit)
{
    return static_cast<std::int64_t>(
        std::min<std::size_t>(limit, std::numeric_limits<std::int64_t>::max() - 1));
}

/// A sequence or version as a lower bound. Those above SQLite's integers do not exist.
std::int64_t lower_bound(std::uint64_t number)
{
    return static_cast<std::int64_t>(
        std::min<std::uint64_t>(number, std::numeric_limits<std::int64_t>::max()));
}

std::string placeholders(std::size_t count)
{
    std::string list = "?";
    for (std::size_t i = 1; i < count; ++i)
        list += ", ?";
    return list;
}

bool is_unfinished_only(const record_query& query)
{
    return query.states && std::ranges::none_of(*query.states, is_finished);
}

bool is_paused_only(const record_query& query)
{
    return query.states && std::ranges::all_of(*query.states, [](run_state state) {
               return state == run_state::paused;
           });
}

/// Whether each workflow's runs are searched for the page, because their index begins with the
/// workflow.
bool searches_each_workflow(const record_query& query)
{
    return is_unfinished_only(query) && query.workflow.empty() && !query.foreign_ids &&
           !query.parent;
}

/// Whether the index of attributes is searched for the page. Foreign ids and a parent select fewer
/// runs.
bool searches_attributes(const record_query& query)
{
    return !query.attributes.empty() && !query.foreign_ids && !query.parent;
}

/// The index of runs that the page is read from, if SQLite would not choose it by itself: it does
/// not know that few runs are paused or failing.
std::string_view index_hint(const record_query& query)
{
    if (query.parent)
        return "INDEXED BY runs_children ";
    if (query.foreign_ids || searches_attributes(query) || !is_unfinished_only(query))
        return "";
    if (is_paused_only(query))
        return "INDEXED BY runs_paused ";
    return query.has_error.value_or(false) ? "INDEXED BY runs_failing " : "";
}

/// The conditions on the attributes; bind_attributes fills their parameters in the same order.
std::string attributes_sql(const record_query& query)
{
    std::string where;
    bool is_searched = searches_attributes(query);
    for (const auto& range : core::attribute_ranges(query)) {
        if (std::exchange(is_searched, false))
            where += range.is_equality() ? " AND found.name = ? AND found.value = ?"
                                         : " AND found.name = ? AND found.value >= ? AND "
                                           "found.value < ?";
        else
            where += fmt::format(" AND (SELECT value {} FROM attributes WHERE run = runs.row AND "
                                 "name = ?)",
                                 range.is_equality() ? "= ?" : ">= ? AND value < ?");
    }
    return where;
}

void bind_attributes(execution& rows, const std::vector<core::attribute_range>& ranges,
                     bool is_searched)
{
    for (const auto& range : ranges) {
        if (std::exchange(is_searched, false)) {
            rows.bind(range.name).blob(range.first);
            if (!range.is_equality())
                rows.blob(range.end);
        } else {
            rows.blob(range.first);
            if (!range.is_equality())
                rows.blob(range.end);
            rows.bind(range.name);
        }
    }
}

/// The statement of a listing; bind_list fills its parameters in the same order.
std::string list_sql(const record_query& query)
{
    const bool newest_first = query.order == sort_order::newest_first;
    const std::string_view table = searches_attributes(query) ? "found" : "runs";
    std::string where = "1";
    // The index on foreign ids begins with the workflow, so the query names all workflows if need
    // be.
    if (searches_each_workflow(query))
        where += " AND workflow = workflows.workflow";
    else if (!query.workflow.empty())
        where += fmt::format(" AND {}.workflow = (SELECT workflow FROM workflows WHERE name = ?)",
                             table);
    else if (query.foreign_ids)
        where += " AND workflow IN (SELECT workflow FROM workflows)";
    if (is_unfinished_only(query))
        where += " AND finished = 0"; // the condition of an index
    if (is_paused_only(query))
        where += " AND state = 3"; // also one
    if (query.parent)
        where += " AND parent = ?";
    if (query.foreign_ids)
        where += fmt::format(" AND foreign_id IN ({})", placeholders(query.foreign_ids->size()));
    where += attributes_sql(query);
    if (query.statuses)
        where += fmt::format(" AND status IN ({})", placeholders(query.statuses->size()));
    if (query.states)
        where += fmt::format(" AND state IN ({})", placeholders(query.states->size()));
    if (query.created_from)
        where += fmt::format(" AND {}.created_at >= ?", table);
    if (query.created_to)
        where += fmt::format(" AND {}.created_at < ?", table);
    if (query.updated_from)
        where += " AND updated_at >= ?";
    if (query.updated_to)
        where += " AND updated_at < ?";
    if (query.has_error)
        where += *query.has_error ? " AND last_error <> ''" : " AND last_error = ''";
    if (!query.error_text.empty())
        where += " AND instr(CAST(last_error AS BLOB), ?) > 0"; // compares bytes, not characters
    if (query.after)
        where += fmt::format(" AND ({0}.created_at, {0}.id) {1} (?, ?)", table,
                             newest_first ? "<" : ">");
    const auto* order = newest_first ? "DESC" : "ASC";
    if (searches_each_workflow(query))
        return fmt::format("SELECT {0} FROM workflows JOIN runs ON runs.row IN (SELECT row FROM "
                           "runs {3}WHERE {1} ORDER BY created_at {2}, id {2} LIMIT ?) "
                           "ORDER BY runs.created_at {2}, runs.id {2} LIMIT ?",
                           record_columns, where, order, index_hint(query));
    if (searches_attributes(query))
        return fmt::format("SELECT {0} FROM runs WHERE row IN (SELECT found.run FROM attributes "
                           "AS found CROSS JOIN runs ON runs.row = found.run WHERE {1} "
                           "ORDER BY found.created_at {2}, found.id {2} LIMIT ?) "
                           "ORDER BY created_at {2}, id {2} LIMIT ?",
                           record_columns, where, order);
    // The runs of several foreign ids are sorted, with "+". SQLite would else search all runs of
    // the workflow, whose index has them in order.
    const bool has_many_ids =
        query.foreign_ids && (query.workflow.empty() || query.foreign_ids->size() > 1);
    return fmt::format("SELECT {0} FROM runs {4}WHERE {1} ORDER BY {3}created_at {2}, {3}id {2} "
                       "LIMIT ?",
                       record_columns, where, order, has_many_ids ? "+" : "", index_hint(query));
}

/// @param attributes attribute_ranges() of the query
void bind_list(execution& rows, const record_query& query,
               const std::vector<core::attribute_range>& attributes)
{
    if (!query.workflow.empty())
        rows.bind(query.workflow);
    if (query.parent)
        rows.bind(*query.parent);
    if (query.foreign_ids)
        for (const std::string& foreign_id : *query.foreign_ids)
            rows.bind(foreign_id);
    bind_attributes(rows, attributes, searches_attributes(query));
    if (query.statuses)
        for (const int status : *query.statuses)
            rows.bind(status);
    if (query.states)
        for (const run_state state : *query.states)
            rows.bind(static_cast<int>(state));
    if (query.created_from)
        rows.bind(query.created_from);
    if (query.created_to)
        rows.bind(query.created_to);
    if (query.updated_from)
        rows.bind(query.updated_from);
    if (query.updated_to)
        rows.bind(query.updated_to);
    if (!query.error_text.empty())
        rows.blob(query.error_text);
    if (query.after)
        rows.bind(query.after.created_at).bind(query.after.run);
    // The additional row shows whether another page follows.
    rows.bind(query.limit + 1);
    if (searches_each_workflow(query) || searches_attributes(query))
        rows.bind(query.limit + 1);
}

} // namespace

reader::reader(connection& database, std::uint32_t shards)
    : database_(database), shards_(shards),
      find_(database, fmt::format("SELECT {} FROM runs WHERE id = ?", record_columns)),
      latest_(database,
              fmt::format("SELECT {} FROM runs WHERE workflow = (SELECT workflow FROM workflows "
                          "WHERE name = ?) AND foreign_id = ? "
                          "ORDER BY created_at DESC, id DESC LIMIT 1",
                          record_columns)),
      unfinished_(database,
                  fmt::format("SELECT {} FROM runs WHERE workflow = (SELECT workflow FROM "
                              "workflows WHERE name = ?) AND foreign_id = ? AND finished = 0",
                              record_columns)),
      count_(database, "SELECT name, status, state, runs FROM counts JOIN workflows "
                       "USING (workflow) WHERE runs > 0 AND (?1 = '' OR name = ?1) "
                       "ORDER BY name, status, state"),
      count_children_(database, "SELECT state, runs FROM child_counts WHERE parent = ?"),
      due_(database, fmt::format("SELECT {} FROM runs WHERE shard = ? AND wake_at IS NOT NULL AND "
                                 "(wake_at, id) >= (?, ?) ORDER BY wake_at, id",
                                 record_columns)),
      events_(database, fmt::format("SELECT {} FROM events CROSS JOIN runs ON runs.row = "
                                    "events.run WHERE position > ? AND position <= ? "
                                    "ORDER BY position LIMIT ?",
                                    event_columns)),
      event_(database, fmt::format("SELECT {}, events.before FROM events JOIN runs ON runs.row = "
                                   "events.run WHERE position = ?",
                                   event_columns)),
      mark_(database, "SELECT position FROM marks WHERE run = (SELECT row FROM runs WHERE id = ?) "
                      "AND version >= ? ORDER BY version LIMIT 1"),
      newest_event_(database, "SELECT last_event FROM runs WHERE id = ?"),
      inbox_(database, fmt::format("SELECT {} FROM messages WHERE run = (SELECT row FROM runs "
                                   "WHERE id = ?) AND outcome = 0 AND sequence > ? "
                                   "ORDER BY sequence LIMIT ?",
                                   message_columns)),
      outcome_(database, "SELECT sequence, outcome, detail FROM messages WHERE run = "
                         "(SELECT row FROM runs WHERE id = ?) AND sequence = ?"),
      cursor_(database, "SELECT position FROM cursors WHERE shard = ? AND name = ?"),
      finished_behind_(database,
                       fmt::format("SELECT {} FROM runs WHERE workflow = (SELECT workflow FROM "
                                   "workflows WHERE name = ?) AND finished = 1 AND "
                                   "(updated_at, id) > (?, ?) AND updated_at < ? AND shard = ? "
                                   "ORDER BY updated_at, id LIMIT ?",
                                   record_columns)),
      log_end_(database, "SELECT next_sequence - 1 FROM shards WHERE shard = ?"),
      topic_events_(database, "SELECT position, id, key, type, headers, payload, trace_parent, at "
                              "FROM topic_events WHERE topic = (SELECT topic FROM topics WHERE "
                              "name = ?) AND position > ? ORDER BY position LIMIT ?"),
      topic_end_(database, "SELECT next_position - 1 FROM topics WHERE name = ?")
{
}

std::optional<record> reader::find(run_id id)
{
    execution row{find_};
    if (!row.bind(id).row())
        return {};
    return core::read_record(row);
}

std::optional<record> reader::latest(std::string_view workflow, std::string_view foreign_id)
{
    {
        execution row{unfinished_};
        if (row.bind(workflow).bind(foreign_id).row())
            return core::read_record(row);
    }
    execution row{latest_};
    if (!row.bind(workflow).bind(foreign_id).row())
        return {};
    return core::read_record(row);
}

record_page reader::list(const record_query& query)
{
    core::check_query(query);
    if (core::matches_nothing(query))
        return {};
    // There are too many forms of listings to keep each prepared.
    statement prepared{database_, list_sql(query)};
    const auto attributes = core::attribute_ranges(query); // has what the statement is given
    execution rows{prepared};
    bind_list(rows, query, attributes);
    record_page page;
    while (rows.row()) {
        if (page.runs.size() == query.limit) {
            page.next = core::position_of(page.runs.back());
            break;
        }
        page.runs.push_back(core::read_record(rows));
    }
    return page;
}

std::vector<status_count> reader::count(std::string_view workflow, bool unfinished_only)
{
    std::vector<status_count> counts;
    execution row{count_};
    row.bind(workflow);
    while (row.row()) {
        auto counted = core::read_status_count(row);
        if (!unfinished_only || !is_finished(counted.state))
            counts.push_back(std::move(counted));
    }
    return counts;
}

child_counts reader::count_children(run_id parent)
{
    child_counts counts;
    execution row{count_children_};
    row.bind(parent);
    while (row.row()) {
        const auto state = core::read_run_state(row);
        row.read(counts.of(state));
    }
    return counts;
}

std::vector<record> reader::finished_before(std::uint32_t shard, std::string_view workflow,
                                            time_point before, std::size_t limit)
{
    return finished_behind(shard, workflow, {}, before, limit);
}

std::uint64_t reader::log_end(std::uint32_t shard)
{
    core::check_shard(shard, shards_);
    execution row{log_end_};
    return row.bind(shard).row() ? static_cast<std::uint64_t>(row.integer()) : 0;
}

std::vector<record> reader::finished_behind(std::uint32_t shard, std::string_view workflow,
                                            const finished_position& after, time_point before,
                                            std::size_t limit)
{
    core::check_shard(shard, shards_);
    std::vector<record> found;
    execution rows{finished_behind_};
    rows.bind(workflow).bind(after.at).bind(after.id).bind(before).bind(shard).bind(
        sql_limit(limit));
    while (rows.row())
        found.push_back(core::read_record(rows));
    return found;
}

std::vector<stream_event> reader::topic_events(std::string_view topic, std::uint64_t after,
                                               std::size_t limit)
{
    std::vector<stream_event> found;
    execution rows{topic_events_};
    rows.bind(topic).bind(lower_bound(after)).bind(sql_limit(limit));
    while (rows.row())
        found.push_back(core::read_stream_event(rows));
    return found;
}

std::uint64_t reader::topic_end(std::string_view topic)
{
    execution row{topic_end_};
    return row.bind(topic).row() ? static_cast<std::uint64_t>(row.integer()) : 0;
}

due_page reader::due(std::uint32_t shard, const due_position& from, time_point until,
                     std::size_t limit)
{
    core::check_shard(shard, shards_);
    due_page page;
    execution rows{due_};
    rows.bind(shard).bind(from.at).bind(from.id);
    while (rows.row()) {
        record run = core::read_record(rows);
        if (page.runs.size() == limit || *run.wake_at > until) {
            page.next = due_position{*run.wake_at, run.id};
            break;
        }
        page.runs.push_back(std::move(run));
    }
    return page;
}

std::vector<event> reader::events(std::uint32_t shard, std::uint64_t after, std::size_t limit)
{
    core::check_shard(shard, shards_);
    std::vector<event> found;
    if (after >= core::last_sequence)
        return found;
    execution rows{events_};
    rows.bind(core::position_of(shard, after))
        .bind(core::position_of(shard, core::last_sequence))
        .bind(sql_limit(limit));
    while (rows.row())
        found.push_back(core::read_event(rows));
    return found;
}

std::vector<event> reader::history(run_id run, std::uint64_t after, std::size_t limit)
{
    std::vector<event> found;
    const auto last = after + std::min<std::uint64_t>(limit, ~after);
    // The open statements keep the connection's snapshot, so all rows are read from one state.
    execution mark{mark_};
    execution newest{newest_event_};
    std::int64_t position = 0;
    if (mark.bind(run).bind(lower_bound(last)).row())
        position = mark.integer();
    else if (newest.bind(run).row())
        position = newest.integer();
    while (position != 0) {
        execution row{event_};
        if (!row.bind(position).row())
            break;
        auto read = core::read_event(row);
        position = row.integer();
        if (read.version <= after)
            break;
        if (read.version <= last)
            found.push_back(std::move(read));
    }
    std::ranges::reverse(found);
    return found;
}

std::vector<message> reader::inbox(run_id run, std::uint64_t after, std::size_t limit)
{
    std::vector<message> found;
    execution rows{inbox_};
    rows.bind(run).bind(lower_bound(after)).bind(sql_limit(limit));
    while (rows.row())
        found.push_back(core::read_message(rows, run));
    return found;
}

std::optional<settlement> reader::outcome(run_id run, std::uint64_t sequence)
{
    execution row{outcome_};
    if (!row.bind(run).bind(lower_bound(sequence)).row())
        return {};
    return core::read_settlement(row);
}

std::uint64_t reader::cursor(std::string_view name, std::uint32_t shard)
{
    core::check_shard(shard, shards_);
    std::uint64_t position = 0;
    execution row{cursor_};
    if (row.bind(shard).bind(name).row())
        row.read(position);
    return position;
}

} // namespace pawl::sqlite
