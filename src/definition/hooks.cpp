#include "pawl/detail/handlers.hpp"

#include <algorithm>

namespace pawl::detail {

bool declared_hook::wants(event_kind kind, int from, int to) const noexcept
{
    if (std::ranges::find(kinds, kind) == kinds.end())
        return false;
    if (entering.empty())
        return true;
    // finish() completes a run in its present status, without entering one.
    return std::ranges::find(entering, to) != entering.end() &&
           (kind != event_kind::completed || from != to);
}

} // namespace pawl::detail
