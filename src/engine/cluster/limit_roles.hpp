#pragma once

#include "pawl/record_store.hpp"
#include "pawl/time.hpp"

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pawl::engine_detail {

/// The roles of a store by which engines divide limits, as they were when they were read: who has
/// which block of a pool, and who needs more of it.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Unsafe.
class limit_roles {
public:
    using pool_name = std::pair<std::string, std::string>; ///< limit and key

    /// The names of all these roles begin so.
    static constexpr std::string_view prefix = "pawl.limits/";

    static std::string block_role(const pool_name& pool, std::size_t block);

    /// The role by which an engine shows since when it needs more of a pool. Used once.
    static std::string want_role(const pool_name& pool, time_point since, const std::string& owner);

    /// @param self the name of this engine.
    explicit limit_roles(std::string self) : self_(std::move(self)) {}

    void assign(const std::vector<role_lease>& held);

    /// Whether another engine has the block.
    bool is_taken(const pool_name& pool, std::size_t block) const;

    bool others_want(const pool_name& pool) const;

    /// How many engines have needed the pool for longer than this one; empty if this one does not
    /// show that it does.
    std::optional<std::size_t> wants_before(const pool_name& pool) const;

private:
    const std::string self_;
    std::map<std::string, std::string> owners_; ///< by role
};

} // namespace pawl::engine_detail
