#pragma once

#include <sqlite3.h>

#include <chrono>
#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace order_processing::services {

/// The ledger's file cannot be opened, read or written. what() names the file and the cause.
class ledger_error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// A connection to one SQLite database, with an exclusive lock on it.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Unsafe.
class database {
public:
    /// Opens or creates the file, in WAL mode; a commit is on disk when it completes.
    /// @param lock_wait How long to wait until another process closes the file.
    /// @throws ledger_error
    database(std::string file, std::chrono::milliseconds lock_wait);

    /// Runs statements that return nothing. @throws ledger_error
    void run(const char* sql);

    /// The first column of the first row, as a number. @throws ledger_error
    std::int64_t number(const char* sql);

    /// False after an error that made SQLite roll back the transaction itself.
    bool in_transaction() const noexcept;

    /// @throws ledger_error "the ledger FILE `problem`: " and SQLite's last error.
    [[noreturn]] void fail(std::string_view problem) const;

    /// @throws ledger_error "the ledger FILE `problem`".
    [[noreturn]] void refuse(std::string_view problem) const;

private:
    friend class statement;
    struct close {
        void operator()(sqlite3* connection) const noexcept { sqlite3_close_v2(connection); }
    };

    std::string file_;
    std::unique_ptr<sqlite3, close> connection_;
};

/// A statement that is prepared once and used many times. The database outlives it.
class statement {
public:
    statement(database& on, const char* sql);

private:
    friend class query;
    struct finalize {
        void operator()(sqlite3_stmt* prepared) const noexcept { sqlite3_finalize(prepared); }
    };

    database* database_;
    std::unique_ptr<sqlite3_stmt, finalize> prepared_;
};

/// One use of a statement: binds in its constructor, gives the statement back in its destructor.
class query {
public:
    template <class... Values>
    explicit query(statement& used, const Values&... values) : used_(used)
    {
        int column = 0;
        (bind(++column, values), ...);
    }

    ~query();
    query(const query&) = delete;
    query& operator=(const query&) = delete;

    /// Goes to the next row; false when there is none. @throws ledger_error
    bool next();

    std::int64_t number(int column) const;
    std::string text(int column) const;
    bool is_null(int column) const;

private:
    void bind(int column, std::string_view value);
    void bind_number(int column, std::int64_t value);
    void bind_null(int column);

    void bind(int column, std::integral auto value)
    {
        bind_number(column, static_cast<std::int64_t>(value));
    }

    template <class T>
    void bind(int column, const std::optional<T>& value)
    {
        if (value)
            bind(column, *value);
        else
            bind_null(column);
    }

    statement& used_;
};

/// Runs a statement to its end. @throws ledger_error
template <class... Values>
void execute(statement& used, const Values&... values)
{
    query once{used, values...};
    while (once.next()) {
    }
}

} // namespace order_processing::services
