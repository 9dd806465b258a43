#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>

/// The disk under every SQLite database of this process while it lives: it fails at the calls that
/// it is told to, and forgets at a power loss what was not flushed.
///
/// It is as unkind as disks are: when a flush fails, what it should have written is lost at the
/// next power loss even if later flushes succeed, because the system has dropped it. What was not
/// flushed may be there after a power loss or not, block by block.
class faulty_disk {
public:
    enum class kind : unsigned {
        read = 1,
        write = 2,
        flush = 4,
        shape = 8
    }; ///< shape: open, truncate, remove, map
    enum class fault {
        error, ///< nothing is done
        full,  ///< likewise, because no space is left
        half,  ///< a write that stops half way
    };

    struct plan {
        std::uint64_t first = 0; ///< the call that fails, counted from 1; 0: none
        std::uint64_t calls = 1; ///< how many fail from there on
        fault what = fault::error;
        unsigned kinds = 15; ///< which calls count
        std::string file;    ///< and of which files: a part of their paths
    };

    static constexpr std::uint64_t for_ever = ~std::uint64_t{0} / 2;

    /// Precondition: no database is open.
    faulty_disk();
    ~faulty_disk();
    faulty_disk(const faulty_disk&) = delete;
    faulty_disk& operator=(const faulty_disk&) = delete;

    /// Counts from one again.
    void fail(plan what);
    void heal() { fail({}); }

    std::uint64_t calls() const; ///< since fail(), of the kinds that count
    std::uint64_t failed() const;

    /// Makes the files what they are after a power loss. Precondition: no database is open.
    /// @param kept Of a hundred blocks that were not flushed, how many are there all the same.
    void lose_power(std::uint32_t seed, unsigned kept);

private:
    struct content;
    struct open_file;
    struct functions;

    /// The code to fail with, or SQLITE_OK.
    int next(kind of, const char* path);
    fault what() const;
    std::shared_ptr<content> content_of(const std::string& path);

    mutable std::mutex mutex_;
    plan plan_;
    std::uint64_t calls_ = 0;
    std::uint64_t failed_ = 0;
    std::map<std::string, std::shared_ptr<content>> contents_;
    sqlite3_vfs* real_;
    sqlite3_vfs self_;
};
