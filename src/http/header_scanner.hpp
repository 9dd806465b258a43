#pragma once

#include <cstddef>
#include <string_view>

namespace pawl::http::detail {

/// Finds the end of a message's header in bytes that arrive in pieces. It refuses line endings that
/// parsers interpret differently: a line feed alone, and folded lines (RFC 9112, sections 2.2 and
/// 5.2). The parser checks everything else.
class header_scanner {
public:
    enum class result { incomplete, complete, malformed };

    /// `data` begins with the header's first byte and has grown, or not, since the last call.
    result scan(std::string_view data) noexcept;

    /// With the empty line. Precondition: scan() returned complete.
    std::size_t size() const noexcept { return line_; }

private:
    std::size_t line_ = 0; ///< start of the current line
    std::size_t seen_ = 0; ///< end of the scanned bytes
};

} // namespace pawl::http::detail
