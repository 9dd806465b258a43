#include "testing/conformance/expect.hpp"

#include <stdexcept>

namespace pawl::testing {

namespace {

/// Characters of a string that a failure shows.
constexpr std::size_t longest_text = 80;

} // namespace

void fail(const std::string& text)
{
    throw std::runtime_error{text};
}

void expect(bool condition, std::string_view violation)
{
    if (!condition)
        fail(std::string{violation});
}

std::string text_of(std::string_view value)
{
    std::string text = "\"";
    for (const char c : value.substr(0, longest_text))
        if (c == '"' || c == '\\')
            text += {'\\', c};
        else if (c < 0x20 || c > 0x7e)
            text += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
        else
            text += c;
    text += '"';
    if (value.size() > longest_text)
        text += fmt::format("... ({} bytes)", value.size());
    return text;
}

std::string text_of(time_point value)
{
    return fmt::format("{} us", value.time_since_epoch().count());
}

} // namespace pawl::testing
