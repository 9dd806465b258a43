#pragma once

#include "pawl/error.hpp"

#include <sqlite3.h>

#include <string>
#include <string_view>

namespace pawl::sqlite {

/// Throws pawl::error with the code for an (extended) result code of SQLite. Its text has the file,
/// the operation, and SQLite's message.
[[noreturn]] void throw_error(sqlite3* connection, int code, std::string_view path,
                              std::string_view doing);

/// Throws pawl::error (store_corrupt) for content that is valid for SQLite but not for Pawl.
[[noreturn]] void throw_corrupt(std::string_view path, std::string_view problem);

/// Whether the code reports a failed flush to disk.
bool is_failed_flush(int code) noexcept;

/// The code for an error of the system: store_full, store_unavailable for a temporary one, and
/// `otherwise` for all others, including 0.
errc meaning_of_errno(int number, errc otherwise) noexcept;

} // namespace pawl::sqlite
