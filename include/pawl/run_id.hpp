#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace pawl {

/// Identifies a run, uniquely and permanently: a UUID of version 7.
///
/// The engine generates it without coordination. Its first 48 bits are the creation time in
/// milliseconds, so ids sort by age (those of one engine strictly) and suit the indexes of a
/// database.
///
/// Source: RFC 9562, section 5.7.
struct run_id {
    std::array<std::uint8_t, 16> bytes{};

    friend bool operator==(const run_id&, const run_id&) = default;
    friend auto operator<=>(const run_id&, const run_id&) = default;

    /// False for the default-constructed id, which identifies no run.
    explicit operator bool() const noexcept { return *this != run_id{}; }
};

/// Returns the canonical text: 36 characters, lower case, for example
/// "018f3c5e-7b7a-7cc0-9c4e-0d6a2f1b3c4d".
std::string to_string(const run_id& id);

/// Reads the canonical text, in either case. Empty for any other text.
std::optional<run_id> parse_run_id(std::string_view text) noexcept;

/// Names a run by its id or by a foreign id. A foreign id means its unfinished run; if there is
/// none, its run that was created last.
using run_ref = std::variant<run_id, std::string>;

} // namespace pawl

template <>
struct std::hash<pawl::run_id> {
    std::size_t operator()(const pawl::run_id& id) const noexcept
    {
        // The last eight bytes of a version 7 UUID are random except for two bits.
        std::size_t value = 0;
        for (std::size_t i = 8; i < 16; ++i)
            value = (value << 8) | id.bytes[i];
        return value;
    }
};
