#include "core/run_id.hpp"

#include <algorithm>

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
    std::size_t position = 0;
    for (std::size_t i = 0; i < id.bytes.size(); ++i) {
        if (dash_before(i) && text[position++] != '-')
            return {};
        const int high = digit_value(text[position++]);
        const int low = digit_value(text[position++]);
        if (high < 0 || low < 0)
            return {};
        id.bytes[i] = static_cast<std::uint8_t>(high << 4 | low);
    }
    return id;
}

namespace core {

run_id run_id_generator::make(time_point now, std::uint64_t entropy) noexcept
{
    const auto microseconds = static_cast<std::uint64_t>(now.time_since_epoch().count());
    const auto milliseconds = microseconds / 1000;
    const auto fraction = microseconds % 1000 * 4096 / 1000;
    last_ = std::max(milliseconds << 12 | fraction, last_ + 1);

    run_id id;
    for (std::size_t i = 0; i < 6; ++i)
        id.bytes[i] = static_cast<std::uint8_t>(last_ >> (52 - 8 * i));
    id.bytes[6] = static_cast<std::uint8_t>(0x70 | (last_ >> 8 & 0x0f));
    id.bytes[7] = static_cast<std::uint8_t>(last_);
    for (std::size_t i = 8; i < 16; ++i)
        id.bytes[i] = static_cast<std::uint8_t>(entropy >> (8 * (15 - i)));
    id.bytes[8] = static_cast<std::uint8_t>((id.bytes[8] & 0x3f) | 0x80);
    return id;
}

} // namespace core
} // namespace pawl
