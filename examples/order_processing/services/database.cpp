#include "services/database.hpp"

#include <utility>

namespace order_processing::services {

database::database(std::string file, std::chrono::milliseconds lock_wait) : file_(std::move(file))
{
    sqlite3* opened = nullptr;
    const int result =
        sqlite3_open_v2(file_.c_str(), &opened,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
    connection_.reset(opened);
    if (result != SQLITE_OK)
        fail("cannot be opened");
    sqlite3_busy_timeout(opened, static_cast<int>(lock_wait.count()));
    // With the file to itself from the first access on, SQLite keeps the index of the log in its
    // own memory, and a second process finds the file locked.
    run("PRAGMA locking_mode = EXCLUSIVE");
    run("PRAGMA journal_mode = WAL");
    run("PRAGMA synchronous = FULL");
    run("PRAGMA journal_size_limit = 16777216");
}

void database::run(const char* sql)
{
    if (sqlite3_exec(connection_.get(), sql, nullptr, nullptr, nullptr) != SQLITE_OK)
        fail("cannot be used");
}

std::int64_t database::number(const char* sql)
{
    statement once{*this, sql};
    query row{once};
    return row.next() ? row.number(0) : 0;
}

bool database::in_transaction() const noexcept
{
    return sqlite3_get_autocommit(connection_.get()) == 0;
}

void database::fail(std::string_view problem) const
{
    auto* connection = connection_.get(); // null when there was no memory for it
    const int code = sqlite3_errcode(connection);
    const std::string cause =
        code == SQLITE_BUSY ? "another process has it open" : sqlite3_errmsg(connection);
    refuse(std::string{problem} + ": " + cause);
}

void database::refuse(std::string_view problem) const
{
    throw ledger_error("the ledger \"" + file_ + "\" " + std::string{problem});
}

statement::statement(database& on, const char* sql) : database_(&on)
{
    sqlite3_stmt* prepared = nullptr;
    const int result = sqlite3_prepare_v3(on.connection_.get(), sql, -1, SQLITE_PREPARE_PERSISTENT,
                                          &prepared, nullptr);
    prepared_.reset(prepared);
    if (result != SQLITE_OK)
        on.fail("cannot be used");
}

query::~query()
{
    sqlite3_reset(used_.prepared_.get());
}

bool query::next()
{
    const int result = sqlite3_step(used_.prepared_.get());
    if (result != SQLITE_ROW && result != SQLITE_DONE)
        used_.database_->fail("cannot be read or written");
    return result == SQLITE_ROW;
}

std::int64_t query::number(int column) const
{
    return sqlite3_column_int64(used_.prepared_.get(), column);
}

std::string query::text(int column) const
{
    const auto* bytes = sqlite3_column_text(used_.prepared_.get(), column);
    const auto size = sqlite3_column_bytes(used_.prepared_.get(), column);
    return bytes == nullptr
               ? std::string{}
               : std::string{reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size)};
}

bool query::is_null(int column) const
{
    return sqlite3_column_type(used_.prepared_.get(), column) == SQLITE_NULL;
}

void query::bind(int column, std::string_view value)
{
    const auto* bytes = value.data() == nullptr ? "" : value.data();
    if (sqlite3_bind_text64(used_.prepared_.get(), column, bytes, value.size(), SQLITE_TRANSIENT,
                            SQLITE_UTF8) != SQLITE_OK)
        used_.database_->fail("cannot take a value");
}

void query::bind_number(int column, std::int64_t value)
{
    if (sqlite3_bind_int64(used_.prepared_.get(), column, value) != SQLITE_OK)
        used_.database_->fail("cannot take a value");
}

void query::bind_null(int column)
{
    if (sqlite3_bind_null(used_.prepared_.get(), column) != SQLITE_OK)
        used_.database_->fail("cannot take a value");
}

} // namespace order_processing::services
