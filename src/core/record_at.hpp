#pragma once

#include "pawl/event.hpp"
#include "pawl/record.hpp"

namespace pawl::core {

/// The record as the event left it, as far as the event tells; the object is the present one.
record record_at(const event& what, record current);

} // namespace pawl::core
