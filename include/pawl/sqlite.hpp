#pragma once

#include "pawl/clock.hpp"
#include "pawl/detail/transactions.hpp"
#include "pawl/record_store.hpp"

#include <boost/asio/awaitable.hpp>

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

struct sqlite3;

namespace pawl {

/// When a commit waits for the disk.
enum class sqlite_synchronous {
    /// Each batch waits until the disk has it. Accepted changes survive kill -9, a crash of the
    /// machine and power loss, if the disk does not lie about flushing.
    full,

    /// A batch is handed to the operating system, and flushed at the next checkpoint. Accepted
    /// changes survive kill -9 of the process. A crash of the machine or power loss may undo the
    /// batches since the last checkpoint, each of them as a whole: the database stays consistent.
    normal,
};

struct sqlite_options {
    /// What accepted changes survive. Default full.
    sqlite_synchronous synchronous = sqlite_synchronous::full;

    /// The number of shards; used when the database is created and fixed from then on. 1 to 4,096.
    /// Default 1: one engine at a time uses the file and owns every shard. More are of use only if
    /// the database will be moved to a shared store.
    std::uint32_t shards = 1;

    /// The greatest size of the database file, in bytes; the WAL is not counted. A write that needs
    /// more fails with store_full and changes nothing. Default 0: no limit.
    std::uint64_t max_bytes = 0;

    /// The size of the WAL, in pages of 4 KiB, at which a checkpoint moves its content to the
    /// database. 1 to 1,000,000. Default 10,000 (40 MB): a run that changes often is then moved
    /// once and not each time. While an outside reader or a failure prevents the checkpoint, the
    /// WAL grows further; afterwards it is cut to twice this size.
    std::uint32_t wal_autocheckpoint_pages = 10'000;

    /// The clock by which leases of roles lapse. Not null. Default: the machine's clocks.
    std::shared_ptr<pawl::clock> clock = default_clock();

