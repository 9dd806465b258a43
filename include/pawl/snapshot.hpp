#pragma once

#include "pawl/codec.hpp"
#include "pawl/record.hpp"
#include "pawl/workflow.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace pawl {

/// What a run looked like at one of its versions, with the types of its workflow.
///
/// A plain value, and a picture of the past: the run may have gone on since.
template <class Object, class Status>
struct snapshot {
    run_id id;
    std::string foreign_id;
    Status status{};
    run_state state = run_state::initiated;
    std::uint64_t version = 0;
    int attempt = 0;          ///< failed attempts of the present visit's step
    std::string last_error;   ///< of the last failed attempt; empty after progress
    std::string reason;       ///< why it is paused, cancelled, finished early or deleted
    std::string requested_by; ///< who asked for that, as the command named them
    time_point created_at;
    time_point updated_at;
    std::optional<time_point> wake_at; ///< when it next moves by itself; empty: never
    Object object;

    /// Why `object` could not be read, in a listing; then it is a default-constructed one.
    std::string decode_error;
};

namespace detail {

template <class Object, class Status>
snapshot<Object, Status> make_snapshot(const record& from, Object object)
{
    return {from.id,
            from.foreign_id,
            static_cast<Status>(from.status),
            from.state,
            from.version,
            from.attempt,
            from.last_error,
            from.reason,
            from.requested_by,
            from.created_at,
            from.updated_at,
            from.wake_at,
            std::move(object),
            {}};
}

} // namespace detail

/// The record with its types, its object in the present version of the workflow's schema.
/// Throws decode_error when that does not fit `Object`.
template <class Object, class Status>
snapshot<Object, Status> make_snapshot(const workflow<Object, Status>& flow, const record& from)
{
    std::string upgraded;
    auto object =
        detail::decode_object<Object>(detail::present_object(*flow.impl(), from, upgraded));
    return detail::make_snapshot<Object, Status>(from, std::move(object));
}

} // namespace pawl
