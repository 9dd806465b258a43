#pragma once

#include "pawl/codec.hpp"
#include "pawl/record.hpp"
#include "pawl/workflow.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace pawl {

/// A run at one of its versions, with the types of its workflow.
///
/// A plain value; the run may have changed since.
template <class Object, class Status>
struct snapshot {
    run_id id;
    std::string foreign_id;
    Status status{};
    run_state state = run_state::initiated;
    std::uint64_t version = 0;
    int attempt = 0;          ///< failed attempts of the step in this visit
    std::string last_error;   ///< of the last failed attempt; cleared by progress
    std::string reason;       ///< why it is paused, cancelled, finished early or deleted
    std::string requested_by; ///< who gave that command: command_reason::by
    time_point created_at;
    time_point updated_at;
    std::optional<time_point> wake_at; ///< when it next needs an engine; empty: never by itself
    Object object;

    /// In a listing: why `object` could not be read and is a default-constructed one. Else empty.
    std::string decode_error;
};

namespace detail {

template <class Object, class Status>
snapshot<Object, Status> make_snapshot(const record& stored, Object object)
{
    return {stored.id,
            stored.foreign_id,
            static_cast<Status>(stored.status),
            stored.state,
            stored.version,
            stored.attempt,
            stored.last_error,
            stored.reason,
            stored.requested_by,
            stored.created_at,
            stored.updated_at,
            stored.wake_at,
            std::move(object),
            {}};
}

} // namespace detail

/// Returns the record with its types; the object is upgraded to the present version of its schema.
///
/// @throws pawl::error: decode_failed when the object does not fit `Object` or an upgrade fails,
///     program_too_old when a newer program wrote it.
template <class Object, class Status>
snapshot<Object, Status> make_snapshot(const workflow<Object, Status>& flow, const record& stored)
{
    std::string upgraded;
    auto object =
        detail::decode_object<Object>(detail::present_object(*flow.impl(), stored, upgraded));
    return detail::make_snapshot<Object, Status>(stored, std::move(object));
}

} // namespace pawl
