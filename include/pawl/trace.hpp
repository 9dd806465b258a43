#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pawl {

/// Where something stands in a distributed trace, as the W3C recommendation "Trace Context" writes
/// it in the header `traceparent`: "00-<trace id>-<span id>-<flags>".
struct trace_context {
    std::array<std::uint8_t, 16> trace_id{};
    std::array<std::uint8_t, 8> span_id{};
    std::uint8_t flags = 0; ///< 1: sampled

    /// Reads a header's value; empty when it is none. Of a later version than 00, what is known is
    /// read.
    static std::optional<trace_context> parse(std::string_view header) noexcept;

    friend bool operator==(const trace_context&, const trace_context&) = default;
};

/// The header's value, of version 00.
std::string to_string(const trace_context& context);

} // namespace pawl
