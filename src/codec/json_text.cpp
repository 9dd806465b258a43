#include "pawl/detail/json_io.hpp"

#include <array>
#include <cstdint>
#include <cstring>

namespace pawl::detail {

namespace {

/// 0: not escaped. 1: a control character. 2: the first byte of a multi-byte sequence. Others: the
/// letter of the escape.
constexpr std::array<char, 256> make_classes()
{
    std::array<char, 256> classes{};
    for (std::size_t c = 0; c < 0x20; ++c)
        classes[c] = 1;
    for (std::size_t c = 0x80; c < 0x100; ++c)
        classes[c] = 2;
    classes['"'] = '"';
    classes['\\'] = '\\';
    classes['\b'] = 'b';
    classes['\f'] = 'f';
    classes['\n'] = 'n';
    classes['\r'] = 'r';
    classes['\t'] = 't';
    return classes;
}

constexpr auto classes = make_classes();

/// The end of the bytes from `position` on that are not escaped. Checks eight bytes at a time,
/// because texts are long and most have nothing to escape.
std::size_t plain_until(std::string_view text, std::size_t position) noexcept
{
    constexpr std::uint64_t ones = 0x0101'0101'0101'0101;
    constexpr std::uint64_t high = 0x80 * ones;
    // A high bit is set if a byte is less than `limit`, which is position most 0x80.
    const auto below = [](std::uint64_t word, std::uint64_t limit) {
        return (word - limit * ones) & ~word;
    };
    for (; text.size() - position >= sizeof(std::uint64_t); position += sizeof(std::uint64_t)) {
        std::uint64_t word = 0;
        std::memcpy(&word, text.data() + position, sizeof(word));
        const auto special = word | below(word, 0x20) | below(word ^ ('"' * ones), 1) |
                             below(word ^ ('\\' * ones), 1);
        if ((special & high) != 0)
            break;
    }
    while (position < text.size() && classes[static_cast<unsigned char>(text[position])] == 0)
        ++position;
    return position;
}

constexpr bool in_range(unsigned char c, unsigned char first, unsigned char last) noexcept
{
    return c >= first && c <= last;
}

/// The length of the well-formed multi-byte sequence at the front; 0 when there is none.
/// Source: The Unicode Standard, table 3-7.
std::size_t sequence_length(std::string_view text) noexcept
{
    const auto byte_at = [&](std::size_t i) {
        return i < text.size() ? static_cast<unsigned char>(text[i]) : '\0';
    };
    const unsigned char first = byte_at(0);
    const auto more = [&](std::size_t i) {
        return in_range(byte_at(i), 0x80, 0xbf);
    };
    if (in_range(first, 0xc2, 0xdf))
        return more(1) ? 2 : 0;
    if (in_range(first, 0xe0, 0xef)) {
        const unsigned char least = first == 0xe0 ? 0xa0 : 0x80;
        const unsigned char most = first == 0xed ? 0x9f : 0xbf;
        return in_range(byte_at(1), least, most) && more(2) ? 3 : 0;
    }
    if (in_range(first, 0xf0, 0xf4)) {
        const unsigned char least = first == 0xf0 ? 0x90 : 0x80;
        const unsigned char most = first == 0xf4 ? 0x8f : 0xbf;
        return in_range(byte_at(1), least, most) && more(2) && more(3) ? 4 : 0;
    }
    return 0;
}

} // namespace

void write_text(std::string_view from, std::string& out)
{
    constexpr char digits[] = "0123456789abcdef";
    out += '"';
    std::size_t copied = 0;
    for (std::size_t position = plain_until(from, 0); position < from.size();
         position = plain_until(from, position)) {
        const auto c = static_cast<unsigned char>(from[position]);
        const char kind = classes[c];
        if (kind == 2) {
            const std::size_t length = sequence_length(from.substr(position));
            if (length == 0)
                throw encode_error{"the text is not UTF-8 at byte " + std::to_string(position)};
            position += length;
            continue;
        }
        out.append(from, copied, position - copied);
        if (kind == 1) {
            out += "\\u00";
            out += digits[c >> 4];
            out += digits[c & 15];
        } else {
            out += '\\';
            out += kind;
        }
        copied = ++position;
    }
    out.append(from, copied);
    out += '"';
}

} // namespace pawl::detail
