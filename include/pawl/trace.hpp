#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pawl {

/// A position in a distributed trace, as the W3C recommendation "Trace Context" writes it in the
/// header `traceparent`: "00-<trace id>-<span id>-<flags>".
struct trace_context {
    std::array<std::uint8_t, 16> trace_id{};
    std::array<std::uint8_t, 8> span_id{};
    std::uint8_t flags = 0; ///< 1: sampled

    /// Reads the value of a header; empty if it is not valid. Of a version after 00, the known part
    /// is read.
    static std::optional<trace_context> parse(std::string_view header) noexcept;

    friend bool operator==(const trace_context&, const trace_context&) = default;
};

/// Returns the value of the header, in version 00.
std::string to_string(const trace_context& context);

} // namespace pawl
