#include "pawl/log.hpp"

#include <cstdio>

namespace pawl {

void log_to_stderr(log_level level, std::string_view line)
{
    if (level < log_level::warn)
        return;
    // One call writes one line, so that lines of several threads do not mix.
    std::fprintf(stderr, "pawl %s: %.*s\n", level == log_level::warn ? "warning" : "error",
                 static_cast<int>(line.size()), line.data());
}

} // namespace pawl
