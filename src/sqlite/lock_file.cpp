#include "sqlite/lock_file.hpp"

#include "pawl/error.hpp"
#include "sqlite/error.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

namespace pawl::sqlite {

lock_file::lock_file(const std::string& database)
{
    const std::string path = database + ".lock";
    descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (descriptor_ < 0)
        throw error{meaning_of_errno(errno, errc::store_read_only),
                    fmt::format("{}: {}", path, std::generic_category().message(errno))};
    // flock, not fcntl: its locks belong to the open file, so they also keep out this process.
    if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
        const int reason = errno;
        ::close(descriptor_);
        throw error{reason == EWOULDBLOCK ? errc::store_locked : errc::store_unavailable,
                    fmt::format("{}: {}", database, std::generic_category().message(reason))};
    }
}

lock_file::~lock_file()
{
    ::close(descriptor_);
}

} // namespace pawl::sqlite
