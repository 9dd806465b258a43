#pragma once

#include "pawl/record_store.hpp"

#include <cstddef>

namespace pawl::core {

/// Bytes of the names and values of a run's effects.
std::size_t effects_size(const record& run) noexcept;

/// Approximate bytes of a change: texts, objects, effects and payloads.
std::size_t change_size(const change& next) noexcept;

} // namespace pawl::core
