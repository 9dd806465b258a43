// How the rows of queries are read.
#include "core/stream_headers.hpp"
#include "pawl/error.hpp"
#include "stores/common/row_mapping.hpp"
#include "stores/common/store_semantics.hpp"
#include "stores/postgres/error.hpp"
#include "stores/postgres/queries.hpp"

#include <fmt/format.h>

#include <charconv>

namespace pawl::postgres {

namespace {

constexpr auto last_outcome = message_outcome::expired;

template <typename Row, typename Read>
std::vector<Row> read_all(result& rows, Read read)
{
    std::vector<Row> all;
    all.reserve(static_cast<std::size_t>(rows.size()));
    while (rows.next())
        all.push_back(read(rows));
    return all;
}

} // namespace

std::optional<record> queries::read_record_if_any(result rows)
{
    if (!rows.next())
        return {};
    return core::read_record(rows);
}

std::vector<record> queries::read_records(result rows)
{
    return read_all<record>(rows, core::read_record<result>);
}

record_page queries::read_page(result rows, std::size_t limit)
{
    record_page page;
    while (rows.next()) {
        if (page.runs.size() == limit) {
            page.next = core::position_of(page.runs.back());
            break;
        }
        page.runs.push_back(core::read_record(rows));
    }
    return page;
}

std::vector<status_count> queries::read_counts(result rows, bool unfinished_only)
{
    std::vector<status_count> counts;
    while (rows.next()) {
        status_count where;
        rows.read(where.workflow);
        rows.read(where.status);
        where.state = core::read_run_state(rows);
        rows.read(where.runs);
        if (!unfinished_only || !is_finished(where.state))
            counts.push_back(std::move(where));
    }
    return counts;
}

due_page queries::read_due(result rows, time_point until, std::size_t limit)
{
    due_page page;
    while (rows.next()) {
        due_position place;
        rows.read(place.at);
        rows.read(place.id);
        if (page.runs.size() == limit || place.at > until) {
            page.next = place;
            break;
        }
        page.runs.push_back(core::read_record(rows));
    }
    return page;
}

std::vector<event> queries::read_events(result rows)
{
    return read_all<event>(rows, core::read_event<result>);
}

std::vector<message> queries::read_messages(result rows, const run_id& run)
{
    return read_all<message>(rows, [&run](result& row) { return core::read_message(row, run); });
}

std::optional<settlement> queries::read_settlement(result rows)
{
    if (!rows.next())
        return {};
    settlement end;
    rows.read(end.sequence);
    const auto outcome = rows.integer();
    if (outcome < 0 || outcome > static_cast<std::int64_t>(last_outcome))
        rows.damaged(fmt::format("a message has the unknown outcome {}", outcome));
    end.outcome = static_cast<message_outcome>(outcome);
    rows.read(end.detail);
    return end;
}

std::uint64_t queries::read_position(result rows)
{
    std::uint64_t position = 0;
    if (!rows.next())
        return position;
    const auto text = rows.bytes();
    const auto end = text.data() + text.size();
    if (const auto read = std::from_chars(text.data(), end, position);
        read.ec != std::errc{} || read.ptr != end)
        rows.damaged("a position is none");
    return position;
}

std::vector<stream_event> queries::read_topic_events(result rows)
{
    return read_all<stream_event>(rows, [](result& row) {
        stream_event read;
        row.read(read.position);
        row.read(read.id);
        row.read(read.key);
        row.read(read.type);
        read.headers = core::decode_headers(row.bytes());
        row.read(read.payload);
        row.read(read.trace_parent);
        row.read(read.at);
        return read;
    });
}

std::vector<lease> queries::read_leases(result rows)
{
    return read_all<lease>(rows, [](result& row) {
        lease read;
        row.read(read.shard);
        row.read(read.epoch);
        row.read(read.owner);
        std::optional<time_point> until;
        row.read(until);
        read.until = until.value_or(time_point{});
        return read;
    });
}

std::vector<role_lease> queries::read_roles(result rows)
{
    return read_all<role_lease>(rows, [](result& row) {
        role_lease read;
        row.read(read.role);
        row.read(read.epoch);
        row.read(read.owner);
        row.read(read.until);
        return read;
    });
}

workflow_place queries::read_place(result& row)
{
    workflow_place place;
    row.read(place.number);
    if (row.is_null()) {
        row.skip();
        return place;
    }
    const auto first = row.integer();
    if (first < 0 || first >= core::max_shards_of_all)
        row.damaged(fmt::format("a workflow has shards from {} on, which cannot exist", first));
    place.first_shard = static_cast<std::uint32_t>(first);
    return place;
}

} // namespace pawl::postgres
