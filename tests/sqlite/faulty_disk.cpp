#include "sqlite/faulty_disk.hpp"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <new>
#include <string_view>

namespace {

constexpr std::int64_t block = 4096;

std::string read_whole(const std::string& path)
{
    std::ifstream file{path, std::ios::binary | std::ios::ate};
    std::string bytes(file ? static_cast<std::size_t>(file.tellg()) : 0, '\0');
    file.seekg(0).read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    return bytes;
}

} // namespace

/// A file as the disk has it, beside the real one, which is as the system shows it.
struct faulty_disk::content {
    std::string flushed;
    std::set<std::int64_t> unflushed; ///< numbers of blocks

    void touch(std::int64_t offset, std::int64_t size)
    {
        for (auto number = offset / block; number * block < offset + size; ++number)
            unflushed.insert(number);
    }

    void take(const std::string& shown, std::int64_t number)
    {
        const auto begin = static_cast<std::size_t>(number * block);
        if (begin >= shown.size())
            return;
        const auto part = shown.substr(begin, block);
        flushed.resize(std::max(flushed.size(), begin + part.size()));
        flushed.replace(begin, part.size(), part);
    }
};

/// SQLite allocates these; the real file lies behind.
struct faulty_disk::open_file {
    sqlite3_file base;
    faulty_disk* disk;
    sqlite3_file* real;
    content* kept; ///< null of a temporary file
    const char* path;

    int next(kind call) const { return disk->next(call, path); }
};

struct faulty_disk::functions {
    static faulty_disk& disk(sqlite3_vfs* vfs) { return *static_cast<faulty_disk*>(vfs->pAppData); }
    static open_file& of(sqlite3_file* file) { return *reinterpret_cast<open_file*>(file); }
    static sqlite3_file* real(sqlite3_file* file) { return of(file).real; }

    static int close(sqlite3_file* file) { return real(file)->pMethods->xClose(real(file)); }

    static int read(sqlite3_file* file, void* to, int size, sqlite3_int64 offset)
    {
        if (const int code = of(file).next(kind::read); code != SQLITE_OK)
            return SQLITE_IOERR_READ;
        return real(file)->pMethods->xRead(real(file), to, size, offset);
    }

    static int write(sqlite3_file* file, const void* from, int size, sqlite3_int64 offset)
    {
        auto& self = of(file);
        const int code = self.next(kind::write);
        if (code != SQLITE_OK && self.disk->what() != fault::half)
            return code == SQLITE_FULL ? SQLITE_FULL : SQLITE_IOERR_WRITE;
        const int written = code == SQLITE_OK ? size : size / 2;
        if (self.kept) {
            const std::lock_guard lock{self.disk->mutex_};
            self.kept->touch(offset, written);
        }
        const int done = real(file)->pMethods->xWrite(real(file), from, written, offset);
        return code == SQLITE_OK ? done : SQLITE_IOERR_WRITE;
    }

    static int truncate(sqlite3_file* file, sqlite3_int64 size)
    {
        if (of(file).next(kind::shape) != SQLITE_OK)
            return SQLITE_IOERR_TRUNCATE;
        return real(file)->pMethods->xTruncate(real(file), size);
    }

    static int sync(sqlite3_file* file, int)
    {
        auto& self = of(file);
        const bool fails = self.next(kind::flush) != SQLITE_OK;
        if (self.kept) {
            const auto shown = read_whole(self.path);
            const std::lock_guard lock{self.disk->mutex_};
            if (!fails) {
                self.kept->flushed.resize(std::min(self.kept->flushed.size(), shown.size()));
                for (const auto number : self.kept->unflushed)
                    self.kept->take(shown, number);
            }
            self.kept->unflushed.clear();
        }
        return fails ? SQLITE_IOERR_FSYNC : SQLITE_OK;
    }

    static int size(sqlite3_file* file, sqlite3_int64* bytes)
    {
        return real(file)->pMethods->xFileSize(real(file), bytes);
    }
    static int lock(sqlite3_file* file, int level)
    {
        return real(file)->pMethods->xLock(real(file), level);
    }
    static int unlock(sqlite3_file* file, int level)
    {
        return real(file)->pMethods->xUnlock(real(file), level);
    }
    static int check_lock(sqlite3_file* file, int* held)
    {
        return real(file)->pMethods->xCheckReservedLock(real(file), held);
    }
    static int control(sqlite3_file* file, int what, void* with)
    {
        return real(file)->pMethods->xFileControl(real(file), what, with);
    }
    static int sector(sqlite3_file* file) { return real(file)->pMethods->xSectorSize(real(file)); }
    static int traits(sqlite3_file* file)
    {
        return real(file)->pMethods->xDeviceCharacteristics(real(file));
    }
    static int map(sqlite3_file* file, int page, int size, int extend, void volatile** at)
    {
        if (of(file).next(kind::shape) != SQLITE_OK)
            return SQLITE_IOERR_SHMMAP;
        return real(file)->pMethods->xShmMap(real(file), page, size, extend, at);
    }
    static int map_lock(sqlite3_file* file, int offset, int count, int flags)
    {
        return real(file)->pMethods->xShmLock(real(file), offset, count, flags);
    }
    static void map_barrier(sqlite3_file* file) { real(file)->pMethods->xShmBarrier(real(file)); }
    static int unmap(sqlite3_file* file, int remove)
    {
        return real(file)->pMethods->xShmUnmap(real(file), remove);
    }

