#pragma once

#include "pawl/run_id.hpp"
#include "pawl/time.hpp"

#include <cstdint>

namespace pawl::core {

/// Composes a UUID of version 7 from the time and 74 of the given random bits.
run_id make_run_id(time_point now, std::uint64_t entropy_high, std::uint64_t entropy_low) noexcept;

} // namespace pawl::core
