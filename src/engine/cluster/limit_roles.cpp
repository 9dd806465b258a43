#include "engine/cluster/limit_roles.hpp"

#include "core/stable_hash.hpp"

#include <fmt/format.h>

namespace pawl::engine_detail {

namespace {

/// Longer keys are named by their hash.
constexpr std::size_t max_key_in_role = 100;

std::string role_of(const limit_roles::pool_name& pool)
{
    const auto& [limit, key] = pool;
    const bool plain = key.size() <= max_key_in_role && key.find('/') == std::string::npos;
    return fmt::format("{}{}/{}/", limit_roles::prefix, limit,
                       plain ? key : fmt::format("#{:016x}", core::fnv1a(key)));
}

std::string want_prefix(const limit_roles::pool_name& pool)
{
    return role_of(pool) + "want/";
}

} // namespace

std::string limit_roles::block_role(const pool_name& pool, std::size_t block)
{
    return role_of(pool) + std::to_string(block);
}

std::string limit_roles::want_role(const pool_name& pool, time_point since,
                                   const std::string& owner)
{
    // The names are in the order of the times.
    return fmt::format("{}{:020}/{}", want_prefix(pool), since.time_since_epoch().count(), owner);
}

void limit_roles::assign(const std::vector<role_lease>& held)
{
    owners_.clear();
    for (const auto& role : held)
        owners_.emplace(role.role, role.owner);
}

bool limit_roles::is_taken(const pool_name& pool, std::size_t block) const
{
    const auto role = owners_.find(block_role(pool, block));
    return role != owners_.end() && role->second != self_;
}

bool limit_roles::others_want(const pool_name& pool) const
{
    const auto begin = want_prefix(pool);
    for (auto role = owners_.lower_bound(begin);
         role != owners_.end() && role->first.starts_with(begin); ++role)
        if (role->second != self_)
            return true;
    return false;
}

std::optional<std::size_t> limit_roles::wants_before(const pool_name& pool) const
{
    const auto begin = want_prefix(pool);
    std::size_t before = 0;
    for (auto role = owners_.lower_bound(begin);
         role != owners_.end() && role->first.starts_with(begin); ++role, ++before)
        if (role->second == self_)
            return before;
    return std::nullopt;
}

} // namespace pawl::engine_detail