    static int open(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* given)
    {
        static const sqlite3_io_methods methods{2,           close,  read,    write,  truncate,
                                                sync,        size,   lock,    unlock, check_lock,
                                                control,     sector, traits,  map,    map_lock,
                                                map_barrier, unmap,  nullptr, nullptr};
        auto& self = *new (file) open_file{};
        auto& on = disk(vfs);
        if (on.next(kind::shape, name) != SQLITE_OK)
            return SQLITE_CANTOPEN;
        self.disk = &on;
        self.path = name;
        self.real = reinterpret_cast<sqlite3_file*>(&self + 1);
        if (name && !(flags & SQLITE_OPEN_DELETEONCLOSE))
            self.kept = on.content_of(name).get();
        const int code = on.real_->xOpen(on.real_, name, self.real, flags, given);
        if (self.real->pMethods)
            self.base.pMethods = &methods;
        return code;
    }

    static int remove(sqlite3_vfs* vfs, const char* name, int)
    {
        auto& on = disk(vfs);
        if (on.next(kind::shape, name) != SQLITE_OK)
            return SQLITE_IOERR_DELETE;
        const std::lock_guard lock{on.mutex_};
        if (const auto found = on.contents_.find(name); found != on.contents_.end())
            *found->second = {};
        return on.real_->xDelete(on.real_, name, 0); // flushing is not for real here
    }
    static int access(sqlite3_vfs* vfs, const char* name, int flags, int* result)
    {
        return disk(vfs).real_->xAccess(disk(vfs).real_, name, flags, result);
    }
    static int full_name(sqlite3_vfs* vfs, const char* name, int size, char* to)
    {
        return disk(vfs).real_->xFullPathname(disk(vfs).real_, name, size, to);
    }
};

faulty_disk::faulty_disk() : real_(sqlite3_vfs_find(nullptr)), self_(*real_)
{
    self_.szOsFile = static_cast<int>(sizeof(open_file)) + real_->szOsFile;
    self_.pNext = nullptr;
    self_.zName = "faulty";
    self_.pAppData = this;
    self_.xOpen = functions::open;
    self_.xDelete = functions::remove;
    self_.xAccess = functions::access;
    self_.xFullPathname = functions::full_name;
    sqlite3_vfs_register(&self_, 1);
}

faulty_disk::~faulty_disk()
{
    sqlite3_vfs_unregister(&self_);
    sqlite3_vfs_register(real_, 1);
}

void faulty_disk::fail(plan what)
{
    const std::lock_guard lock{mutex_};
    plan_ = what;
    calls_ = failed_ = 0;
}

std::uint64_t faulty_disk::calls() const
{
    const std::lock_guard lock{mutex_};
    return calls_;
}

std::uint64_t faulty_disk::failed() const
{
    const std::lock_guard lock{mutex_};
    return failed_;
}

faulty_disk::fault faulty_disk::what() const
{
    const std::lock_guard lock{mutex_};
    return plan_.what;
}

int faulty_disk::next(kind of, const char* path)
{
    const std::lock_guard lock{mutex_};
    const std::string_view name = path ? path : "";
    if (!(plan_.kinds & static_cast<unsigned>(of)) || name.find(plan_.file) == name.npos)
        return SQLITE_OK;
    ++calls_;
    if (plan_.first == 0 || calls_ < plan_.first || calls_ - plan_.first >= plan_.calls)
        return SQLITE_OK;
    ++failed_;
    return plan_.what == fault::full ? SQLITE_FULL : SQLITE_IOERR;
}

std::shared_ptr<faulty_disk::content> faulty_disk::content_of(const std::string& path)
{
    const std::lock_guard lock{mutex_};
    auto& found = contents_[path];
    if (!found) {
        found = std::make_shared<content>();
        found->flushed = read_whole(path);
    }
    return found;
}

void faulty_disk::lose_power(std::uint32_t seed, unsigned kept)
{
    std::mt19937 random{seed};
    for (auto& [path, file] : contents_) {
        if (!std::filesystem::exists(path))
            continue;
        const auto shown = read_whole(path);
        for (const auto number : file->unflushed)
            if (random() % 100 < kept)
                file->take(shown, number);
        std::ofstream{path, std::ios::binary | std::ios::trunc} << file->flushed;
        // What remains of the system's memory is nothing.
        std::filesystem::remove(path + "-shm");
    }
    contents_.clear();
}
