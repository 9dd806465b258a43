#pragma once

#include <span>
#include <string_view>

namespace pawl::admin::detail {

/// A file of the console, which CMake has embedded.
struct console_file {
    std::string_view path; ///< below PREFIX/; empty: the page
    std::string_view content_type;
    std::string_view etag; ///< with its quotes
    std::string_view gzip; ///< the content, compressed
};

std::span<const console_file> console_files() noexcept;

} // namespace pawl::admin::detail
