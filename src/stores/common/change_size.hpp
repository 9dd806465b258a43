#pragma once

#include "pawl/record_store.hpp"

#include <cstddef>

namespace pawl::core {

/// What the effects of a run take: their names and values.
std::size_t effects_size(const record& run) noexcept;

/// About how many bytes a change brings to its store: texts, objects, effects and payloads.
std::size_t change_size(const change& made) noexcept;

} // namespace pawl::core
