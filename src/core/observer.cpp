#include "pawl/observer.hpp"

namespace pawl {

std::string_view to_string(discard_reason reason) noexcept
{
    switch (reason) {
    case discard_reason::skip_returned:
        return "skip returned";
    case discard_reason::interrupted:
        return "interrupted";
    case discard_reason::conflict:
        return "conflict";
    case discard_reason::not_owner:
        return "not owner";
    case discard_reason::message_refused:
        return "message refused";
    case discard_reason::message_expired:
        return "message expired";
    }
    return "unknown";
}

} // namespace pawl
