#include "limits/postgres_commit.hpp"

#include "limits/raw_loop.hpp"
#include "stores/postgres/connection.hpp"
#include "stores/postgres/encode.hpp"
#include "stores/postgres/result.hpp"

#include "pawl/event.hpp"
#include "pawl/record_store.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <stdexcept>

namespace pawl_bench {

namespace postgres = pawl::postgres;

class raw_postgres::impl {
public:
    explicit impl(const std::string& uri) : link_(PQconnectdb(uri.c_str()))
    {
        run("SELECT pawl.add_workflow('parcels', true, 32768)");
        auto facts = run("SELECT 'pawl.transition_input'::regtype::oid::bigint, (SELECT workflow "
                         "FROM pawl.workflows WHERE name = 'parcels'), (SELECT shards FROM "
                         "pawl.meta)");
        facts.next();
        facts.read(type_);
        facts.read(workflow_);
        facts.read(shards_);
        check(postgres::result_pointer{
            PQprepare(link_.get(), "apply",
                      "SELECT * FROM pawl.apply($1, $2, $3, $4, $5, $6, $7, $8, $9)", 0, nullptr)});
    }

    void apply(std::span<raw_run> batch)
    {
        postgres::row_array rows{type_, 33};
        int place = 0;
        for (auto& run : batch)
            add(rows, place++, run);
        postgres::parameters values;
        values.bytes(rows.finish());
        for (int i = 0; i < 6; ++i)
            values.null();
        values.int4(0).int4(10'000); // one wave, and how many milliseconds it waits for a lock
        postgres::result verdicts{check(postgres::result_pointer{
                                      values.as_arrays([&](auto texts, auto lengths, auto formats) {
                                          return PQexecPrepared(link_.get(), "apply",
                                                                values.count(), texts, lengths,
                                                                formats, 1);
                                      })}),
                                  "the raw loop"};
        if (verdicts.size() != static_cast<int>(batch.size()))
            throw std::runtime_error("the raw loop of PostgreSQL: not every change was decided");
        while (verdicts.next()) {
            verdicts.skip();
            if (verdicts.integer() != 0)
                throw std::runtime_error("the raw loop of PostgreSQL: a change was not accepted");
        }
    }

private:
    postgres::result_pointer check(postgres::result_pointer rows) const
    {
        const auto status = PQresultStatus(rows.get());
        if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
            throw std::runtime_error(std::string{"the raw loop of PostgreSQL: "} +
                                     PQerrorMessage(link_.get()));
        return rows;
    }

    postgres::result run(const char* sql) const
    {
        return {check(postgres::result_pointer{
                    PQexecParams(link_.get(), sql, 0, nullptr, nullptr, nullptr, nullptr, 1)}),
                "the raw loop"};
    }

    /// The next transition of a run, as a transition_input.
    void add(postgres::row_array& rows, int place, raw_run& run)
    {
        const bool starts = run.version++ == 0;
        if (starts)
            begin_run(run);
        const bool ends = run.version == transitions_per_run;
        const auto now = now_us();
        pawl::run_id id;
        std::ranges::copy(run.id, id.bytes.begin());
        const auto kind = starts ? pawl::event_kind::started
                          : ends ? pawl::event_kind::completed
                                 : pawl::event_kind::moved;
        const auto state = starts ? pawl::run_state::initiated
                           : ends ? pawl::run_state::completed
                                  : pawl::run_state::running;
        // A run that stays runnable keeps its place in the order of due runs.
        const auto wake_at = ends ? std::optional<pawl::time_point>{}
                                  : pawl::time_point{pawl::duration{run.created_at}};
        rows.row()
            .int4(place)
            .int4(0)
            .id(id)
            .int4(static_cast<int>(pawl::shard_of(run.foreign_id, shards_)))
            .int8(run.version - 1)
            .int8(0)
            .boolean(false)
            .int8(0)
            .int2(static_cast<std::int16_t>(kind))
            .int4(std::max(run.version - 1, 1))
            .bytes_or_null({})
            .bytes_or_null({})
            .int4(workflow_);
        rows.bytes_or_null(starts ? std::string_view{run.foreign_id} : std::string_view{})
            .bytes_or_null({})
            .bytes_or_null({})
            .int8(run.created_at)
            .int8(run.version)
            .int8(now)
            .int8(now)
            .time(std::optional<pawl::time_point>{})
            .time(wake_at)
            .int8(run.version)
            .int8(1)
            .int4(run.version)
            .int4(0)
            .int2(static_cast<std::int16_t>(state))
            .boolean(ends)
            .boolean(false)
            .bytes_or_null({})
            .bytes_or_null({})
            .bytes_or_null({})
            .bytes(object_);
    }

    const std::string object_ = [] {
        std::string text;
        pawl::codec<parcel>::encode(parcel{}, text);
        return text;
    }();
    const postgres::connection_pointer link_;
    Oid type_ = 0;
    int workflow_ = 0;
    std::uint32_t shards_ = 0;
};

raw_postgres::raw_postgres(const std::string& uri) : impl_(std::make_unique<impl>(uri))
{
}

raw_postgres::~raw_postgres() = default;

load_result raw_postgres::drive(const load& wanted)
{
    return drive_raw(wanted, [this](std::span<raw_run> batch) { impl_->apply(batch); });
}

} // namespace pawl_bench
