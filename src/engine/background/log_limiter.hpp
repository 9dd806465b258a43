#pragma once

#include "pawl/time.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace pawl::engine_detail {

/// Limits how many lines about repeated failures are logged per minute, and counts the lines that
/// it holds back.
///
/// Used on one strand.
class log_limiter {
public:
    /// The text to append to a line that may be logged: the number of lines held back before it, if
    /// any. nullopt if the line is held back.
    std::optional<std::string> admit(time_point now);

private:
    time_point minute_begins_;
    int written_ = 0;
    std::uint64_t held_back_ = 0;
};

/// Whether the n-th consecutive failure is logged: the 1st, 2nd, 4th, 8th, and so on.
bool is_worth_a_line(int failures) noexcept;

} // namespace pawl::engine_detail
