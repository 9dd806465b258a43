#include "stores/postgres/queries.hpp"

#include "stores/common/attribute_ranges.hpp"
#include "stores/common/row_mapping.hpp"
#include "stores/common/store_semantics.hpp"
#include "stores/postgres/batch.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

namespace pawl::postgres {

namespace {

/// Columns of runs, joined with workflows as `flow`, in the order of core::read_record().
constexpr std::string_view record_columns =
    "runs.id, flow.name, runs.foreign_id, runs.version, runs.state, runs.status, runs.visit, "
    "runs.entered_at, runs.attempt, runs.step_done, runs.not_before, runs.wake_at, "
    "runs.created_at, runs.updated_at, runs.inbox_last, runs.inbox_pending, runs.last_error, "
    "runs.reason, runs.start_key, runs.trace_parent, runs.object_version, runs.details, "
    "runs.object";

/// Columns of events as `e`, joined with runs and workflows, in the order of core::read_event().
constexpr std::string_view event_columns =
    "e.position, e.kind, runs.id, flow.name, runs.foreign_id, e.version, e.from_status, "
    "e.to_status, e.state, e.attempt, e.error, e.requested_by, e.at";

/// Columns of messages, in the order of core::read_message().
constexpr std::string_view message_columns =
    "sequence, kind, sent_at, expires_at, name, key, requested_by, payload_version, payload";

/// A row of runs with the name of its workflow.
constexpr std::string_view from_runs =
    "FROM {0}.runs JOIN {0}.workflows flow ON flow.workflow = runs.workflow ";

constexpr std::string_view workflow_named =
    "(SELECT workflow FROM {0}.workflows WHERE name = $1::bytea)";

std::string select_runs(std::string_view rest)
{
    return fmt::format("SELECT {{1}} {} {}", from_runs, rest);
}

std::int32_t whole_milliseconds(duration time)
{
    return static_cast<std::int32_t>(std::chrono::ceil<std::chrono::milliseconds>(time).count());
}

parameters shards_and_epochs(const std::vector<lease>& held)
{
    std::vector<std::int32_t> shards;
    std::vector<std::int64_t> epochs;
    for (const auto& lease : held) {
        shards.push_back(static_cast<std::int32_t>(lease.shard));
        epochs.push_back(clamp(lease.epoch));
    }
    return parameters{}.int4_array(shards).int8_array(epochs);
}

/// Microseconds, limited so that the end of the lease fits into its column.
std::int64_t microseconds_of(duration lease_duration)
{
    return std::min(lease_duration, duration::max() / 2).count();
}

/// The limit plus one: the additional row shows whether another page follows.
std::int64_t one_more(std::size_t limit)
{
    return clamp(std::min<std::size_t>(limit, std::numeric_limits<std::int64_t>::max() - 1) + 1);
}

/// The filters of a listing and their parameters, in the same order.
class list_filter {
public:
    explicit list_filter(const record_query& query)
        : query_(query), attributes_(core::attribute_ranges(query))
    {
        if (query.parent)
            add("runs.parent = ${2}::uuid").id(*query.parent);
        if (query.statuses)
            add("runs.status = ANY (${2}::integer[])").int4_array(*query.statuses);
        if (query.states) {
            std::vector<std::int32_t> states;
            for (const auto state : *query.states)
                states.push_back(static_cast<int>(state));
            add("runs.state = ANY (${2}::integer[])").int4_array(states);
        }
        add_attributes();
        add_time("runs.updated_at >= ${2}::bigint", query.updated_from);
        add_time("runs.updated_at < ${2}::bigint", query.updated_to);
        if (query.has_error)
            filters_ += *query.has_error ? " AND runs.last_error IS NOT NULL"
                                         : " AND runs.last_error IS NULL";
        if (!query.error_text.empty())
            add("position(${2}::bytea IN runs.last_error) > 0").bytes(query.error_text);
        add_positions();
    }

