// Reads the rows that queries return.
#include "pawl/error.hpp"
#include "stores/common/row_mapping.hpp"
#include "stores/common/store_semantics.hpp"
#include "stores/postgres/error.hpp"
#include "stores/postgres/queries.hpp"

#include <fmt/format.h>

#include <charconv>

namespace pawl::postgres {

namespace {

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
        auto counted = core::read_status_count(rows);
        if (!unfinished_only || !is_finished(counted.state))
            counts.push_back(std::move(counted));
    }
    return counts;
}

child_counts queries::read_child_counts(result rows)
{
    child_counts counts;
    while (rows.next()) {
        const auto state = core::read_run_state(rows);
        counts.of(state) = static_cast<std::uint64_t>(rows.integer());
    }
    return counts;
}

due_page queries::read_due(result rows, time_point until, std::size_t limit)
{
    due_page page;
    while (rows.next()) {
        due_position position;
        rows.read(position.at);
        rows.read(position.id);
        if (page.runs.size() == limit || position.at > until) {
            page.next = position;
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
    return core::read_settlement(rows);
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
        rows.throw_corrupt(fmt::format("expected a position, found \"{}\"", text));
    return position;
}

std::vector<stream_event> queries::read_topic_events(result rows)
{
    return read_all<stream_event>(rows, core::read_stream_event<result>);
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
    return read_all<role_lease>(rows, core::read_role_lease<result>);
}

std::vector<stored_request> queries::read_requests(result rows)
{
    return read_all<stored_request>(rows, [](result& row) {
        stored_request read;
        row.read(read.id);
        row.read(read.workflow);
        row.read(read.foreign_id);
        const bool is_start = row.boolean();
        std::string callback;
        row.read(callback);
        if (!is_start)
            read.callback = std::move(callback);
        row.read(read.payload);
        if (row.is_null())
            row.skip();
        else
            row.read(read.version.emplace());
        row.read(read.key);
        row.read(read.at);
        row.read(read.failures);
        return read;
    });
}

workflow_location queries::read_workflow(result& row)
{
    workflow_location location;
    row.read(location.number);
    if (row.is_null()) {
        row.skip();
        return location;
    }
    const auto first = row.integer();
    if (first < 0 || first >= core::max_shards_of_all)
        row.throw_corrupt(
            fmt::format("a workflow has the first shard {}, which is out of range", first));
    location.first_shard = static_cast<std::uint32_t>(first);
    return location;
}

} // namespace pawl::postgres
