#pragma once

#include "pawl/time.hpp"

#include <cstdint>

namespace pawl::testing {

/// A random number generator whose numbers follow from the seed alone: the same on every machine
/// and with every standard library.
///
/// Source: SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Unsafe.
class simulated_random {
public:
    explicit simulated_random(std::uint64_t seed) noexcept : state_(seed) {}

    std::uint64_t next() noexcept
    {
        std::uint64_t z = state_ += 0x9e3779b97f4a7c15ull;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
        return z ^ (z >> 31);
    }

    /// A number from 0 to `limit` - 1. Precondition: `limit` is above 0.
    std::uint64_t below(std::uint64_t limit) noexcept { return next() % limit; }

    /// True with this probability, in millionths.
    bool chance(std::uint32_t per_million) noexcept { return below(1'000'000) < per_million; }

    /// A span from `least` to `most`, in whole microseconds, all equally likely; `least` if `most`
    /// is not greater.
    duration between(duration least, duration most) noexcept
    {
        if (most <= least)
            return least;
        const auto width = static_cast<std::uint64_t>((most - least).count()) + 1;
        return least + duration{static_cast<duration::rep>(below(width))};
    }

    /// A generator with a seed that is drawn from this one; drawing from it does not change this
    /// one.
    simulated_random fork() noexcept { return simulated_random{next()}; }

private:
    std::uint64_t state_;
};

} // namespace pawl::testing
