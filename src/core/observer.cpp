#include "pawl/observer.hpp"

namespace pawl {

std::string_view to_string(skip_reason reason) noexcept
{
    switch (reason) {
    case skip_reason::skip_returned:
        return "skip returned";
    case skip_reason::interrupted:
        return "interrupted";
    case skip_reason::run_changed:
        return "run changed";
    case skip_reason::not_owner:
        return "not owner";
    case skip_reason::message_refused:
        return "message refused";
    case skip_reason::message_expired:
        return "message expired";
    }
    return "unknown";
}

} // namespace pawl
