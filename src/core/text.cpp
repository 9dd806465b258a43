#include "core/text.hpp"

namespace pawl::core {

std::string truncate_utf8(std::string text, std::size_t most)
{
    if (text.size() <= most)
        return text;
    // A character has at most four bytes; what is no UTF-8 is cut anywhere.
    auto end = most;
    while (end > 0 && most - end < 4 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80)
        --end;
    if ((static_cast<unsigned char>(text[end]) & 0xc0) == 0x80)
        end = most;
    text.resize(end);
    return text;
}

} // namespace pawl::core
