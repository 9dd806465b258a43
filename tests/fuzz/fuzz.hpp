// What the fuzz targets share. A target is one function on any bytes, which must return, and which
// ends the process when something is not as it should be.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace fuzz {

/// Must hold, whatever the input.
inline void require(bool holds, const char* what)
{
    if (holds)
        return;
    std::fprintf(stderr, "fuzz: this does not hold: %s\n", what);
    std::abort();
}

inline std::string_view text(const std::uint8_t* data, std::size_t size)
{
    return size ? std::string_view{reinterpret_cast<const char*>(data), size} : std::string_view{};
}

} // namespace fuzz
