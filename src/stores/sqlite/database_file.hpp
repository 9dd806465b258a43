#pragma once

#include <compare>
#include <optional>
#include <string>

#include <sys/types.h>

namespace pawl::sqlite {

/// A database file that this store alone has open, in this process and in others, until the object
/// is destroyed.
///
/// Within the process a file is known by its device and inode, so by any of its names. Other
/// processes are kept out by a lock on a file beside it, `path`.lock: a lock on the database itself
/// would be lost whenever the process closes any descriptor of it. The system drops the lock when
/// the process ends in any way. The lock file stays: to remove it would race with the next opener.
class database_file {
public:
    /// Creates the file if there is none. Throws error: store_locked when another store has the
    /// file open, or the file has several names; store_read_only when it cannot be created or is
    /// not a regular file; store_full, store_unavailable.
    explicit database_file(const std::string& path);
    ~database_file();

    database_file(const database_file&) = delete;
    database_file& operator=(const database_file&) = delete;

    /// Absolute and without symbolic links.
    const std::string& path() const noexcept { return path_; }

    /// From now on, check() looks after the write-ahead log as well. Precondition: it is there.
    void watch_log();

    /// Throws store_unavailable when the path does not lead to this file any longer, or that of its
    /// log to this log. When the lock file was removed, makes it again; throws store_locked when
    /// another process was faster.
    void check();

    /// What the file system knows a file by.
    struct identity {
        dev_t device{};
        ino_t inode{};

        friend auto operator<=>(const identity&, const identity&) = default;
    };

private:
    std::string path_;
    std::string log_path_;
    identity identity_;
    std::optional<identity> log_;
};

} // namespace pawl::sqlite
