#include "engine/run/limit_registry.hpp"

#include "definition/check_definition.hpp"
#include "engine/run/waiting_line.hpp"
#include "pawl/error.hpp"

#include <algorithm>
#include <cstdint>
#include <tuple>
#include <utility>

namespace pawl::engine_detail {

namespace {

constexpr const char* shared_key = "(further keys)";

/// The time between two sweeps of a limit that has as many pools as it may.
constexpr duration sweep_pause = std::chrono::seconds{10};

constexpr const char* max_concurrency_name = "max_concurrency";

constexpr std::size_t max_listed_pools = 32;
constexpr std::size_t first_sweep = 1'024;

limit_info describe(const engine_limit& limit)
{
    limit_info info;
    info.name = limit.name;
    info.numbers = limit.numbers;
    info.declared = limit.declared;
    info.overridden = limit.overridden;
    for (const auto& [key, pool] : limit.pools) {
        limit_pool_info entry{key, pool->running, 0};
        for (const auto& waits : pool->waiting)
            entry.waiting += waits.lane->runs.size();
        info.running += entry.running;
        info.waiting += entry.waiting;
        if (entry.running > 0 || entry.waiting > 0)
            info.pools.push_back(std::move(entry));
    }
    std::ranges::sort(info.pools, [](const limit_pool_info& a, const limit_pool_info& b) {
        return std::tie(b.waiting, b.running, a.key) < std::tie(a.waiting, a.running, b.key);
    });
    if (info.pools.size() > max_listed_pools)
        info.pools.resize(max_listed_pools);
    return info;
}

} // namespace

engine_limit& limit_registry::add(const step_limit& used, const std::string& subject)
{
    auto& known = limits_[used.name];
    if (!known) {
        known = std::make_unique<engine_limit>();
        known->name = used.name;
        known->declared = known->numbers = used.numbers;
        known->keyed = used.keyed;
        return *known;
    }
    const auto conflicts =
        core::limit_conflicts({known->name, known->declared, known->keyed}, used);
    if (!conflicts.empty())
        throw definition_error(subject + " " + conflicts.front());
    return *known;
}

engine_limit& limit_registry::add_max_concurrency(std::size_t runs)
{
    auto& added = step_limits_.emplace_back(std::make_unique<engine_limit>());
    added->name = max_concurrency_name;
    added->declared.concurrency = static_cast<std::int64_t>(runs);
    added->numbers = added->declared;
    return *added;
}

limit_pool& limit_registry::pool_of(engine_limit& limit, const std::string& key, duration now)
{
    auto& pools = limit.pools;
    if (const auto known = pools.find(key); known != pools.end())
        return *known->second;
    if (pools.size() >= limit.sweep_size && now >= limit.next_sweep) {
        std::erase_if(pools, [&](const auto& entry) { return entry.second->is_idle(now); });
        limit.sweep_size = std::clamp(2 * pools.size(), first_sweep, max_limit_keys);
        if (pools.size() >= max_limit_keys / 2) // a sweep is slow, and may remove little
            limit.next_sweep = now + sweep_pause;
    }
    if (pools.size() >= max_limit_keys && key != shared_key)
        return pool_of(limit, shared_key, now);
    auto& added = pools[key];
    added = std::make_unique<limit_pool>(limit, key, now);
    return *added;
}

std::vector<limit_info> limit_registry::list() const
{
    std::vector<limit_info> all;
    for (const auto& [name, limit] : limits_)
        all.push_back(describe(*limit));
    return all;
}

} // namespace pawl::engine_detail
