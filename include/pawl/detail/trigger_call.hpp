#pragma once

#include "pawl/detail/failure.hpp"
#include "pawl/record.hpp"
#include "pawl/record_store.hpp"

#include <optional>
#include <string>

namespace pawl::detail {

/// The start of a run without types, by a client or by a handler.
struct trigger_call {
    std::string foreign_id;
    std::optional<int> status; ///< empty: the workflow's default start
    std::string object;
    id_reuse_policy id_reuse = id_reuse_policy::allow_after_finish;
    std::string key;
    std::string trace_parent;
    std::optional<parent_link> parent;
    failure early; ///< what went wrong in the typed layer before the call began
};

} // namespace pawl::detail
