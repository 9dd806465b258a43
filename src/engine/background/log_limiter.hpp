#pragma once

#include "pawl/time.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace pawl::engine_detail {

/// Keeps failures that come again and again from flooding the log: lets the first lines of each
/// minute through, and counts those that it holds back.
///
/// Used on one strand.
class log_limiter {
public:
    /// What to add to a line that may be written, which tells how many were held back before it;
    /// empty when the line is held back.
    std::optional<std::string> admit(time_point now);

private:
    time_point minute_begins_;
    int written_ = 0;
    std::uint64_t held_back_ = 0;
};

/// Whether the n-th failure of one thing is worth a line: the 1st, 2nd, 4th, 8th, and so on.
bool is_worth_a_line(int failures) noexcept;

} // namespace pawl::engine_detail
