#pragma once

#include "pawl/error.hpp"

#include <sqlite3.h>

#include <string>
#include <string_view>

namespace pawl::sqlite {

/// Throws pawl::error with the code that an (extended) result code of SQLite stands for. `what()`
/// names the file, what was being done, and SQLite's message.
[[noreturn]] void throw_error(sqlite3* connection, int code, std::string_view path,
                              std::string_view doing);

/// Throws pawl::error (store_corrupt) for content that SQLite finds valid and Pawl does not.
[[noreturn]] void throw_damaged(std::string_view path, std::string_view what);

/// Whether the system says that a flush to disk has failed.
bool is_failed_flush(int code) noexcept;

/// What the system's error says of the store: it is full, or something that ends is used up.
/// `otherwise` for all others, 0 included.
errc meaning_of_errno(int number, errc otherwise) noexcept;

} // namespace pawl::sqlite