    /// Searches the runs of each workflow, or of each foreign id, in the order of the index on
    /// them.
    std::string sql()
    {
        const std::string order = is_newest_first() ? "DESC" : "ASC";
        std::string flows = "true";
        if (!query_.workflow.empty()) {
            values_.bytes(query_.workflow);
            flows = fmt::format("flow.name = ${}::bytea", values_.count());
        }
        std::string ids;
        std::string condition = workflow_condition();
        if (searches_attributes()) {
            values_.int8(one_more(query_.limit));
            return fmt::format(
                "SELECT {{1}} FROM {{0}}.workflows flow CROSS JOIN LATERAL (SELECT run.* FROM "
                "{{0}}.attributes found CROSS JOIN LATERAL (SELECT * FROM {{0}}.runs WHERE "
                "runs.id = found.run{0} LIMIT 1) run WHERE found.workflow = flow.workflow{1} "
                "ORDER BY found.created_at {2}, found.run {2} LIMIT ${3}) runs "
                "WHERE {4} ORDER BY runs.created_at {2}, runs.id {2} LIMIT ${3}",
                filters_, order_filters_, order, values_.count(), flows);
        }
        if (query_.foreign_ids) {
            values_.bytes_array(*query_.foreign_ids);
            ids =
                fmt::format("CROSS JOIN (SELECT DISTINCT id FROM unnest(${}::bytea[]) id) wanted ",
                            values_.count());
            condition = "{0}.index_key(int4send(runs.workflow), runs.foreign_id) = "
                        "{0}.index_key(int4send(flow.workflow), wanted.id)";
        }
        values_.int8(one_more(query_.limit));
        return fmt::format(
            "SELECT {{1}} FROM {{0}}.workflows flow {0}CROSS JOIN LATERAL (SELECT * FROM "
            "{{0}}.runs WHERE {1}{2} ORDER BY runs.created_at {3}, runs.id {3} LIMIT ${4}) runs "
            "WHERE {5} ORDER BY runs.created_at {3}, runs.id {3} LIMIT ${4}",
            ids, condition, filters_ + order_filters_, order, values_.count(), flows);
    }

    parameters values() && { return std::move(values_); }

private:
    bool is_newest_first() const { return query_.order == sort_order::newest_first; }

    /// Whether the index of attributes is searched for the page. Foreign ids and a parent select
    /// fewer runs.
    bool searches_attributes() const
    {
        return !attributes_.empty() && !query_.foreign_ids && !query_.parent;
    }

    /// The first attribute is a condition of the index that is searched, the others of the runs.
    void add_attributes()
    {
        bool is_searched = searches_attributes();
        for (const auto& range : attributes_) {
            if (std::exchange(is_searched, false)) {
                add(order_filters_, "found.name = ${2}::bytea").bytes(range.name);
                if (range.is_equality()) {
                    add(order_filters_, "found.value = ${2}::bytea").bytes(range.first);
                } else {
                    add(order_filters_, "found.value >= ${2}::bytea").bytes(range.first);
                    add(order_filters_, "found.value < ${2}::bytea").bytes(range.end);
                }
            } else if (range.is_equality()) {
                add("(SELECT value FROM {0}.attributes WHERE run = runs.id AND "
                    "name = ${2}::bytea) = ${3}::bytea")
                    .bytes(range.name)
                    .bytes(range.first);
            } else {
                add("(SELECT value >= ${2}::bytea AND value < ${3}::bytea FROM {0}.attributes "
                    "WHERE run = runs.id AND name = ${4}::bytea)")
                    .bytes(range.first)
                    .bytes(range.end)
                    .bytes(range.name);
            }
        }
    }

