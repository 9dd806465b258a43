#include "core/text.hpp"

namespace pawl::core {

std::string truncate_utf8(std::string text, std::size_t max_bytes)
{
    if (text.size() <= max_bytes)
        return text;
    // A UTF-8 character has at most four bytes; other text is cut at the limit.
    auto end = max_bytes;
    while (end > 0 && max_bytes - end < 4 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80)
        --end;
    if ((static_cast<unsigned char>(text[end]) & 0xc0) == 0x80)
        end = max_bytes;
    text.resize(end);
    return text;
}

std::string quoted(const std::string& name)
{
    constexpr std::size_t max_length = 128;
    return "\"" + (name.size() > max_length ? truncate_utf8(name, max_length) + "..." : name) +
           "\"";
}

} // namespace pawl::core
