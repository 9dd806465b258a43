#include "stores/sqlite/error.hpp"

#include <fmt/format.h>

#include <cerrno>

namespace pawl::sqlite {

bool is_failed_flush(int code) noexcept
{
    return code == SQLITE_IOERR_FSYNC || code == SQLITE_IOERR_DIR_FSYNC;
}

errc meaning_of_errno(int number, errc otherwise) noexcept
{
    switch (number) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return errc::store_full;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EINTR:
        return errc::store_unavailable;
    default:
        return otherwise;
    }
}

namespace {

/// The system's error that caused a failure. A failed commit does not set sqlite3_system_errno();
/// the files record the error of their last write.
int errno_behind(sqlite3* connection, int code)
{
    if (code != SQLITE_IOERR_WRITE)
        return sqlite3_system_errno(connection);
    int number = 0;
    sqlite3_file* log = nullptr;
    sqlite3_file_control(connection, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
    if (log && log->pMethods)
        log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &number);
    if (number == 0)
        sqlite3_file_control(connection, "main", SQLITE_FCNTL_LAST_ERRNO, &number);
    return number;
}

errc meaning(sqlite3* connection, int code)
{
    switch (code & 0xff) {
    case SQLITE_FULL:
        return errc::store_full;
    case SQLITE_IOERR:
        if (is_failed_flush(code))
            return errc::store_flush_failed;
        // The shared memory of the WAL reports a full disk as an I/O error; every file reports a
        // quota or a limit of the process so.
        return meaning_of_errno(connection ? errno_behind(connection, code) : 0,
                                errc::store_unavailable);
    case SQLITE_CANTOPEN:
        return meaning_of_errno(connection ? sqlite3_system_errno(connection) : 0,
                                errc::store_read_only);
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return errc::store_read_only;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return errc::store_locked;
    case SQLITE_TOOBIG:
        return errc::too_large;
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
    case SQLITE_FORMAT:
    case SQLITE_ERROR: // a table or column is missing
    case SQLITE_SCHEMA:
    case SQLITE_MISMATCH:
    case SQLITE_CONSTRAINT:
        return errc::store_corrupt;
    default:
        return errc::store_unavailable;
    }
}

} // namespace

void throw_error(sqlite3* connection, int code, std::string_view path, std::string_view doing)
{
    const auto pawl_code = meaning(connection, code);
    const char* message = connection ? sqlite3_errmsg(connection) : sqlite3_errstr(code);
    throw error{pawl_code, fmt::format("{}: {}: {} (SQLite {})", path, doing, message, code)};
}

void throw_corrupt(std::string_view path, std::string_view problem)
{
    throw error{errc::store_corrupt, fmt::format("{}: {}", path, problem)};
}

} // namespace pawl::sqlite