    /// Creates and migrates the program's own tables, see sqlite_transaction(). Called once, when
    /// the database is opened, in a transaction of its own; the rules for functions of
    /// sqlite_transaction() apply. An exception is passed to the caller of open_sqlite(), and the
    /// database is not opened. Default: none.
    std::function<void(sqlite3*)> prepare{};
};

/// Opens a database in one file, and creates it if there is none: the embedded, durable store.
///
/// **Threads.** The store has two threads, one that writes and one that reads, so that a long
/// list() does not delay commits. The destructor completes the calls that were made and joins the
/// threads; destroy the store while the executors of its callers exist. A child process that was
/// forked must not use the store.
///
/// **Files.** `path` is a file name, not a URI, or ":memory:". Beside it are `path`-wal (the WAL)
/// and `path`-shm while the database is open, and `path`.lock, which stays. If `path` is a symbolic
/// link, they are beside its target. Opening moves the content of a WAL that a crash left behind to
/// the database. It also converts a file of an earlier version of Pawl to the present format, and
/// that version refuses the file from then on (store_version_unsupported). Move or copy a database
/// only while it is closed, with all its files. In a container, mount the folder, not the file
/// alone: else neither the WAL nor the lock is shared.
///
/// **Backup.** `sqlite3 orders.db "VACUUM INTO 'backup.db'"` copies an open database: the copy has
/// all changes that were accepted before, and commits go on meanwhile. Copying the files of an open
/// database with cp or rsync may give a damaged copy.
///
/// **One store.** One store at a time has the database open, in all processes, whatever name of the
/// file each uses. A file with several hard links is refused, because SQLite keeps a WAL beside
/// each name.
///
/// **Other programs.** Other programs may read the file. They should not write it: the store
/// notices a write before the next batch and drops what it remembers of the file, but an engine
/// that has a run in memory does not see its changes. The store also checks before each batch that
/// database and WAL still have their names. If they were removed or replaced, batches fail with
/// store_unavailable; closing the store still moves accepted changes from the WAL to the database
/// file, if that file is in its place. A file whose content was overwritten in place is not
/// noticed.
///
/// Durability: see `sqlite_options::synchronous`. When the operating system reports that a flush
/// failed, it may have dropped what it could not write, and the next flush would succeed without
/// it. So the write, which may be stored or not, and every later one fail with store_flush_failed;
/// reads work. Close the store and open it again, in any process: opening writes the content of the
/// WAL again before it accepts anything.
///
/// Errors: throws definition_error if an option is out of its range, and pawl::error, which names
/// the file: invalid_argument — `path` is empty; store_locked — this or another process has the
/// database open, or the file has several hard links; store_read_only — the file or its folder
/// cannot be written, or it is not a regular file; store_corrupt — the file is not a database of
/// Pawl, or is damaged; store_version_unsupported — a newer Pawl wrote it; store_full — no space is
/// left; store_unavailable — any other failure.
std::shared_ptr<record_store> open_sqlite(std::string path, sqlite_options options = {});

namespace detail {

struct sqlite_adapter {
    template <class Fn, class Result>
    static transaction_work work(Fn& fn, Result& result)
    {
        return [&fn, &result](sqlite3* database) {
            if constexpr (std::is_void_v<std::invoke_result_t<Fn&, sqlite3*>>) {
                fn(database);
                result.emplace();
            } else {
                result.emplace(fn(database));
            }
        };
    }
};

} // namespace detail

/// Writes to the program's own tables and records an effect, in one transaction: exactly once,
/// without an idempotency key. The tables are in the database of the engine's store, which
/// open_sqlite() opened; see sqlite_options::prepare.
///
/// @code
/// const auto entry = co_await pawl::sqlite_transaction(run, "book", [&](sqlite3* database) {
///     return insert_entry(database, order);
/// });
/// @endcode
///
/// If the handler's scope has an effect of this name, its result is decoded and returned, and `fn`
/// is not called, as in run::once(). Else `fn` is called in a transaction. Its result and the run's
/// object are stored in the same transaction, under the conditions of every change of a run: the
/// engine owns the run, and nothing else has changed it. So the writes of `fn` are stored if and
/// only if the effect is. If `fn` throws, or the engine has lost the run, nothing is stored.
///
/// `fn` takes the connection and returns T, which is void or has a codec. It is called in the
/// thread that writes the database, while all other commits wait: it should be quick and only
/// execute statements. It must not use the run's object or anything else that the handler uses at
/// the same time, and it must not wait for another transaction of the store. The object is stored
/// as it was when the call was awaited.
///
/// The connection is the store's own. `fn` prepares, executes and finalizes statements. It may use
/// savepoints. Pawl's tables (shards, workflows, runs, events, marks, messages, cursors, counts,
/// topics, topic_events, roles; names that begin with "pawl_" are reserved) can be read but not
/// changed. Transactions, ATTACH, temporary tables and views, and pragmas that are settings are
/// refused with SQLITE_AUTH. Foreign keys are not enforced, as is SQLite's default.
///
/// Completes: on the handler's executor, when the writes of `fn` and the effect are durable.
///
/// Durability: see `sqlite_options::synchronous`. A crash before the commit leaves neither, and the
/// next attempt calls `fn` again; a crash after the commit leaves both.
///
/// Errors: the exceptions of `fn`; those of run::once(); invalid_argument — the engine's store is
/// not SQLite, or `fn` ended the transaction or left a statement unfinished.
///
/// Cancellation: none. A handler that was abandoned stores nothing, as in run::once().
template <class Object, std::invocable<sqlite3*> Fn>
auto sqlite_transaction(run<Object>& run, std::string name, Fn fn)
    -> boost::asio::awaitable<std::invoke_result_t<Fn&, sqlite3*>>
{
    return detail::transactions::perform<std::invoke_result_t<Fn&, sqlite3*>,
                                         detail::sqlite_adapter>(run, std::move(name),
                                                                 std::move(fn));
}

} // namespace pawl
