#include "core/trace.hpp"

#include "core/stable_hash.hpp"

#include <algorithm>

namespace pawl {

namespace {

constexpr std::string_view digits = "0123456789abcdef";

template <std::size_t Size>
bool read_hex(std::string_view text, std::array<std::uint8_t, Size>& bytes) noexcept
{
    for (std::size_t i = 0; i < Size; ++i) {
        const auto high = digits.find(text[2 * i]);
        const auto low = digits.find(text[2 * i + 1]);
        if (high == std::string_view::npos || low == std::string_view::npos)
            return false;
        bytes[i] = static_cast<std::uint8_t>(high << 4 | low);
    }
    return true;
}

void write_hex(std::string& text, const auto& bytes)
{
    for (const std::uint8_t byte : bytes) {
        text += digits[byte >> 4];
        text += digits[byte & 15];
    }
}

bool is_zero(const auto& bytes) noexcept
{
    return std::ranges::all_of(bytes, [](std::uint8_t byte) { return byte == 0; });
}

} // namespace

std::optional<trace_context> trace_context::parse(std::string_view header) noexcept
{
    constexpr std::size_t size = 2 + 1 + 32 + 1 + 16 + 1 + 2;
    if (header.size() < size || header[2] != '-' || header[35] != '-' || header[52] != '-')
        return {};
    std::array<std::uint8_t, 1> version{};
    std::array<std::uint8_t, 1> flags{};
    trace_context context;
    if (!read_hex(header, version) || !read_hex(header.substr(3), context.trace_id) ||
        !read_hex(header.substr(36), context.span_id) || !read_hex(header.substr(53), flags))
        return {};
    const bool ends_well = header.size() == size || (version[0] > 0 && header[size] == '-');
    if (version[0] == 0xff || !ends_well || is_zero(context.trace_id) || is_zero(context.span_id))
        return {};
    context.flags = flags[0];
    return context;
}

std::string to_string(const trace_context& context)
{
    std::string text = "00-";
    write_hex(text, context.trace_id);
    text += '-';
    write_hex(text, context.span_id);
    text += '-';
    write_hex(text, std::array{context.flags});
    return text;
}

namespace core {

trace_context trace_of(const record& run)
{
    if (const auto parent = trace_context::parse(run.trace_parent))
        return *parent;
    trace_context trace;
    std::ranges::copy(run.id.bytes, trace.trace_id.begin());
    trace.flags = 1;
    return trace;
}

trace_context trace_of(const record& run, std::uint64_t handler, int attempt)
{
    auto trace = trace_of(run);
    auto seed = mix(std::hash<run_id>{}(run.id) + run.visit);
    seed = mix(seed + handler * 0x9e37'79b9'7f4a'7c15 + static_cast<std::uint64_t>(attempt));
    if (seed == 0) // an invalid span id
        seed = 1;
    for (auto& byte : trace.span_id) {
        byte = static_cast<std::uint8_t>(seed);
        seed >>= 8;
    }
    return trace;
}

} // namespace core
} // namespace pawl
