#pragma once

#include "engine/run/limit_pool.hpp"
#include "pawl/definition.hpp"
#include "pawl/limit_info.hpp"

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace pawl::engine_detail {

/// The limits of an engine, by name, and their pools.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Unsafe.
class limit_registry {
public:
    /// The limit of that name, which is added if it is new. Throws definition_error, which begins
    /// with `subject`, when it was added with other numbers.
    engine_limit& add(const step_limit& used, const std::string& subject);

    /// A limit of one step alone.
    engine_limit& add_max_concurrency(std::size_t runs);

    /// The pool of a key. References to it are valid while limit_pool::is_idle() is false.
    limit_pool& pool_of(engine_limit& limit, const std::string& key, duration now);

    std::vector<limit_info> list() const;

    /// The limits that steps share.
    const std::map<std::string, std::unique_ptr<engine_limit>>& limits() const noexcept
    {
        return limits_;
    }

private:
    std::map<std::string, std::unique_ptr<engine_limit>> limits_;
    std::vector<std::unique_ptr<engine_limit>> step_limits_; ///< of max_concurrency
};

} // namespace pawl::engine_detail