    /// The conditions on the position of a run in the order of the listing.
    void add_positions()
    {
        const std::string created = searches_attributes() ? "found.created_at" : "runs.created_at";
        const std::string id = searches_attributes() ? "found.run" : "runs.id";
        if (query_.created_from)
            add(order_filters_, created + " >= ${2}::bigint").time(*query_.created_from);
        if (query_.created_to)
            add(order_filters_, created + " < ${2}::bigint").time(*query_.created_to);
        if (query_.after)
            add(order_filters_, "(" + created + ", " + id + (is_newest_first() ? ") < " : ") > ") +
                                    "(${2}::bigint, ${3}::uuid)")
                .time(query_.after.created_at)
                .id(query_.after.run);
    }

    /// The condition for the runs of a workflow that selects the smallest index.
    std::string workflow_condition() const
    {
        const auto use_index = [](std::string_view mark, std::string_view condition) {
            return fmt::format("int4send(runs.workflow) || '\\x{0}' = int4send(flow.workflow) || "
                               "'\\x{0}' AND {1}",
                               mark, condition);
        };
        if (query_.parent)
            return use_index("05", "runs.parent IS NOT NULL");
        if (query_.states && std::ranges::all_of(*query_.states, [](run_state state) {
                return state == run_state::paused;
            }))
            return use_index("03", "runs.paused");
        const bool has_error = query_.has_error.value_or(false) || !query_.error_text.empty();
        const bool is_unfinished =
            query_.states && std::ranges::none_of(*query_.states, is_finished);
        if (has_error && is_unfinished)
            return use_index("06", "runs.last_error IS NOT NULL AND runs.finished_at IS NULL");
        if (has_error)
            return use_index("04", "runs.last_error IS NOT NULL");
        if (is_unfinished)
            return use_index("02", "coalesce(runs.finished_at, 0) = 0");
        return "runs.workflow = flow.workflow";
    }

    parameters& add(std::string_view condition) { return add(filters_, condition); }

    /// "{2}", "{3}" and "{4}" stand for the numbers of the next parameters.
    parameters& add(std::string& filters, std::string_view condition)
    {
        std::string numbered{condition};
        const auto replace = [&numbered](std::string_view from, int number) {
            if (const auto found = numbered.find(from); found != numbered.npos)
                numbered.replace(found, from.size(), std::to_string(number));
        };
        replace("{2}", values_.count() + 1);
        replace("{3}", values_.count() + 2);
        replace("{4}", values_.count() + 3);
        filters += " AND " + numbered;
        return values_;
    }

    void add_time(std::string_view condition, const std::optional<time_point>& time)
    {
        if (time)
            add(condition).time(*time);
    }

