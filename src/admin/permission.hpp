#pragma once

#include "pawl/admin/authenticator.hpp"

#include <cstdint>

namespace pawl::admin::detail {

/// What a route needs.
enum class permission : std::uint8_t {
    read_runs = 1, ///< states, counts, histories, schedules; no objects, no payloads
    read_payloads, ///< objects, payloads, dead letters
    change_runs,   ///< trigger, callback, pause, resume, retry, cancel, redrive; one run or many
    repair_runs,   ///< move a run to another status, with an edited object
    delete_data,   ///< of a run; remove a run
    read_audit,
};

/// The lowest role that has the permission.
constexpr role role_for(permission needed) noexcept
{
    switch (needed) {
    case permission::read_runs:
        return role::viewer;
    case permission::read_payloads:
    case permission::change_runs:
        return role::operator_;
    case permission::repair_runs:
    case permission::delete_data:
    case permission::read_audit:
        break;
    }
    return role::admin;
}

} // namespace pawl::admin::detail
