#include "engine/background/log_limiter.hpp"

#include <chrono>
#include <utility>

namespace pawl::engine_detail {

namespace {

constexpr int lines_per_minute = 20;

} // namespace

std::optional<std::string> log_limiter::admit(time_point now)
{
    // A clock that was set back also begins a new minute.
    if (now < minute_begins_ || now - minute_begins_ >= std::chrono::minutes{1}) {
        minute_begins_ = now;
        written_ = 0;
    }
    if (written_ == lines_per_minute) {
        ++held_back_;
        return std::nullopt;
    }
    ++written_;
    const auto before = std::exchange(held_back_, 0);
    if (before == 0)
        return std::string{};
    return " (" + std::to_string(before) + " lines like it were held back)";
}

bool is_worth_a_line(int failures) noexcept
{
    return failures > 0 && (failures & (failures - 1)) == 0;
}

} // namespace pawl::engine_detail
