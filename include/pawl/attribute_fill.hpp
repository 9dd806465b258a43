#pragma once

#include "pawl/record_store.hpp"

#include <cstddef>

namespace pawl {

/// One page of client::async_fill_attributes().
struct attribute_fill {
    list_position next;      ///< where the next page begins; empty on the last page
    std::size_t runs = 0;    ///< runs that were read
    std::size_t updated = 0; ///< those whose attributes were not known to be complete
    std::size_t failed = 0;  ///< those that were left as they are, each with a warning in the log
};

} // namespace pawl
