#include "limits/group_commit.hpp"

#include "limits/raw_loop.hpp"

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>

namespace pawl_bench {

namespace {

struct closer {
    void operator()(sqlite3* database) const noexcept { sqlite3_close_v2(database); }
    void operator()(sqlite3_stmt* statement) const noexcept { sqlite3_finalize(statement); }
};

using database_ptr = std::unique_ptr<sqlite3, closer>;
using statement_ptr = std::unique_ptr<sqlite3_stmt, closer>;

} // namespace

class raw_sqlite::impl {
public:
    explicit impl(const std::string& file)
    {
        sqlite3* opened = nullptr;
        check(sqlite3_open_v2(file.c_str(), &opened,
                              SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                              nullptr));
        database_.reset(opened);
        for (const char* pragma : {"PRAGMA synchronous = FULL", "PRAGMA cache_size = -65536",
                                   "PRAGMA wal_autocheckpoint = 10000"})
            check(sqlite3_exec(opened, pragma, nullptr, nullptr, nullptr));
        check(sqlite3_exec(opened,
                           "INSERT OR IGNORE INTO workflows (workflow, name) VALUES (1, 'parcels')",
                           nullptr, nullptr, nullptr));
        begin_ = prepare("BEGIN IMMEDIATE");
        commit_ = prepare("COMMIT");
        insert_ = prepare(
            "INSERT INTO runs (version, state, status, visit, entered_at, attempt, step_done, "
            "not_before, updated_at, inbox_pending, last_event, last_error, reason, details, "
            "object, wake_at, finished, id, workflow, foreign_id, shard, created_at, inbox_last, "
            "start_key, trace_parent) VALUES (1, 1, 1, 1, ?1, 0, 0, NULL, ?1, 0, ?2, '', '', NULL, "
            "?3, ?1, 0, ?4, 1, ?5, 0, ?1, 0, '', '') ON CONFLICT DO NOTHING");
        const std::string progress =
            "UPDATE runs SET version = ?1, state = 2, status = ?1, visit = ?1, entered_at = ?2, "
            "attempt = 0, step_done = 0, not_before = NULL, updated_at = ?2, inbox_pending = 0, "
            "last_event = ?3, last_error = '', reason = '', details = NULL, object = ?4";
        // A run that stays runnable keeps its place in the order of due runs.
        update_ = prepare(progress + " WHERE row = ?5");
        finish_ = prepare(progress + ", wake_at = NULL, finished = 1 WHERE row = ?5");
        event_ = prepare("INSERT INTO events (position, run, version, before, kind, from_status, "
                         "to_status, state, attempt, at, error) VALUES (?, ?, ?, ?, 2, 1, 2, 2, 0, "
                         "?, '')");
        sequence_ = prepare("UPDATE shards SET next_sequence = ? WHERE shard = 0");
        count_ = prepare("INSERT INTO counts VALUES (1, ?, 2, 0) ON CONFLICT DO UPDATE SET runs = "
                         "runs + excluded.runs");
        const auto last = prepare("SELECT next_sequence FROM shards WHERE shard = 0");
        if (sqlite3_step(last.get()) != SQLITE_ROW)
            throw std::runtime_error("the raw loop finds no shard in its database");
        next_sequence_ = sqlite3_column_int64(last.get(), 0);
    }

    load_result drive(const load& wanted)
    {
        return drive_raw(wanted, [this](std::span<raw_run> batch) { apply(batch); });
    }

private:
    void check(int code) const
    {
        if (code != SQLITE_OK && code != SQLITE_DONE && code != SQLITE_ROW)
            throw std::runtime_error(std::string{"the raw loop of SQLite: "} +
                                     sqlite3_errmsg(database_.get()));
    }

    statement_ptr prepare(const std::string& sql) const
    {
        sqlite3_stmt* prepared = nullptr;
        check(sqlite3_prepare_v3(database_.get(), sql.data(), static_cast<int>(sql.size()),
                                 SQLITE_PREPARE_PERSISTENT, &prepared, nullptr));
        return statement_ptr{prepared};
    }

    void step(const statement_ptr& statement) const
    {
        check(sqlite3_step(statement.get()));
        check(sqlite3_reset(statement.get()));
    }

    void apply(std::span<raw_run> batch)
    {
        step(begin_);
        for (auto& run : batch)
            run.version == 0 ? create(run) : update(run);
        sqlite3_bind_int64(sequence_.get(), 1, next_sequence_);
        step(sequence_);
        for (int status = 1; status <= 2; ++status) {
            sqlite3_bind_int(count_.get(), 1, status);
            step(count_);
        }
        step(commit_);
    }

    void create(raw_run& run)
    {
        begin_run(run);
        const auto position = next_sequence_;
        sqlite3_bind_int64(insert_.get(), 1, run.created_at);
        sqlite3_bind_int64(insert_.get(), 2, position);
        bind_object(insert_, 3);
        bind_id(insert_, 4, run);
        sqlite3_bind_text(insert_.get(), 5, run.foreign_id.data(),
                          static_cast<int>(run.foreign_id.size()), SQLITE_STATIC);
        step(insert_);
        run.row = sqlite3_last_insert_rowid(database_.get());
        run.last_event = 0;
        run.version = 1;
        append_event(run);
    }

    void update(raw_run& run)
    {
        ++run.version;
        const auto& statement = run.version == transitions_per_run ? finish_ : update_;
        sqlite3_bind_int(statement.get(), 1, run.version);
        sqlite3_bind_int64(statement.get(), 2, now_us());
        sqlite3_bind_int64(statement.get(), 3, next_sequence_);
        bind_object(statement, 4);
        sqlite3_bind_int64(statement.get(), 5, run.row);
        step(statement);
        append_event(run);
    }

    void append_event(raw_run& run)
    {
        sqlite3_bind_int64(event_.get(), 1, next_sequence_);
        sqlite3_bind_int64(event_.get(), 2, run.row);
        sqlite3_bind_int(event_.get(), 3, run.version);
        sqlite3_bind_int64(event_.get(), 4, run.last_event);
        sqlite3_bind_int64(event_.get(), 5, now_us());
        step(event_);
        run.last_event = next_sequence_++;
    }

    void bind_object(const statement_ptr& statement, int parameter)
    {
        sqlite3_bind_blob(statement.get(), parameter, object_.data(),
                          static_cast<int>(object_.size()), SQLITE_STATIC);
    }

    void bind_id(const statement_ptr& statement, int parameter, const raw_run& run)
    {
        sqlite3_bind_blob(statement.get(), parameter, run.id.data(), static_cast<int>(16),
                          SQLITE_STATIC);
    }

    const std::string object_ = [] {
        std::string text;
        pawl::codec<parcel>::encode(parcel{}, text);
        return text;
    }();
    std::int64_t next_sequence_ = 0;
    database_ptr database_;
    statement_ptr begin_, commit_, insert_, update_, finish_, event_, sequence_, count_;
};

raw_sqlite::raw_sqlite(const std::filesystem::path& file)
    : impl_(std::make_unique<impl>(file.string()))
{
}

raw_sqlite::~raw_sqlite() = default;

load_result raw_sqlite::drive(const load& wanted)
{
    return impl_->drive(wanted);
}

} // namespace pawl_bench
