#include "pawl/admin/authenticator.hpp"

namespace pawl::admin {

std::string_view to_string(role of) noexcept
{
    switch (of) {
    case role::viewer:
        return "viewer";
    case role::operator_:
        return "operator";
    case role::admin:
        break;
    }
    return "admin";
}

std::optional<role> parse_role(std::string_view text) noexcept
{
    for (const auto known : {role::viewer, role::operator_, role::admin})
        if (text == to_string(known))
            return known;
    return std::nullopt;
}

} // namespace pawl::admin
