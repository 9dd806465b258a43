#pragma once

#include "async/lease_timer.hpp"
#include "engine/api/engine_parts.hpp"
#include "engine/cluster/limit_roles.hpp"
#include "engine/run/run_limiter.hpp"
#include "pawl/record_store.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace pawl::engine_detail {

/// Divides the concurrency of limits among the engines of a shared store.
///
/// The concurrency of a pool is divided into at most max_blocks blocks, and each block is a role of
/// the store: an engine may run as many attempts as are in the blocks that it holds. It claims a
/// block when runs wait, and keeps it until no run has needed the pool for a while. An engine that
/// needs a pool and has less than its part of it shows that by another role; then the others give
/// back what is above their parts, as soon as the attempts have ended. If there are fewer blocks
/// than engines, an engine that has had a block for a second gives it to the engine that has waited
/// longest.
///
/// An attempt needs no call of the store. The cost of a pool in use is a claim of each held block
/// at a third of the lease, and a list of the roles of all pools four times a second.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class limit_leases : public std::enable_shared_from_this<limit_leases> {
public:
    static constexpr std::size_t max_blocks = 16;

    limit_leases(engine_parts& shared, std::string owner, duration lease_duration);

    /// From inside the task scope.
    void start();

    /// Releases all blocks, when no handler runs any longer, and ends.
    void stop();

    /// Runs wait for the concurrency of a limit. Any thread.
    void note_demand();

    /// @param count the live engines that have limits.
    /// @param rank the place of this engine among them.
    void set_engines(std::size_t count, std::size_t rank);

private:
    /// What this engine holds of one pool.
    struct held_pool {
        std::map<std::size_t, role_lease> blocks; ///< by their number
        std::optional<role_lease> want;           ///< shows other engines that it needs more
        duration needed_at{};                     ///< when a run last needed the pool
        std::size_t usable = 0;                   ///< the number of blocks in which attempts begin
        duration turn_began_at{};                 ///< when it got the first of its blocks
        std::optional<duration> free_since;       ///< since when this engine has seen a free block
        std::size_t concurrency = 0;
    };
    using pool_name = limit_roles::pool_name;

    boost::asio::awaitable<void> manage();
    boost::asio::awaitable<void> run_round();
    bool must_renew() const;
    bool is_late();
    boost::asio::awaitable<void> renew();
    boost::asio::awaitable<void> balance_pool(pool_name name, pool_demand demand);
    boost::asio::awaitable<void> release_excess(pool_name name, std::size_t blocks);
    boost::asio::awaitable<void> give_back(pool_name name, std::size_t kept);
    boost::asio::awaitable<void> claim_blocks(pool_name name, std::size_t needed, std::size_t most);
    boost::asio::awaitable<void> show_want(pool_name name, bool wanted);
    boost::asio::awaitable<void> release_all();
    std::size_t part_of(const pool_name& name, std::size_t blocks);
    bool has_turn(const pool_name& name, std::size_t blocks);
    void drop_all();
    void wake();
    void start_lease_timer();
    void apply(const pool_name& name);

    engine_parts& shared_;
    const std::string owner_;
    const duration lease_duration_;
    const boost::asio::any_io_executor strand_;
    const std::unique_ptr<timer> timer_;

    std::map<pool_name, held_pool> pools_;
    limit_roles roles_;
    std::size_t calls_ = 0; ///< of the store, in this round
    std::shared_ptr<async::lease_timer> lease_timer_;
    duration renewed_at_{};
    bool lapsed_ = false;
    bool released_ = false; ///< roles of pools may be forgotten
    std::atomic<std::size_t> engines_{1};
    std::atomic<std::size_t> rank_{0};
    std::atomic<bool> stopping_{false};
    std::atomic<bool> woken_{false};
    std::atomic<bool> demanded_{false};
    std::atomic<bool> idle_{true}; ///< no pool is in use
};

} // namespace pawl::engine_detail
