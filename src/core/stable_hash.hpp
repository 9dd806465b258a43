#pragma once

#include <cstdint>
#include <string_view>

namespace pawl::core {

/// 64-bit FNV-1a. Stored data depends on it: never change it.
/// Source: Fowler, Noll, Vo; draft-eastlake-fnv.
constexpr std::uint64_t fnv1a(std::string_view bytes,
                              std::uint64_t seed = 14695981039346656037ull) noexcept
{
    for (const char byte : bytes)
        seed = (seed ^ static_cast<unsigned char>(byte)) * 1099511628211ull;
    return seed;
}

/// Spreads a number over all 64 bits: the finalizer of SplitMix64 (Steele, Lea, Flood, 2014).
constexpr std::uint64_t mix(std::uint64_t value) noexcept
{
    value += 0x9e3779b97f4a7c15ull;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ull;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebull;
    return value ^ (value >> 31);
}

} // namespace pawl::core
