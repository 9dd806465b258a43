#pragma once

#include "pawl/clock.hpp"
#include "pawl/record_store.hpp"

#include <cstdint>
#include <memory>
#include <string>

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
    std::uint32_t log_pages = 10'000;

    /// By which leases of roles lapse. Default: the machine's.
    std::shared_ptr<pawl::clock> clock = system_clock();
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
/// that write, which may be stored or not, fails with errc::store_unflushed, and from then on each
/// one is refused with it; reads go on, and closing leaves the log as it is. Opening again, also by
/// another process, writes all of it again before anything is accepted.
///
/// Errors: throws definition_error when an option is out of its range, and pawl::error, naming the
/// file: store_locked (this or another process has it open, or it has several hard links),
/// store_read_only (it or its folder cannot be written, or it is not a regular file), store_damaged
/// (not a database of Pawl, or damaged), store_too_new, store_full, store_unavailable.
std::shared_ptr<record_store> open_sqlite(std::string path, sqlite_options options = {});

} // namespace pawl