    const record_query& query_;
    const std::vector<core::attribute_range> attributes_;
    std::string filters_;
    std::string order_filters_;
    parameters values_;
};

} // namespace

queries::queries(std::string_view schema, std::uint32_t shards)
    : schema_(quoted(schema)), channel_("pawl_news_" + std::string{schema}), shards_(shards)
{
}

request queries::make(const char* name, std::string_view doing, std::string_view sql,
                      parameters values) const
{
    std::string text{sql};
    const auto replace = [&text](std::string_view from, std::string_view value) {
        for (std::size_t at = 0; (at = text.find(from, at)) != text.npos; at += value.size())
            text.replace(at, from.size(), value);
    };
    replace("{1}", record_columns);
    replace("{0}", schema_);
    return {.name = name, .sql = std::move(text), .values = std::move(values), .doing = doing};
}

request queries::find(const std::vector<run_id>& ids) const
{
    return make("pawl_find", "reading runs", select_runs("WHERE runs.id = ANY ($1::uuid[])"),
                parameters{}.id_array(ids));
}

request queries::latest(std::string_view workflow, std::string_view foreign_id) const
{
    return make(
        "pawl_latest", "reading a run",
        select_runs(fmt::format("WHERE runs.id = coalesce("
                                "(SELECT o.id FROM {{0}}.runs o WHERE o.finished_at IS NULL AND "
                                "{{0}}.index_key(int4send(o.workflow) || '\\x01', o.foreign_id) = "
                                "{{0}}.index_key(int4send({0}) || '\\x01', $2::bytea) LIMIT 1), "
                                "(SELECT o.id FROM {{0}}.runs o WHERE "
                                "{{0}}.index_key(int4send(o.workflow), o.foreign_id) = "
                                "{{0}}.index_key(int4send({0}), $2::bytea) "
                                "ORDER BY o.created_at DESC, o.id DESC LIMIT 1))",
                                workflow_named)),
        parameters{}.bytes(workflow).bytes(foreign_id));
}

request queries::list(const record_query& query) const
{
    list_filter filter{query};
    const auto sql = filter.sql();
    // There are too many forms of listings to prepare each.
    return make("", "listing runs", sql, std::move(filter).values());
}

request queries::count(std::string_view workflow) const
{
    return make("pawl_count", "counting runs",
                "SELECT flow.name, c.status, c.state, sum(c.runs)::bigint FROM {0}.counts c "
                "JOIN {0}.workflows flow ON flow.workflow = c.workflow "
                "WHERE $1::bytea = '' OR flow.name = $1::bytea GROUP BY flow.name, c.status, "
                "c.state HAVING sum(c.runs) > 0 ORDER BY flow.name, c.status, c.state",
                parameters{}.bytes(workflow));
}

request queries::count_children(const run_id& parent) const
{
    return make("pawl_count_children", "counting runs",
                "SELECT state, sum(runs)::bigint FROM {0}.child_counts WHERE parent = $1::uuid "
                "GROUP BY state",
                parameters{}.id(parent));
}

request queries::finished_before(std::uint32_t shard, std::string_view workflow, time_point before,
                                 std::size_t limit) const
{
    return make("pawl_finished", "reading finished runs",
                select_runs(fmt::format("WHERE runs.shard = $2::integer AND runs.workflow = {} AND "
                                        "runs.finished_at < $3::bigint AND runs.finished_at IS NOT "
                                        "NULL ORDER BY runs.finished_at, runs.id LIMIT $4::bigint",
                                        workflow_named)),
                parameters{}
                    .bytes(workflow)
                    .int4(static_cast<std::int32_t>(shard))
                    .time(before)
                    .int8(clamp(limit)));
}

request queries::due(std::uint32_t shard, const due_position& from, time_point until,
                     std::size_t limit) const
{
    // The due runs and one more, and then the first run that is not due yet: the next page begins
    // at the row after the limit, if any.
    return make("pawl_due", "reading due runs",
                "WITH page AS ((SELECT wake_at, run FROM {0}.due WHERE shard = $1::integer AND "
                "(wake_at, run) >= ($2::bigint, $3::uuid) AND wake_at <= $4::bigint "
                "ORDER BY wake_at, run LIMIT $5::bigint) UNION ALL "
                "(SELECT wake_at, run FROM {0}.due WHERE shard = $1::integer AND "
                "(wake_at, run) >= ($2::bigint, $3::uuid) AND wake_at > $4::bigint "
                "ORDER BY wake_at, run LIMIT 1)) "
                "SELECT page.wake_at, page.run, {1} FROM page JOIN {0}.runs ON runs.id = page.run "
                "JOIN {0}.workflows flow ON flow.workflow = runs.workflow "
                "ORDER BY page.wake_at, page.run",
                parameters{}
                    .int4(static_cast<std::int32_t>(shard))
                    .time(from.at)
                    .id(from.id)
                    .time(until)
                    .int8(one_more(limit)));
}

request queries::events(std::uint32_t shard, std::uint64_t after, std::size_t limit) const
{
    return make("pawl_events", "reading events",
                fmt::format("SELECT {} FROM {{0}}.events e JOIN {{0}}.runs ON runs.id = e.run "
                            "JOIN {{0}}.workflows flow ON flow.workflow = runs.workflow "
                            "WHERE e.position > $1::bigint AND e.position <= $2::bigint "
                            "ORDER BY e.position LIMIT $3::bigint",
                            event_columns),
                parameters{}
                    .int8(core::position_of(shard, std::min(after, core::last_sequence)))
                    .int8(core::position_of(shard, core::last_sequence))
                    .int8(clamp(limit)));
}

request queries::history(const run_id& run, std::uint64_t after, std::size_t limit) const
{
    return make("pawl_history", "reading a history",
                fmt::format("SELECT {} FROM {{0}}.events e JOIN {{0}}.runs ON runs.id = e.run "
                            "JOIN {{0}}.workflows flow ON flow.workflow = runs.workflow "
                            "WHERE e.run = $1::uuid AND e.version > $2::bigint "
                            "ORDER BY e.version LIMIT $3::bigint",
                            event_columns),
                parameters{}.id(run).int8(clamp(after)).int8(clamp(limit)));
}

request queries::inbox(const run_id& run, std::uint64_t after, std::size_t limit) const
{
    return make("pawl_inbox", "reading an inbox",
                fmt::format("SELECT {} FROM {{0}}.messages WHERE run = $1::uuid AND outcome = 0 "
                            "AND sequence > $2::bigint ORDER BY sequence LIMIT $3::bigint",
                            message_columns),
                parameters{}.id(run).int8(clamp(after)).int8(clamp(limit)));
}

request queries::outcome(const run_id& run, std::uint64_t sequence) const
{
    return make("pawl_outcome", "reading a message",
                "SELECT sequence, outcome, detail FROM {0}.messages WHERE run = $1::uuid AND "
                "sequence = $2::bigint AND EXISTS (SELECT FROM {0}.runs WHERE id = $1::uuid)",
                parameters{}.id(run).int8(clamp(sequence)));
}

request queries::cursor(std::string_view name, std::uint32_t shard) const
{
    return make("pawl_cursor", "reading a cursor",
                "SELECT position::text FROM {0}.cursors WHERE shard = $1::integer AND "
                "name = $2::bytea",
                parameters{}.int4(static_cast<std::int32_t>(shard)).bytes(name));
}

request queries::topic_events(std::string_view topic, std::uint64_t after, std::size_t limit) const
{
    return make("pawl_topic_events", "reading a topic",
                "SELECT position, id, key, type, headers, payload, trace_parent, at FROM "
                "{0}.topic_events WHERE topic = (SELECT topic FROM {0}.topics WHERE "
                "name = $1::bytea) AND position > $2::bigint ORDER BY position LIMIT $3::bigint",
                parameters{}.bytes(topic).int8(clamp(after)).int8(clamp(limit)));
}

request queries::finished_behind(std::uint32_t shard, std::string_view workflow,
                                 const finished_position& after, time_point before,
                                 std::size_t limit) const
{
    return make("pawl_finished_behind", "reading finished runs",
                select_runs(fmt::format("WHERE runs.shard = $2::integer AND runs.workflow = {} AND "
                                        "(runs.finished_at, runs.id) > ($3::bigint, $4::uuid) AND "
                                        "runs.finished_at < $5::bigint AND runs.finished_at IS NOT "
                                        "NULL ORDER BY runs.finished_at, runs.id LIMIT $6::bigint",
                                        workflow_named)),
                parameters{}
                    .bytes(workflow)
                    .int4(static_cast<std::int32_t>(shard))
                    .time(after.at)
                    .id(after.id)
                    .time(before)
                    .int8(clamp(limit)));
}

request queries::log_end(std::uint32_t shard) const
{
    return make("pawl_log_end", "reading the log",
                "SELECT (next_sequence - 1)::text FROM {0}.shards WHERE shard = $1::integer",
                parameters{}.int4(static_cast<std::int32_t>(shard)));
}

request queries::topic_end(std::string_view topic) const
{
    return make("pawl_topic_end", "reading a topic",
                "SELECT (next_position - 1)::text FROM {0}.topics WHERE name = $1::bytea",
                parameters{}.bytes(topic));
}

request queries::claim(const std::vector<std::uint32_t>& shards, std::string_view owner,
                       duration lease_duration) const
{
    return make("pawl_claim", "claiming shards",
                "SELECT shard, epoch, owner, lease_until FROM {0}.claim_shards($1::integer[], "
                "$2::bytea, $3::bigint) ORDER BY shard",
                parameters{}
                    .int4_array({shards.begin(), shards.end()})
                    .bytes(owner)
                    .int8(microseconds_of(lease_duration)));
}

request queries::fence_lost(const std::vector<seen_event>& seen) const
{
    std::vector<std::int32_t> shards;
    std::vector<std::int64_t> sequences;
    std::vector<run_id> runs;
    std::vector<std::int64_t> versions;
    for (const auto& event : seen) {
        shards.push_back(static_cast<std::int32_t>(event.shard));
        sequences.push_back(clamp(event.sequence));
        runs.push_back(event.run);
        versions.push_back(clamp(event.version));
    }
    return make(
        "pawl_fence_lost", "looking for lost commits",
        "SELECT {0}.fence_lost($1::integer[], $2::bigint[], $3::uuid[], $4::bigint[])",
        parameters{}.int4_array(shards).int8_array(sequences).id_array(runs).int8_array(versions));
}

request queries::release_unlocked(const std::vector<lease>& held) const
{
    return make("pawl_release_unlocked", "releasing shards",
                "WITH unlocked AS MATERIALIZED (SELECT l.shard FROM {0}.leases l "
                "WHERE l.shard = ANY ($1::integer[]) ORDER BY l.shard FOR NO KEY UPDATE SKIP "
                "LOCKED), given AS MATERIALIZED (SELECT array_agg(h.shard) AS shards, "
                "array_agg(h.epoch) AS epochs FROM unnest($1::integer[], $2::bigint[]) "
                "AS h (shard, epoch) JOIN unlocked USING (shard)) "
                "SELECT coalesce(cardinality(shards), 0), {0}.release_shards(shards, epochs) "
                "FROM given",
                shards_and_epochs(held));
}

request queries::release(const std::vector<lease>& held, duration lock_timeout) const
{
    return make("pawl_release", "releasing shards",
                "SELECT {0}.release_shards($1::integer[], $2::bigint[]) "
                "FROM set_config('lock_timeout', $3::integer::text, true)",
                shards_and_epochs(held).int4(whole_milliseconds(lock_timeout)));
}

request queries::leases() const
{
    return make("pawl_leases", "reading leases",
                "SELECT shard, epoch, owner, lease_until FROM {0}.shards JOIN {0}.leases "
                "USING (shard) WHERE shard >= 0 AND shard < $1::integer ORDER BY shard",
                parameters{}.int4(core::max_shards_of_all));
}

request queries::claim_role(std::string_view role, std::string_view owner, duration lease_duration,
                            duration lock_timeout) const
{
    // A role that another owner holds is not locked, so that a claim delays no renewal.
    return make(
        "pawl_claim_role", "claiming a role",
        "INSERT INTO {0}.roles AS r (name, owner, epoch, lease_until, lease_duration) "
        "SELECT $1::bytea, $2::bytea, {0}.next_epoch(0), {0}.now_us() + $3::bigint, $3::bigint "
        "FROM set_config('lock_timeout', $4::integer::text, true) "
        "WHERE NOT EXISTS (SELECT FROM {0}.roles h WHERE h.name = $1::bytea AND h.owner <> "
        "$2::bytea AND NOT {0}.is_lapsed(h.lease_until, h.lease_duration, {0}.now_us())) "
        "ON CONFLICT (name) DO "
        "UPDATE SET epoch = CASE WHEN r.owner = excluded.owner THEN r.epoch ELSE "
        "{0}.next_epoch(r.epoch) END, owner = excluded.owner, lease_until = {0}.now_us() + "
        "$3::bigint, lease_duration = $3::bigint "
        "WHERE r.owner IS NULL OR r.owner = excluded.owner OR "
        "{0}.is_lapsed(r.lease_until, r.lease_duration, {0}.now_us()) "
        "RETURNING name, epoch, owner, lease_until",
        parameters{}
            .bytes(role)
            .bytes(owner)
            .int8(microseconds_of(lease_duration))
            .int4(whole_milliseconds(lock_timeout)));
}

request queries::release_role(const role_lease& held, duration lock_timeout) const
{
    return make("pawl_release_role", "releasing a role",
                "UPDATE {0}.roles SET owner = NULL FROM set_config('lock_timeout', "
                "$3::integer::text, true) "
                "WHERE name = $1::bytea AND epoch = $2::bigint",
                parameters{}
                    .bytes(held.role)
                    .int8(clamp(held.epoch))
                    .int4(whole_milliseconds(lock_timeout)));
}

request queries::roles(std::string_view prefix) const
{
    return make("pawl_roles", "reading roles",
                "SELECT name, epoch, owner, lease_until FROM {0}.roles WHERE owner IS NOT NULL "
                "AND NOT {0}.is_lapsed(lease_until, lease_duration, {0}.now_us()) "
                "AND name >= $1::bytea AND name < $2::bytea ORDER BY name",
                parameters{}.bytes(prefix).bytes(core::end_of_prefix(prefix)));
}

request queries::forget_roles(std::string_view prefix) const
{
    // Roles that are being claimed at the moment are skipped.
    return make(
        "pawl_forget_roles", "deleting roles",
        "DELETE FROM {0}.roles WHERE name = ANY (ARRAY(SELECT name FROM {0}.roles WHERE "
        "name >= $1::bytea AND name < $2::bytea AND (owner IS NULL OR "
        "{0}.is_lapsed(lease_until, lease_duration, {0}.now_us())) FOR UPDATE SKIP LOCKED)) "
        "AND (owner IS NULL OR "
        "{0}.is_lapsed(lease_until, lease_duration, {0}.now_us()))",
        parameters{}.bytes(prefix).bytes(core::end_of_prefix(prefix)));
}

request queries::now() const
{
    return make("pawl_now", "reading the clock", "SELECT {0}.now_us()", parameters{});
}

request queries::sweep_removed() const
{
    return make("pawl_sweep", "deleting what is left of removed runs",
                "SELECT {0}.sweep_removed()::integer", parameters{});
}

request queries::find_workflow(std::string_view name) const
{
    return make("pawl_find_workflow", "reading a workflow",
                "SELECT workflow, first_shard FROM {0}.workflows WHERE name = $1::bytea",
                parameters{}.bytes(name));
}

request queries::add_workflow(std::string_view name, bool with_shards) const
{
    return make("pawl_add_workflow", "storing a workflow",
                "SELECT {0}.add_workflow($1::bytea, $2::boolean, $3::integer)",
                parameters{}.bytes(name).boolean(with_shards).int4(core::max_shards_of_all));
}

request queries::apply(encoded_batch batch, duration lock_timeout) const
{
    const auto patience = whole_milliseconds(lock_timeout);
    auto& values = batch.values;
    switch (batch.function) {
    case batch_function::apply:
        break;
    case batch_function::apply_with_attributes:
        values.int4(patience).bytes(batch.attributes);
        return make("pawl_apply_attributes", "storing a batch",
                    "SELECT * FROM {0}.apply_with_attributes($1, $2, $3, $4, $5, $6, $7, $8, $9, "
                    "$10)",
                    std::move(values));
    case batch_function::update_attributes:
        values.bytes(batch.attributes).int4(patience);
        return make("pawl_update_attributes", "storing attributes",
                    "SELECT * FROM {0}.update_attributes($1, $2, $3)", std::move(values));
    }
    values.int4(patience);
    return make("pawl_apply", "storing a batch",
                "SELECT * FROM {0}.apply($1, $2, $3, $4, $5, $6, $7, $8, $9)", std::move(values));
}

request queries::shards_of(const std::vector<run_id>& runs) const
{
    return make("pawl_shards_of", "looking for the shards of runs",
                "SELECT id, shard FROM {0}.runs WHERE id = ANY ($1::uuid[])",
                parameters{}.id_array(runs));
}

request queries::find_locked(const std::vector<lock_key>& keys) const
{
    std::vector<std::int32_t> shards;
    std::vector<std::string> topics;
    for (const auto& key : keys) {
        if (key.topic.empty())
            shards.push_back(static_cast<std::int32_t>(key.shard));
        else
            topics.push_back(key.topic);
    }
    return make("pawl_find_locked", "looking for locks",
                "SELECT shard, topic FROM {0}.find_locked($1::integer[], $2::bytea[])",
                parameters{}.int4_array(shards).bytes_array(topics));
}

request queries::take_requests(const std::vector<std::string>& workflows, std::size_t limit,
                               duration lease) const
{
    return make("pawl_take_requests", "taking requests",
                "SELECT t.request, flow.name, t.foreign_id, t.callback IS NULL, t.callback, "
                "t.payload, t.version, t.key, t.at, t.failures FROM "
                "{0}.take_requests($1::bytea[], $2::bigint, $3::bigint) t "
                "JOIN {0}.workflows flow ON flow.workflow = t.workflow ORDER BY t.request",
                parameters{}.bytes_array(workflows).int8(clamp(limit)).int8(lease.count()));
}

request queries::waiting_requests(std::size_t most) const
{
    return make("pawl_waiting_requests", "counting requests",
                "SELECT count(*), coalesce({0}.now_us() - min(at), 0) FROM (SELECT at FROM "
                "{0}.requests ORDER BY int8send(request) LIMIT $1::bigint) waiting",
                parameters{}.int8(clamp(most)));
}

request queries::settle_requests(const std::vector<std::uint64_t>& done,
                                 const std::vector<std::uint64_t>& failed, duration delay) const
{
    const auto numbers = [](const std::vector<std::uint64_t>& ids) {
        std::vector<std::int64_t> all;
        for (const auto id : ids)
            all.push_back(clamp(id));
        return all;
    };
    return make(
        "pawl_settle_requests", "settling requests",
        "WITH failed AS (UPDATE {0}.requests SET failures = failures + 1, "
        "taken_until = {0}.now_us() + $3::bigint WHERE int8send(request) = ANY (ARRAY("
        "SELECT int8send(number) FROM unnest($2::bigint[]) number))) "
        "DELETE FROM {0}.requests WHERE int8send(request) = ANY (ARRAY("
        "SELECT int8send(number) FROM unnest($1::bigint[]) number))",
        parameters{}.int8_array(numbers(done)).int8_array(numbers(failed)).int8(delay.count()));
}

request queries::notify(const std::vector<std::string>& payloads) const
{
    return make("pawl_notify", "notifying of commits",
                // Notifications need not be durable: polling finds what a crash has lost.
                fmt::format("SELECT set_config('synchronous_commit', 'off', true) UNION ALL "
                            "SELECT pg_notify('{}', payload)::text FROM unnest($1::text[]) "
                            "payload",
                            channel_),
                parameters{}.text_array(payloads));
}

request queries::commits() const
{
    return make("pawl_commits", "polling for commits",
                "SELECT s.shard, s.commits, (SELECT min(d.wake_at) FROM {0}.due d WHERE "
                "d.shard = s.shard) FROM {0}.shards s ORDER BY s.shard",
                parameters{});
}

} // namespace pawl::postgres
