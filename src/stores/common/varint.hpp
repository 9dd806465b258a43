#pragma once

#include "pawl/error.hpp"
#include "pawl/time.hpp"

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

namespace pawl::core {

/// Writes numbers, times and texts as LEB128 varints and bytes. Stored format: never change.
class binary_writer {
public:
    explicit binary_writer(std::string& out) : out_(out) {}

    void byte(unsigned value) { out_.push_back(static_cast<char>(value)); }

    void number(std::uint64_t value)
    {
        for (; value >= 0x80; value >>= 7)
            byte(static_cast<unsigned>(value & 0x7f) | 0x80);
        byte(static_cast<unsigned>(value));
    }

    void signed_number(std::int64_t value)
    {
        const auto sign = static_cast<std::uint64_t>(value >> 63);
        number((static_cast<std::uint64_t>(value) << 1) ^ sign);
    }

    void time(time_point value) { signed_number(value.time_since_epoch().count()); }

    void text(std::string_view value)
    {
        number(value.size());
        out_.append(value);
    }

private:
    std::string& out_;
};

/// Reads what binary_writer wrote. Throws error (store_corrupt), whose text begins with `name`,
/// when the bytes are truncated or invalid.
class binary_reader {
public:
    binary_reader(std::string_view bytes, std::string_view name) : rest_(bytes), name_(name) {}

    std::size_t left() const noexcept { return rest_.size(); }

    [[noreturn]] void fail(const char* problem) const
    {
        throw error{errc::store_corrupt, std::string{name_} + ": " + problem};
    }

    unsigned byte()
    {
        if (rest_.empty())
            fail("the bytes end too early");
        const auto value = static_cast<unsigned char>(rest_.front());
        rest_.remove_prefix(1);
        return value;
    }

    bool flag()
    {
        const unsigned value = byte();
        if (value > 1)
            fail("a flag is neither 0 nor 1");
        return value == 1;
    }

    std::uint64_t number()
    {
        std::uint64_t value = 0;
        for (int shift = 0; shift < 64; shift += 7) {
            const unsigned part = byte();
            if (shift == 63 && part > 1)
                break;
            value |= static_cast<std::uint64_t>(part & 0x7f) << shift;
            if (part < 0x80)
                return value;
        }
        fail("a number is too long");
    }

    std::int64_t signed_number()
    {
        const std::uint64_t value = number();
        return static_cast<std::int64_t>((value >> 1) ^ (~(value & 1) + 1));
    }

    int small_number()
    {
        const std::int64_t value = signed_number();
        if (value < std::numeric_limits<int>::min() || value > std::numeric_limits<int>::max())
            fail("a number is out of its range");
        return static_cast<int>(value);
    }

    std::uint32_t schema_version()
    {
        const std::uint64_t value = number();
        if (value < 1 || value > std::numeric_limits<std::uint32_t>::max())
            fail("a version is out of its range");
        return static_cast<std::uint32_t>(value);
    }

    time_point time() { return time_point{duration{signed_number()}}; }

    std::string text()
    {
        const std::uint64_t size = number();
        if (size > rest_.size())
            fail("a text is cut off");
        std::string value{rest_.substr(0, size)};
        rest_.remove_prefix(size);
        return value;
    }

    std::size_t count(std::size_t min_element_size)
    {
        const std::uint64_t value = number();
        if (value > rest_.size() / min_element_size)
            fail("a list is cut off");
        return value;
    }

private:
    std::string_view rest_;
    std::string_view name_;
};

} // namespace pawl::core
