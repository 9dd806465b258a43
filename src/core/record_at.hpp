#pragma once

#include "pawl/event.hpp"
#include "pawl/record.hpp"

namespace pawl::core {

/// The record as the event left it, as far as the event shows that. The object, and all that an
/// event lacks, is that of the current record.
record record_at(const event& entry, record current);

} // namespace pawl::core
