#pragma once

#include <compare>
#include <optional>
#include <string>

#include <sys/types.h>

namespace pawl::sqlite {

/// Exclusive use of a database file, within this process and among processes, until the object is
/// destroyed.
///
/// Within the process, device and inode identify the file under any of its names. A lock on a
/// second file, `path`.lock, excludes other processes: a lock on the database itself would be lost
/// whenever the process closes any descriptor of it. The system releases the lock when the process
/// ends. The lock file is never removed, because removal would race with the next opener.
class database_file {
public:
    /// Creates a missing file. Throws error: store_locked when another store has the
    /// file open, or the file has several names; store_read_only when it cannot be created or is
    /// not a regular file; store_full, store_unavailable.
    explicit database_file(const std::string& path);
    ~database_file();

    database_file(const database_file&) = delete;
    database_file& operator=(const database_file&) = delete;

    /// Absolute and without symbolic links.
    const std::string& path() const noexcept { return path_; }

    /// Makes check() check the write-ahead log as well. Precondition: it exists.
    void watch_wal();

    /// Throws store_unavailable when the path no longer names this file, or that of the WAL this
    /// WAL. Creates a removed lock file again; throws store_locked when another process was faster.
    void check();

    /// The file system's identity of a file.
    struct identity {
        dev_t device{};
        ino_t inode{};

        friend auto operator<=>(const identity&, const identity&) = default;
    };

private:
    std::string path_;
    std::string wal_path_;
    identity identity_;
    std::optional<identity> wal_;
};

} // namespace pawl::sqlite
