#pragma once

#include "async/lease_timer.hpp"
#include "core/shard_plan.hpp"
#include "engine/api/engine_parts.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace pawl::engine_detail {

/// Acquires, renews and releases the engine's leases on shards.
///
/// A store that is not shared gives all shards at once and for good. In a shared store each engine
/// takes its part of the shards of its workflows. It claims roles of its own to show that it is
/// alive and which workflows it has, renews its leases at a third of their time, takes over the
/// shards of engines that are no longer alive, and releases surplus shards when other engines come.
/// An engine that has read data of a newer program shows that too, and releases the workflow's
/// shards while there are engines that have not: these have the newer program. The engine at once
/// stops driving shards whose leases may have lapsed; the epoch in each commit fences late commits.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class shard_manager : public std::enable_shared_from_this<shard_manager> {
public:
    /// Called on this object's strand, after `engine_parts::epochs` has been updated.
    struct handlers {
        /// The engine drives these shards from now on.
        std::function<boost::asio::awaitable<void>(std::vector<std::uint32_t>)> acquired;
        /// The engine no longer drives these shards: no further handler begins in them.
        std::function<void(const std::vector<std::uint32_t>&)> dropped;
        /// Cancels the running handlers in these shards.
        std::function<void(const std::vector<std::uint32_t>&)> interrupt;
        /// The set of engines has changed; these have been alive for the time of a lease since.
        std::function<boost::asio::awaitable<void>(std::vector<core::engine_facts>)>
            engines_changed;
        /// These engines are alive. Called at each poll.
        std::function<void(const std::vector<core::engine_facts>&)> polled;
        /// Whether a handler still runs in the shard.
        std::function<bool(std::uint32_t)> busy;
    };

    shard_manager(engine_parts& shared, std::string owner, duration lease_duration,
                  handlers callbacks);

    /// Claims all shards of a store that is not shared; in a shared store only shows that the
    /// engine is alive. Throws errc::fenced if another engine has the store that is not shared, and
    /// what the store throws.
    boost::asio::awaitable<void> claim_first_shards();

    /// Starts renewing leases and balancing shards. From inside the task scope.
    void start();

    /// Acquires no further shards; holds its own until release_shards().
    void stop();

    /// Stops renewing leases, so that the task scope can close.
    void stop_renewing();

    /// Releases all shards and roles. Never throws.
    boost::asio::awaitable<void> release_shards();

    /// Renews the leases at once, for example because a commit was fenced. Any thread.
    void recheck_leases();

    std::vector<lease> leases() const;

    /// False if the last poll of the store failed, or the store has not answered for the time of a
    /// lease.
    bool reachable() const noexcept { return reachable_; }

    /// The engines that are alive, in order of their names.
    boost::asio::awaitable<std::vector<core::engine_facts>> engines();

    const std::string& owner() const noexcept { return owner_; }

private:
    struct leaving_shard {
        std::uint32_t number = 0;
        lease held;
        time_point since;
    };

    core::engine_facts own_facts() const;
    boost::asio::awaitable<void> claim_engine_roles();
    boost::asio::awaitable<void> release_role(std::string name);
    boost::asio::awaitable<void> report_engine_changes(std::vector<core::engine_facts> alive);
    boost::asio::awaitable<void> manage_leases();
    boost::asio::awaitable<void> poll_leases();
    boost::asio::awaitable<void> renew_leases();
    boost::asio::awaitable<void> balance_shards(std::vector<core::engine_facts> alive);
    void note_drivers(const std::vector<core::engine_facts>& alive);
    boost::asio::awaitable<void> release_left_shards();
    boost::asio::awaitable<void> sleep(duration span);
    boost::asio::awaitable<void> acquire_shards(std::vector<lease> claimed,
                                                const std::vector<lease>& before);
    bool was_left(const lease& before) const;
    void leave_shards(std::vector<std::uint32_t> shards);
    void forget_lease(std::uint32_t shard);
    std::shared_ptr<async::lease_timer> start_lease_timer();
    void drop_lapsed_shards();
    void drop_shards(const std::vector<std::uint32_t>& lost);
    std::vector<std::uint32_t> held_shards() const;

    engine_parts& shared_;
    const std::string owner_;
    const duration lease_duration_;
    const handlers callbacks_;
    const boost::asio::any_io_executor strand_;
    const std::unique_ptr<timer> timer_;

    std::vector<std::string> roles_;     ///< claimed to show that the engine is alive
    std::vector<std::string> engines_;   ///< alive at the last poll
    std::optional<duration> changed_at_; ///< when `engines_` changed; empty once it was reported
    mutable std::mutex mutex_;           ///< guards held_
    std::vector<lease> held_;
    std::vector<std::uint64_t> last_epochs_; ///< by shard: the last epoch that this engine had
    std::vector<leaving_shard> leaving_;
    time_point renewed_at_;                           ///< start of the last successful renewal
    std::shared_ptr<async::lease_timer> lease_timer_; ///< of the last successful renewal
    std::atomic<bool> reachable_{true};
    std::atomic<bool> stopping_{false};
    std::atomic<bool> ending_{false};
    std::atomic<bool> woken_{false};
};

} // namespace pawl::engine_detail
