#pragma once

#include "pawl/callback.hpp"
#include "pawl/codec.hpp"
#include "pawl/record.hpp"
#include "pawl/run_id.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace pawl {

/// The end of a child: the payload of the callback that run::start() names.
///
/// The object has the version of its schema in which the child was stored, and is upgraded when the
/// callback is handled. A newer version than the program's is left alone, see pawl::schema.
///
/// @code
/// inline constexpr pawl::callback<pawl::child_end<parcel, parcel_status>>
/// parcel_ended{"parcel-ended"};
/// @endcode
template <class Object, class Status>
struct child_end {
    run_id run;
    std::string foreign_id;
    Status status{};                        ///< in which it has finished
    run_state state = run_state::completed; ///< or cancelled
    std::string reason; ///< of a cancellation, or of an early finish; else empty
    Object object{};    ///< as the child left it
};

/// Options of run::start().
template <class Object, class Status>
struct child_options {
    /// Receives the end of the child in the inbox of the run that starts it. The workflow of that
    /// run declares it. Default: empty, the run is not notified.
    std::optional<callback<child_end<Object, Status>>> on_end{};

    /// What happens to the child when the run that starts it is cancelled. Default: leave, the
    /// child continues.
    parent_cancel on_parent_cancel = parent_cancel::leave;

    /// The status in which the child begins, see trigger_options::start. Default: the workflow's
    /// start.
    std::optional<Status> start{};

    /// Distinguishes several children of one foreign id that a handler starts one after another in
    /// one scope. At most 768 bytes. Default: empty.
    std::string idempotency_key{};
};

namespace detail {

/// What a child_end holds besides the object.
struct child_end_head {
    run_id run;
    std::string foreign_id;
    int status = 0;
    run_state state = run_state::completed;
    std::string reason;
};

/// Appends the head: a line of JSON, then the foreign id and the reason, whose sizes the line has.
void write_child_end_head(const child_end_head& head, std::string& out);

/// Reads the head, and removes it from `bytes`. Throws decode_error.
child_end_head read_child_end_head(std::string_view& bytes);

} // namespace detail

/// The head, and then the object as its own codec writes it.
template <class Object, class Status>
struct codec<child_end<Object, Status>> {
    static void encode(const child_end<Object, Status>& value, std::string& out)
    {
        detail::write_child_end_head({value.run, value.foreign_id, static_cast<int>(value.status),
                                      value.state, value.reason},
                                     out);
        codec<Object>::encode(value.object, out);
    }

    static child_end<Object, Status> decode(std::string_view stored)
    {
        auto head = detail::read_child_end_head(stored);
        return {head.run,   std::move(head.foreign_id), static_cast<Status>(head.status),
                head.state, std::move(head.reason),     detail::decode_object<Object>(stored)};
    }
};

} // namespace pawl
