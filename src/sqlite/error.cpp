#include "sqlite/error.hpp"

#include <fmt/format.h>

#include <cerrno>

namespace pawl::sqlite {

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

/// What the last failed call on the log beside the file said. A commit that fails there does not
/// show in sqlite3_system_errno().
int errno_of_log(sqlite3* connection)
{
    sqlite3_file* log = nullptr;
    int number = 0;
    if (sqlite3_file_control(connection, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log) == SQLITE_OK &&
        log && log->pMethods)
        log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &number);
    return number;
}

errc meaning_of_io_error(sqlite3* connection)
{
    if (!connection)
        return errc::store_unavailable;
    return meaning_of_errno(sqlite3_system_errno(connection),
                            meaning_of_errno(errno_of_log(connection), errc::store_unavailable));
}

errc meaning(sqlite3* connection, int code)
{
    switch (code & 0xff) {
    case SQLITE_FULL:
        return errc::store_full;
    case SQLITE_IOERR:
        // Some files (the shared memory of the log) report a full disk this way, and all of them a
        // limit of the user or of the process.
        return meaning_of_io_error(connection);
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
        return errc::store_damaged;
    default:
        return errc::store_unavailable;
    }
}

} // namespace

void throw_error(sqlite3* connection, int code, std::string_view path, std::string_view doing)
{
    const auto code_of_pawl = meaning(connection, code);
    const char* message = connection ? sqlite3_errmsg(connection) : sqlite3_errstr(code);
    throw error{code_of_pawl, fmt::format("{}: {}: {} (SQLite {})", path, doing, message, code)};
}

void throw_damaged(std::string_view path, std::string_view what)
{
    throw error{errc::store_damaged, fmt::format("{}: {}", path, what)};
}

} // namespace pawl::sqlite
