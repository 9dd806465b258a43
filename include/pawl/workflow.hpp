#pragma once

#include "pawl/definition.hpp"
#include "pawl/detail/handlers.hpp"

#include <memory>
#include <string>
#include <utility>

namespace pawl {

/// A checked workflow: its graph, its rules and its handlers. Made by builder::build(), given to
/// engines.
///
/// A handle on something that never changes: copies are cheap and share it, and an engine keeps it
/// for as long as it needs.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
template <class Object, class Status>
class workflow {
public:
    using object_type = Object;
    using status_type = Status;

    /// Made by the builder.
    explicit workflow(std::shared_ptr<const detail::workflow_impl> impl) noexcept
        : impl_(std::move(impl))
    {
    }

    const std::string& name() const noexcept { return impl_->rules.name; }

    /// The workflow as data.
    const pawl::definition& rules() const noexcept { return impl_->rules; }

    /// What an engine runs; not for users.
    const std::shared_ptr<const detail::workflow_impl>& impl() const noexcept { return impl_; }

private:
    std::shared_ptr<const detail::workflow_impl> impl_;
};

} // namespace pawl
