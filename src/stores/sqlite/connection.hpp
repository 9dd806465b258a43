#pragma once

#include "pawl/run_id.hpp"
#include "pawl/time.hpp"

#include <sqlite3.h>

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace pawl::sqlite {

/// An open database file. Used by one thread at a time.
class connection {
public:
    /// Opens for reading and writing, and creates a missing file. Throws error.
    explicit connection(std::string path);

    connection(const connection&) = delete;
    connection& operator=(const connection&) = delete;

    /// Runs statements and ignores their rows.
    void execute(const char* sql);

    /// Calls a function of the application in the open transaction, and undoes none of its effects.
    /// The function cannot change Pawl's tables, the transaction or the connection's settings.
    /// Throws what it throws, and error (invalid_argument) when it has ended the transaction or
    /// left a statement unfinished.
    void call(const std::function<void(sqlite3*)>& function);

    /// The first column of the first row; 0 when there is none.
    std::int64_t integer(const char* sql);

    sqlite3* handle() const noexcept { return handle_.get(); }
    const std::string& path() const noexcept { return path_; }

    /// Throws the error for a code of SQLite. Records a failed flush.
    [[noreturn]] void fail(int code, std::string_view doing);

    /// Checkpoints the WAL after each commit that leaves at least `pages` pages in it.
    void set_autocheckpoint(int pages);

    /// Throws when a flush has failed, of the WAL by a commit or of the database by a checkpoint.
    /// The system may have dropped data then, which a later flush does not write.
    void check_flushes() const;

private:
    static int authorize(void* self, int action, const char* first, const char* second,
                         const char* database, const char* trigger);
    static int reject_commit(void* self);
    static int checkpoint_if_due(void* self, sqlite3* handle, const char* name, int pages);
    void note_failure(int code) noexcept;

    struct closer {
        void operator()(sqlite3* handle) const noexcept { sqlite3_close_v2(handle); }
    };

    std::string path_;
    std::unique_ptr<sqlite3, closer> handle_;
    int autocheckpoint_pages_ = 0;
    bool flush_failed_ = false;
    bool is_called_ = false; ///< a function of the application runs
};

/// A prepared statement. Must not outlive its connection.
class statement {
public:
    statement(connection& database, std::string_view sql);

private:
    friend class execution;

    struct finalizer {
        void operator()(sqlite3_stmt* handle) const noexcept { sqlite3_finalize(handle); }
    };

    connection* database_;
    std::unique_ptr<sqlite3_stmt, finalizer> handle_;
};

/// One execution of a statement: binds its parameters in order, steps, and reads columns in order.
/// The destructor resets the statement. Bound texts must live until then.
class execution {
public:
    explicit execution(statement& prepared) noexcept : prepared_(prepared) {}
    ~execution() { sqlite3_reset(handle()); }

    execution(const execution&) = delete;
    execution& operator=(const execution&) = delete;

    execution& bind(std::integral auto value)
    {
        return bind_integer(static_cast<sqlite3_int64>(value));
    }
    execution& bind(time_point value) { return bind_integer(value.time_since_epoch().count()); }
    execution& bind(std::optional<time_point> value);
    execution& bind(std::string_view text);
    execution& bind(const run_id& id);
    execution& blob(std::string_view bytes);
    execution& blob_or_null(std::string_view bytes);

    /// Moves to the next row; false after the last.
    bool row();

    /// Runs a statement that has no rows.
    void run() { row(); }

    std::int64_t integer() { return sqlite3_column_int64(handle(), column_++); }
    template <std::integral Integer>
    void read(Integer& value)
    {
        value = static_cast<Integer>(integer());
    }
    void read(time_point& value) { value = time_point{duration{integer()}}; }
    void read(std::optional<time_point>& value);
    void read(std::string& value);
    void read(run_id& value);
    std::string_view bytes(); ///< valid until the next row

    [[noreturn]] void throw_corrupt(std::string_view problem) const;

private:
    sqlite3_stmt* handle() const noexcept { return prepared_.handle_.get(); }
    execution& bind_integer(sqlite3_int64 value);
    execution& check(int code);

    statement& prepared_;
    int parameter_ = 0;
    int column_ = 0;
};

/// A write transaction. The destructor rolls it back unless it was committed.
class transaction {
public:
    explicit transaction(connection& database);
    ~transaction();

    transaction(const transaction&) = delete;
    transaction& operator=(const transaction&) = delete;

    void commit();

private:
    connection& database_;
    bool open_ = true;
};

} // namespace pawl::sqlite
