#pragma once

#include "pawl/run_id.hpp"
#include "pawl/time.hpp"

#include <cstdint>

namespace pawl::core {

/// Generates UUIDs of version 7 that grow strictly, even within a millisecond and when the clock
/// steps back: the 12 bits after the milliseconds hold the fraction of the millisecond and continue
/// to count from there.
///
/// Source: RFC 9562, section 6.2, method 3.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Unsafe.
class run_id_generator {
public:
    /// @param entropy the last 62 bits of the id.
    run_id make(time_point now, std::uint64_t entropy) noexcept;

private:
    std::uint64_t last_ = 0; ///< milliseconds and fraction of the last id, 60 bits
};

} // namespace pawl::core
