#include "sqlite/connection.hpp"

#include "pawl/error.hpp"
#include "sqlite/error.hpp"

#include <algorithm>

namespace pawl::sqlite {

namespace {

/// How long a statement waits for a program outside that is in the middle of a write.
constexpr int busy_milliseconds = 1000;

constexpr const char* nothing = "";

} // namespace

connection::connection(std::string path) : path_(std::move(path))
{
    sqlite3* opened = nullptr;
    const int code = sqlite3_open_v2(path_.c_str(), &opened,
                                     SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
                                         SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                                     nullptr);
    handle_.reset(opened);
    if (code != SQLITE_OK)
        fail(code, "open");
    sqlite3_busy_timeout(opened, busy_milliseconds);
}

void connection::execute(const char* sql)
{
    if (const int code = sqlite3_exec(handle(), sql, nullptr, nullptr, nullptr); code != SQLITE_OK)
        fail(code, sql);
}

std::int64_t connection::integer(const char* sql)
{
    statement prepared{*this, sql};
    execution query{prepared};
    return query.row() ? query.integer() : 0;
}

void connection::note_failure(int code) noexcept
{
    if (!is_failed_flush(code))
        return;
    flush_failed_ = true;
    // The log is what the database can be made whole from: it must not be removed.
    sqlite3_db_config(handle(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
}

void connection::move_log_from(int pages)
{
    most_log_pages_ = pages;
    sqlite3_wal_hook(handle(), &connection::committed, this);
}

/// What SQLite does by itself if it is let, but for looking at what came of it.
int connection::committed(void* self, sqlite3* handle, const char* name, int pages)
{
    auto& database = *static_cast<connection*>(self);
    if (pages < database.most_log_pages_)
        return SQLITE_OK;
    // Any other failure leaves the log as it is, and the next commit tries again.
    database.note_failure(
        sqlite3_wal_checkpoint_v2(handle, name, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr));
    return SQLITE_OK;
}

void connection::check_flushes() const
{
    if (flush_failed_)
        throw error{errc::store_unflushed, path_};
}

void connection::fail(int code, std::string_view doing)
{
    note_failure(code);
    throw_error(handle(), code, path_, doing.substr(0, doing.find('\n')));
}

statement::statement(connection& database, std::string_view sql) : database_(&database)
{
    sqlite3_stmt* prepared = nullptr;
    const int code = sqlite3_prepare_v3(database.handle(), sql.data(), static_cast<int>(sql.size()),
                                        SQLITE_PREPARE_PERSISTENT, &prepared, nullptr);
    handle_.reset(prepared);
    if (code != SQLITE_OK)
        database.fail(code, sql);
}

execution& execution::check(int code)
{
    if (code != SQLITE_OK)
        prepared_.database_->fail(code, sqlite3_sql(handle()));
    return *this;
}

execution& execution::bind_integer(sqlite3_int64 value)
{
    return check(sqlite3_bind_int64(handle(), ++parameter_, value));
}

execution& execution::bind(std::optional<time_point> value)
{
    if (value)
        return bind(*value);
    return check(sqlite3_bind_null(handle(), ++parameter_));
}

execution& execution::bind(std::string_view text)
{
    // A null pointer would bind NULL.
    return check(sqlite3_bind_text64(handle(), ++parameter_, text.data() ? text.data() : nothing,
                                     text.size(), SQLITE_STATIC, SQLITE_UTF8));
}

execution& execution::bind(const run_id& id)
{
    return check(sqlite3_bind_blob64(handle(), ++parameter_, id.bytes.data(), id.bytes.size(),
                                     SQLITE_STATIC));
}

execution& execution::blob(std::string_view bytes)
{
    return check(sqlite3_bind_blob64(handle(), ++parameter_, bytes.data() ? bytes.data() : nothing,
                                     bytes.size(), SQLITE_STATIC));
}

execution& execution::blob_or_null(std::string_view bytes)
{
    if (!bytes.empty())
        return blob(bytes);
    return check(sqlite3_bind_null(handle(), ++parameter_));
}

bool execution::row()
{
    column_ = 0;
    const int code = sqlite3_step(handle());
    if (code == SQLITE_ROW)
        return true;
    if (code == SQLITE_DONE)
        return false;
    prepared_.database_->fail(code, sqlite3_sql(handle()));
}

void execution::read(std::optional<time_point>& value)
{
    value.reset();
    if (sqlite3_column_type(handle(), column_) == SQLITE_NULL)
        ++column_;
    else
        read(value.emplace());
}

std::string_view execution::bytes()
{
    const auto* data = static_cast<const char*>(sqlite3_column_blob(handle(), column_));
    const int size = sqlite3_column_bytes(handle(), column_++);
    return data ? std::string_view{data, static_cast<std::size_t>(size)} : std::string_view{};
}

void execution::read(std::string& value)
{
    value = bytes();
}

void execution::damaged(std::string_view what) const
{
    throw_damaged(prepared_.database_->path(), what);
}

void execution::read(run_id& value)
{
    const auto stored = bytes();
    if (stored.size() != value.bytes.size())
        damaged("a run id does not have 16 bytes");
    std::ranges::copy(stored, value.bytes.begin());
}

transaction::transaction(connection& database) : database_(database)
{
    database_.execute("BEGIN IMMEDIATE");
}

void transaction::commit()
{
    database_.execute("COMMIT");
    open_ = false;
}

transaction::~transaction()
{
    // Many errors have rolled back already; then this one fails, and that is as it should be.
    if (open_)
        sqlite3_exec(database_.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
}

} // namespace pawl::sqlite
