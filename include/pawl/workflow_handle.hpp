#pragma once

#include <string>
#include <string_view>
#include <type_traits>

namespace pawl {

/// A workflow's name and types, declared once for its builder and for the handlers of other
/// workflows:
///
/// @code
/// inline constexpr pawl::workflow_handle<parcel, parcel_status> parcels{"parcels"};
///
/// pawl::builder b{parcels};                            // defines the workflow
///
/// b.uses(parcels);                                     // in another workflow, whose handlers
/// co_await run.send(parcels, "parcel-7", packed, {});  // reach runs of it without a client
/// @endcode
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
template <class Object, class Status>
class workflow_handle {
    static_assert(std::is_enum_v<Status>, "a workflow's Status is an enum");

public:
    using object_type = Object;
    using status_type = Status;

    /// `name` is the name of the workflow. It must outlive this object: use a literal.
    constexpr explicit workflow_handle(std::string_view name) noexcept : name_(name) {}

    /// The name of the workflow.
    std::string name() const { return std::string{name_}; }

private:
    std::string_view name_;
};

} // namespace pawl
