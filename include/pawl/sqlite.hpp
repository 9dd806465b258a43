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

/// How far SQLite goes to make a commit durable.
enum class sqlite_synchronous {
    /// Each batch waits until the disk has it. What was reported as accepted survives kill -9, a
    /// crash of the machine and power loss, on disks that do not lie about flushing.
    full,

    /// Batches are handed to the operating system and flushed at checkpoints. What was reported as
    /// accepted survives kill -9 of the process; a crash of the machine or power loss may undo the
    /// batches since the last checkpoint. The database stays consistent: it goes back to an
    /// earlier batch, never to half of one.
    normal,
};

struct sqlite_options {
    sqlite_synchronous synchronous = sqlite_synchronous::full;

    /// Slices of runs, taken when the database is made and kept with it; of an existing database
    /// it is not looked at. 1 to 4096. Default 1: a file has one engine at a time, which owns
    /// every shard anyway. More help only a database that will be moved to a shared one.
    std::uint32_t shards = 1;

    /// The most bytes that the database file may grow to; past it, writes fail with
    /// errc::store_full and change nothing. The log file beside it is not counted. Default 0: no
    /// limit but the disk's.
    std::uint64_t max_bytes = 0;

    /// Pages of 4 KiB that the log is filled with before they are moved to the database and the
    /// log is used again from its beginning; while an outside reader or a failure hinders that, it
    /// grows past them, and is cut to twice their size afterwards. Many, because a run that changes
    /// often is then moved once and not each time. 1 to 1,000,000. Default 10,000: 40 MB.
    std::uint32_t wal_autocheckpoint_pages = 10'000;

    /// By which leases of roles lapse. Default: the machine's.
    std::shared_ptr<pawl::clock> clock = default_clock();

    /// Called once when the database is opened, in a transaction of its own: makes and changes the
    /// program's own tables (see sqlite_transaction()), with the rules of a function there. What it
    /// throws goes on to the caller of open_sqlite(). May be empty.
    std::function<void(sqlite3*)> prepare{};
};

/// Opens a database in one file, and makes it if there is none: the embedded, durable store.
///
/// Two threads belong to the store: one writes, one reads, so that a long listing holds up no
/// commit. Its destructor finishes what was asked of it, then joins them; destroy it while the
/// executors of its callers still live.
///
/// Beside `path` stand `path`-wal, the log, and `path`-shm while the database is open, and
/// `path`.lock, which stays. When `path` is a symbolic link, they stand beside the file that it
/// leads to. Opening moves a log that was left behind to the database. Move or copy a database only
/// while it is closed, with all of its files. `path` is a file name and not a URI; it may be
/// ":memory:".
///
/// To back up a database that is open, run `sqlite3 orders.db "VACUUM INTO 'backup.db'"`: the copy
/// holds all that was accepted before, and commits go on meanwhile. Copying the files with cp or
/// rsync while the database is open may give a damaged copy.
///
/// One store has a database open at a time, in this process and in others, whatever name of the
/// file each uses. A file with more than one hard link is refused, because SQLite keeps a log
/// beside each name. In containers, mount the folder and not the file alone, else neither the log
/// nor the lock is shared. A child process that was forked must not use the store.
///
/// Other programs may read the file meanwhile. They should not write to it: the store notices a
/// write before the next batch and reads again what it remembers of the file, but an engine that
/// has a run in memory does not see what was changed in it. Before each batch it is also checked
/// that the database and its log still have their names; if they were removed or replaced, batches
/// fail with store_unavailable. Closing the store then still moves what was accepted from the log
/// to the database file, if that is in its place. A file whose content was overwritten in place is
/// not noticed.
///
/// Durability: by `sqlite_options::synchronous`. When the system reports that a flush to disk
/// failed, it may have dropped what it could not write, and the next flush succeeds without it. So
/// that write, which may be stored or not, fails with errc::store_flush_failed, and from then on
/// each one is refused with it; reads go on, and closing leaves the log as it is. Opening again,
/// also by another process, writes all of it again before anything is accepted.
///
/// Errors: throws definition_error when an option is out of its range, and pawl::error, naming the
/// file: store_locked (this or another process has it open, or it has several hard links),
/// store_read_only (it or its folder cannot be written, or it is not a regular file), store_corrupt
/// (not a database of Pawl, or damaged), store_version_unsupported, store_full, store_unavailable.
std::shared_ptr<record_store> open_sqlite(std::string path, sqlite_options options = {});

namespace detail {

struct sqlite_adapter {
    template <class Fn, class Given>
    static transaction_work work(Fn& fn, Given& given)
    {
        return [&fn, &given](sqlite3* database) {
            if constexpr (std::is_void_v<std::invoke_result_t<Fn&, sqlite3*>>) {
                fn(database);
                given.emplace();
            } else {
                given.emplace(fn(database));
            }
        };
    }
};

} // namespace detail

/// Writes to the program's own tables and records that as an effect, in one transaction: exactly
/// once, without an idempotency key. The tables are in the database of the engine's store, which
/// open_sqlite() has opened.
///
/// @code
/// const auto entry = co_await pawl::sqlite_transaction(run, "book", [&](sqlite3* database) {
///     return insert_entry(database, order);
/// });
/// @endcode
///
/// As run::once(): if an effect of this name was recorded in the handler's scope, its result is
/// decoded and returned, and `fn` is not called. Otherwise `fn` is called in a transaction. When it
/// returns, its result and the run's object are stored in the same transaction, under the same
/// conditions as every change of a run: the engine owns the run, and nothing else has changed it.
/// So what `fn` has written is stored if and only if the effect is. When `fn` throws, or the engine
/// has lost the run, nothing is stored.
///
/// `fn` takes the connection and returns T; T is void or has a codec. It is called in the thread
/// that writes the database, while everything else that is to be stored waits: it only executes
/// statements, and is quick. It must not touch the run's object or anything else that another part
/// of the handler uses at that time, because it runs in another thread. The object is stored as it
/// is when the call is awaited.
///
/// The connection is the store's own: `fn` only prepares statements, executes and finalizes them.
/// Pawl's tables (shards, workflows, runs, events, marks, messages, cursors, counts, topics,
/// topic_events, roles; names that begin with "pawl_" are reserved) can be read, but not changed.
/// Transactions (savepoints are allowed), ATTACH, temporary tables and views, and pragmas that are
/// settings are refused with SQLITE_AUTH. Foreign keys are not enforced, as is SQLite's default.
/// `fn` must not wait for another transaction of the store.
///
/// Completes when both are durable, on the handler's executor.
///
/// Durability: by `sqlite_options::synchronous`. A crash before the commit leaves nothing of it, so
/// that the next attempt calls `fn` again; a crash after it leaves both.
///
/// Cancellation: none. A handler that has been left behind stores nothing, as in run::once().
///
/// Errors: those of `fn`; those of run::once(); invalid_argument when the engine's store is not
/// SQLite, or when `fn` has ended the transaction or left a statement unfinished.
template <class Object, std::invocable<sqlite3*> Fn>
auto sqlite_transaction(run<Object>& run, std::string name, Fn fn)
    -> boost::asio::awaitable<std::invoke_result_t<Fn&, sqlite3*>>
{
    return detail::transactions::perform<std::invoke_result_t<Fn&, sqlite3*>,
                                         detail::sqlite_adapter>(run, std::move(name),
                                                                 std::move(fn));
}

} // namespace pawl
