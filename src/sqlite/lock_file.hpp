#pragma once

#include <string>

namespace pawl::sqlite {

/// Keeps a database to one opener, in this process and in others, until it is destroyed.
///
/// It locks a file of its own: a lock on the database itself would be lost whenever SQLite closes
/// a descriptor of it. The operating system drops the lock when the process ends in any way; the
/// file stays, because removing it would race with the next opener.
class lock_file {
public:
    /// Throws error: store_locked when somebody holds it, store_read_only when it cannot be made.
    explicit lock_file(const std::string& database);
    ~lock_file();

    lock_file(const lock_file&) = delete;
    lock_file& operator=(const lock_file&) = delete;

private:
    int descriptor_ = -1;
};

} // namespace pawl::sqlite
