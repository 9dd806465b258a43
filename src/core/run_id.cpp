#include "core/run_id.hpp"

namespace pawl {

namespace {

constexpr char digits[] = "0123456789abcdef";

constexpr bool dash_before(std::size_t byte) noexcept
{
    return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

constexpr int digit_value(char c) noexcept
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

} // namespace

std::string to_string(const run_id& id)
{
    std::string text;
    text.reserve(36);
    for (std::size_t i = 0; i < id.bytes.size(); ++i) {
        if (dash_before(i))
            text.push_back('-');
        text.push_back(digits[id.bytes[i] >> 4]);
        text.push_back(digits[id.bytes[i] & 15]);
    }
    return text;
}

std::optional<run_id> parse_run_id(std::string_view text) noexcept
{
    if (text.size() != 36)
        return {};
    run_id id;
    std::size_t at = 0;
    for (std::size_t i = 0; i < id.bytes.size(); ++i) {
        if (dash_before(i) && text[at++] != '-')
            return {};
        const int high = digit_value(text[at++]);
        const int low = digit_value(text[at++]);
        if (high < 0 || low < 0)
            return {};
        id.bytes[i] = static_cast<std::uint8_t>(high << 4 | low);
    }
    return id;
}

namespace core {

run_id make_run_id(time_point now, std::uint64_t entropy_high, std::uint64_t entropy_low) noexcept
{
    const auto milliseconds = static_cast<std::uint64_t>(
        std::chrono::floor<std::chrono::milliseconds>(now).time_since_epoch().count());
    run_id id;
    for (std::size_t i = 0; i < 6; ++i)
        id.bytes[i] = static_cast<std::uint8_t>(milliseconds >> (8 * (5 - i)));
    for (std::size_t i = 6; i < 8; ++i)
        id.bytes[i] = static_cast<std::uint8_t>(entropy_high >> (8 * (7 - i)));
    for (std::size_t i = 8; i < 16; ++i)
        id.bytes[i] = static_cast<std::uint8_t>(entropy_low >> (8 * (15 - i)));
    id.bytes[6] = static_cast<std::uint8_t>((id.bytes[6] & 0x0f) | 0x70);
    id.bytes[8] = static_cast<std::uint8_t>((id.bytes[8] & 0x3f) | 0x80);
    return id;
}

} // namespace core
} // namespace pawl
