#include "stores/sqlite/database_file.hpp"

#include "pawl/error.hpp"
#include "stores/sqlite/error.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

namespace pawl::sqlite {

namespace {

using identity = database_file::identity;

/// The open databases of this process, with the descriptors of their locked lock files.
struct open_databases {
    std::mutex mutex;
    std::map<identity, int> locks;
};

/// Never destroyed, because a store may be closed by the destructor of any static object.
open_databases& databases()
{
    static auto& all = *new open_databases;
    // A forked child shares the locks and would keep them after its parent's end, so it closes
    // them. The databases count as open in the child, which must neither use nor open connections
    // to them.
    static const int registered =
        ::pthread_atfork([] { all.mutex.lock(); }, [] { all.mutex.unlock(); },
                         [] {
                             for (auto& [file, lock] : all.locks)
                                 ::close(std::exchange(lock, -1));
                             all.mutex.unlock();
                         });
    static_cast<void>(registered);
    return all;
}

[[noreturn]] void fail(const std::string& path, int number, errc otherwise)
{
    throw error{meaning_of_errno(number, otherwise),
                fmt::format("{}: {}", path, std::generic_category().message(number))};
}

std::optional<struct stat> status_of(const std::string& path)
{
    struct stat found{};
    if (::stat(path.c_str(), &found) != 0)
        return std::nullopt;
    return found;
}

identity identity_of(const struct stat& file)
{
    return {file.st_dev, file.st_ino};
}

/// Closing any descriptor of a database releases the locks of SQLite in this process, so an
/// existing file is not opened. Precondition: no other thread opens databases.
struct stat create_if_missing(const std::string& path)
{
    if (const auto found = status_of(path))
        return *found;
    // open() also creates the target of a dangling symbolic link.
    const int created = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (created < 0)
        fail(path, errno, errc::store_read_only);
    ::close(created);
    if (const auto found = status_of(path))
        return *found;
    fail(path, errno, errc::store_unavailable);
}

std::string real_path(const std::string& path)
{
    const std::unique_ptr<char, decltype(&std::free)> real{::realpath(path.c_str(), nullptr),
                                                           &std::free};
    if (!real)
        fail(path, errno, errc::store_read_only);
    return real.get();
}

/// Throws error unless the path still names the file.
void check_identity(const std::string& path, const identity& file)
{
    const auto named = status_of(path);
    // Other failures of stat(), such as missing rights, say nothing about the file.
    const bool is_missing = !named && (errno == ENOENT || errno == ENOTDIR);
    if (is_missing || (named && identity_of(*named) != file))
        throw error{errc::store_unavailable,
                    fmt::format("{} was {} while the database was open: stop the program without "
                                "killing it, put the database in its place, and start it again",
                                path, is_missing ? "removed" : "replaced")};
}

/// Locks the database for this process. Returns the descriptor that holds the lock.
int lock_for_process(const std::string& database)
{
    const auto path = database + ".lock";
    for (;;) {
        const int lock = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (lock < 0)
            fail(path, errno, errc::store_read_only);
        if (::flock(lock, LOCK_EX | LOCK_NB) != 0) {
            const int number = errno;
            ::close(lock);
            if (number != EWOULDBLOCK)
                fail(path, number, errc::store_unavailable);
            throw error{errc::store_locked,
                        fmt::format("{} is open in another process (find it with: fuser {})",
                                    database, path)};
        }
        // The file may have been removed between the two calls; the next opener would create
        // another.
        struct stat locked{};
        const auto named = status_of(path);
        if (named && ::fstat(lock, &locked) == 0 && identity_of(locked) == identity_of(*named))
            return lock;
        ::close(lock);
    }
}

} // namespace

database_file::database_file(const std::string& path)
{
    auto& open = databases();
    const std::lock_guard guard{open.mutex};
    const auto found = create_if_missing(path);
    if (!S_ISREG(found.st_mode))
        throw error{errc::store_read_only,
                    fmt::format("{}: this is {}", path,
                                S_ISDIR(found.st_mode) ? "a folder" : "not a regular file")};
    path_ = real_path(path);
    wal_path_ = path_ + "-wal";
    identity_ = identity_of(found);
    if (open.locks.contains(identity_))
        throw error{errc::store_locked,
                    fmt::format("{} is open in this process: share the store that has it open, or "
                                "destroy that one first",
                                path_)};
    // SQLite has one WAL for each name: two programs with two names would corrupt the database.
    if (found.st_nlink > 1)
        throw error{errc::store_locked,
                    fmt::format("{} has {} hard links, and may be open by another name: remove the "
                                "others (find them with: find -inum {}), or open a copy",
                                path_, found.st_nlink, found.st_ino)};
    const auto entry = open.locks.emplace(identity_, -1).first;
    try {
        entry->second = lock_for_process(path_);
        check_identity(path_, identity_);
    } catch (...) {
        if (entry->second >= 0)
            ::close(entry->second);
        open.locks.erase(entry);
        throw;
    }
}

database_file::~database_file()
{
    auto& open = databases();
    const std::lock_guard guard{open.mutex};
    if (const auto entry = open.locks.find(identity_); entry != open.locks.end()) {
        if (entry->second >= 0)
            ::close(entry->second);
        open.locks.erase(entry);
    }
}

void database_file::watch_wal()
{
    if (const auto found = status_of(wal_path_))
        wal_ = identity_of(*found);
}

void database_file::check()
{
    check_identity(path_, identity_);
    if (wal_)
        check_identity(wal_path_, *wal_);
    auto& open = databases();
    const std::lock_guard guard{open.mutex};
    int& lock = open.locks.at(identity_);
    struct stat held{};
    if (::fstat(lock, &held) == 0 && held.st_nlink > 0)
        return;
    const int renewed = lock_for_process(path_);
    ::close(std::exchange(lock, renewed));
}

} // namespace pawl::sqlite
