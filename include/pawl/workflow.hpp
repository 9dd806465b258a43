#pragma once

#include "pawl/definition.hpp"
#include "pawl/detail/handlers.hpp"

#include <memory>
#include <string>
#include <utility>

namespace pawl {

/// A checked workflow: its graph, its rules and its handlers. Made by builder::build(), added to
/// engines by engine::add().
///
/// An immutable shared handle: copies are cheap, and an engine keeps one for as long as it needs
/// it.
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

    /// The name given to the builder.
    const std::string& name() const noexcept { return impl_->rules.name; }

    /// The workflow as data.
    const pawl::definition& rules() const noexcept { return impl_->rules; }

    /// Internal.
    const std::shared_ptr<const detail::workflow_impl>& impl() const noexcept { return impl_; }

private:
    std::shared_ptr<const detail::workflow_impl> impl_;
};

} // namespace pawl
