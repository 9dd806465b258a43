#include "stores/sqlite/connection.hpp"

#include "pawl/error.hpp"
#include "stores/common/row_mapping.hpp"
#include "stores/sqlite/error.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace pawl::sqlite {

namespace {

using namespace std::string_view_literals;

/// How long a statement waits for another program's write transaction.
constexpr int busy_milliseconds = 1000;

constexpr const char* empty_text = "";

constexpr std::array pawl_tables{"shards"sv, "workflows"sv, "runs"sv,         "events"sv,
                                 "marks"sv,  "messages"sv,  "cursors"sv,      "counts"sv,
                                 "topics"sv, "roles"sv,     "topic_events"sv, "child_counts"sv};

bool is_pawl_table(const char* name) noexcept
{
    const std::string_view table = name ? name : "";
    return sqlite3_strnicmp(table.data(), "pawl_", 5) == 0 ||
           std::ranges::find(pawl_tables, table) != pawl_tables.end();
}

/// Pragmas that only read.
constexpr std::array read_only_pragmas{"table_info"sv,  "table_xinfo"sv,      "table_list"sv,
                                       "index_info"sv,  "index_list"sv,       "foreign_key_list"sv,
                                       "index_xinfo"sv, "foreign_key_check"sv};

/// Whether a function of the application may take the action. `first` and `second` are SQLite's
/// parameters of the action.
bool is_allowed(int action, const char* first, const char* second) noexcept
{
    switch (action) {
    case SQLITE_TRANSACTION:
    case SQLITE_ATTACH:
    case SQLITE_DETACH:
    case SQLITE_CREATE_TEMP_TABLE: // it could hide a table of Pawl
    case SQLITE_CREATE_TEMP_VIEW:
    case SQLITE_CREATE_TEMP_INDEX:
    case SQLITE_CREATE_TEMP_TRIGGER:
        return false;
    case SQLITE_PRAGMA:
        return std::ranges::find(read_only_pragmas, std::string_view{first}) !=
               read_only_pragmas.end();
    case SQLITE_INSERT:
    case SQLITE_UPDATE:
    case SQLITE_DELETE:
    case SQLITE_CREATE_TABLE:
    case SQLITE_CREATE_VIEW:
    case SQLITE_CREATE_VTABLE:
    case SQLITE_DROP_TABLE:
        return !is_pawl_table(first);
    case SQLITE_ALTER_TABLE:
    case SQLITE_CREATE_INDEX:
    case SQLITE_CREATE_TRIGGER:
    case SQLITE_DROP_INDEX:
    case SQLITE_DROP_TRIGGER:
        return !is_pawl_table(second);
    default:
        return true;
    }
}

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
    sqlite3_set_authorizer(opened, &connection::authorize, this);
    sqlite3_commit_hook(opened, &connection::reject_commit, this);
}

/// After some errors SQLite has rolled back by itself, and later statements of the application must
/// not be committed alone. Any value but 0 rolls them back.
int connection::reject_commit(void* self)
{
    return static_cast<const connection*>(self)->is_called_ ? 1 : 0;
}

int connection::authorize(void* self, int action, const char* first, const char* second,
                          const char* /*database*/, const char* /*trigger*/)
{
    const bool is_pawl = !static_cast<const connection*>(self)->is_called_;
    return is_pawl || is_allowed(action, first, second) ? SQLITE_OK : SQLITE_DENY;
}

void connection::call(const std::function<void(sqlite3*)>& function)
{
    is_called_ = true;
    std::exception_ptr failure;
    try {
        function(handle());
    } catch (...) {
        failure = std::current_exception();
    }
    is_called_ = false;
    bool is_unfinished = false;
    for (auto* open = sqlite3_next_stmt(handle(), nullptr); open;
         open = sqlite3_next_stmt(handle(), open)) {
        if (sqlite3_stmt_busy(open) == 0)
            continue;
        is_unfinished = true;
        sqlite3_reset(open);
    }
    if (failure)
        std::rethrow_exception(failure);
    // SQLite itself rolls back after some failures, a full disk for example.
    if (sqlite3_get_autocommit(handle()) != 0)
        throw error{errc::invalid_argument,
                    path_ + ": a statement of the application has ended the transaction"};
    if (is_unfinished)
        throw error{errc::invalid_argument,
                    path_ + ": the application has left a statement unfinished: finalize what "
                            "it prepares"};
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
    // The database can be recovered from the log only: closing must not remove it.
    sqlite3_db_config(handle(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
}

void connection::set_autocheckpoint(int pages)
{
    autocheckpoint_pages_ = pages;
    sqlite3_wal_hook(handle(), &connection::checkpoint_if_due, this);
}

/// Like SQLite's own automatic checkpoint, except that a failed flush is recorded.
int connection::checkpoint_if_due(void* self, sqlite3* handle, const char* name, int pages)
{
    auto& database = *static_cast<connection*>(self);
    if (pages < database.autocheckpoint_pages_)
        return SQLITE_OK;
    // After any other failure the log is unchanged, and the next commit tries again.
    database.note_failure(
        sqlite3_wal_checkpoint_v2(handle, name, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr));
    return SQLITE_OK;
}

void connection::check_flushes() const
{
    if (flush_failed_)
        throw error{errc::store_flush_failed, path_};
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
    return check(sqlite3_bind_text64(handle(), ++parameter_, text.data() ? text.data() : empty_text,
                                     text.size(), SQLITE_STATIC, SQLITE_UTF8));
}

execution& execution::bind(const run_id& id)
{
    return check(sqlite3_bind_blob64(handle(), ++parameter_, id.bytes.data(), id.bytes.size(),
                                     SQLITE_STATIC));
}

execution& execution::blob(std::string_view bytes)
{
    return check(sqlite3_bind_blob64(handle(), ++parameter_,
                                     bytes.data() ? bytes.data() : empty_text, bytes.size(),
                                     SQLITE_STATIC));
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

void execution::throw_corrupt(std::string_view problem) const
{
    sqlite::throw_corrupt(prepared_.database_->path(), problem);
}

void execution::read(run_id& value)
{
    value = core::decode_run_id(*this, bytes());
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
    // After many errors SQLite has rolled back already, and ROLLBACK fails harmlessly.
    if (open_)
        sqlite3_exec(database_.handle(), "ROLLBACK", nullptr, nullptr, nullptr);
}

} // namespace pawl::sqlite
