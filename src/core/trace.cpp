#include "core/trace.hpp"

#include "core/stable_hash.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <random>

namespace pawl {

namespace {

constexpr std::string_view digits = "0123456789abcdef";

/// The value of each character as a digit; 255 for a character that is not a digit.
constexpr std::array<std::uint8_t, 256> digit_values = [] {
    std::array<std::uint8_t, 256> values{};
    values.fill(255);
    for (std::size_t i = 0; i < digits.size(); ++i)
        values[static_cast<unsigned char>(digits[i])] = static_cast<std::uint8_t>(i);
    return values;
}();

template <std::size_t Size>
bool read_hex(std::string_view text, std::array<std::uint8_t, Size>& bytes) noexcept
{
    unsigned seen = 0;
    for (std::size_t i = 0; i < Size; ++i) {
        const unsigned high = digit_values[static_cast<unsigned char>(text[2 * i])];
        const unsigned low = digit_values[static_cast<unsigned char>(text[2 * i + 1])];
        seen |= high | low;
        bytes[i] = static_cast<std::uint8_t>(high << 4 | low);
    }
    return seen < 16;
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

namespace {

/// Spans are made for each attempt, so this is one instruction where it can be.
constexpr std::uint64_t big_endian(std::uint64_t value) noexcept
{
    return std::endian::native == std::endian::big ? value : __builtin_bswap64(value);
}

/// Eight bytes as a number, the most significant byte first.
template <std::size_t Size>
std::uint64_t number_of(const std::array<std::uint8_t, Size>& bytes, std::size_t offset) noexcept
{
    std::uint64_t value = 0;
    std::memcpy(&value, bytes.data() + offset, sizeof value);
    return big_endian(value);
}

template <std::size_t Size>
void put_number(std::uint64_t value, std::array<std::uint8_t, Size>& bytes,
                std::size_t offset) noexcept
{
    value = big_endian(value);
    std::memcpy(bytes.data() + offset, &value, sizeof value);
}

/// All bits of the id, spread. The id itself begins with its time, and samplers and tables compare
/// parts of a trace id.
std::uint64_t hash_of(const run_id& id, std::uint64_t salt) noexcept
{
    const auto high = core::mix(number_of(id.bytes, 0) ^ salt);
    return core::mix(high + number_of(id.bytes, 8));
}

constexpr std::uint64_t trace_salt = 0x7061'776c'7472'6163;
constexpr std::uint64_t start_salt = 0x7061'776c'7374'6172;
constexpr std::uint64_t end_salt = 0x7061'776c'656e'6473;

/// Zeros are no ids.
constexpr std::uint64_t not_zero(std::uint64_t value) noexcept
{
    return value == 0 ? 1 : value;
}

/// The number of the period of the run in which the time is; 0 is that of its start.
std::uint64_t period_at(const record& run, time_point at, const trace_policy& policy) noexcept
{
    if (policy.new_trace_after <= duration::zero() || at <= run.created_at)
        return 0;
    return static_cast<std::uint64_t>((at - run.created_at) / policy.new_trace_after);
}

void set_trace_id(trace_context& trace, const run_id& run, std::uint64_t period) noexcept
{
    put_number(not_zero(hash_of(run, trace_salt + 2 * period)), trace.trace_id, 0);
    put_number(not_zero(hash_of(run, trace_salt + 2 * period + 1)), trace.trace_id, 8);
}

/// Cheap, and good enough for ids that must only differ.
std::uint64_t random_number()
{
    thread_local std::mt19937_64 engine = [] {
        std::random_device device;
        std::seed_seq seed{device(), device(), device(), device()};
        return std::mt19937_64{seed};
    }();
    return not_zero(engine());
}

void set_sampled(trace_context& trace, bool sampled) noexcept
{
    trace.flags = static_cast<std::uint8_t>((trace.flags & ~1) | (sampled ? 1 : 0));
}

} // namespace

bool is_sampled(const trace_context& trace, const std::optional<trace_context>& parent,
                const trace_policy& policy) noexcept
{
    if (parent && policy.parent_based)
        return (parent->flags & 1) != 0;
    if (policy.sampler != trace_sampler::ratio)
        return policy.sampler == trace_sampler::always_on;
    constexpr double all = 9223372036854775808.0; // 2^63
    return static_cast<double>(number_of(trace.trace_id, 8) >> 1) < policy.ratio * all;
}

trace_context make_span(const std::optional<trace_context>& parent, const trace_policy& policy)
{
    trace_context made = parent.value_or(trace_context{});
    if (!parent) {
        put_number(random_number(), made.trace_id, 0);
        put_number(random_number(), made.trace_id, 8);
    }
    put_number(random_number(), made.span_id, 0);
    set_sampled(made, is_sampled(made, parent, policy));
    return made;
}

trace_context run_span(const record& run, const trace_policy& policy)
{
    const auto parent = trace_context::parse(run.trace_parent);
    auto trace = parent.value_or(trace_context{});
    if (!parent)
        set_trace_id(trace, run.id, 0);
    put_number(not_zero(hash_of(run.id, start_salt)), trace.span_id, 0);
    set_sampled(trace, is_sampled(trace, parent, policy));
    return trace;
}

namespace core {

namespace {

placed_span place_span(const record& run, time_point at, std::uint64_t id,
                       const trace_policy& policy)
{
    placed_span placed;
    placed.start = run_span(run, policy);
    placed.parent = placed.start;
    if (const auto period = period_at(run, at, policy); period > 0) {
        set_trace_id(placed.parent, run.id, period);
        placed.parent.span_id = {};
    }
    placed.span = placed.parent;
    put_number(not_zero(id), placed.span.span_id, 0);
    return placed;
}

} // namespace

placed_span attempt_span(const record& run, const attempt_identity& attempt,
                         const trace_policy& policy)
{
    auto seed = mix(hash_of(run.id, attempt.handler) + attempt.version);
    seed = mix(seed + static_cast<std::uint64_t>(attempt.attempt));
    seed = mix(seed + static_cast<std::uint64_t>(attempt.began_at.time_since_epoch().count()));
    return place_span(run, attempt.began_at, seed, policy);
}

placed_span end_span(const record& run, const trace_policy& policy)
{
    return place_span(run, run.updated_at, hash_of(run.id, end_salt), policy);
}

} // namespace core
} // namespace pawl
