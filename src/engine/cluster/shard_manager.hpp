#pragma once

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

/// Holds the engine's shards.
///
/// A store that is not shared gives all of them at once and for good. Of a shared one each engine
/// takes its part of the shards of its workflows, and none of others: it shows that it is alive,
/// and which workflows it has, by roles of its own, renews its leases at a third of their time,
/// takes over what engines left that are no longer alive, and gives back what is over its part when
/// others come. Once it has met data of a newer program it shows that too, and gives back the
/// workflow's shards as long as there are engines that have not: theirs is the newer program. What
/// it can no longer be sure of it stops to drive at once; if it is wrong about that, the epoch in
/// each commit fences it.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class shard_manager : public std::enable_shared_from_this<shard_manager> {
public:
    /// Each is called on the keeper's strand, after `engine_parts::epochs` says so.
    struct handlers {
        /// Shards that are driven from now on.
        std::function<boost::asio::awaitable<void>(std::vector<std::uint32_t>)> taken;
        /// Shards in which nothing is begun any more.
        std::function<void(const std::vector<std::uint32_t>&)> dropped;
        /// What still runs in these shards is to end at once.
        std::function<void(const std::vector<std::uint32_t>&)> interrupt;
        /// Engines had come or gone, and these have been alive for the time of a lease since.
        std::function<boost::asio::awaitable<void>(std::vector<core::engine_facts>)>
            engines_changed;
        /// Whether something still runs in the shard.
        std::function<bool(std::uint32_t)> busy;
    };

    shard_manager(engine_parts& shared, std::string owner, duration lease_duration, handlers told);

    /// Takes the first shards. Throws errc::fenced when a store that is not shared has another
    /// engine, and what the store throws.
    boost::asio::awaitable<void> claim_first();

    /// Begins to keep them. From inside the task scope.
    void start();

    /// Takes no more shards; keeps its own until release().
    void stop();

    /// Ends the keeping, so that the task scope can close.
    void let_go();

    /// Gives everything back. Never throws.
    boost::asio::awaitable<void> release();

    /// A commit was fenced: looks at once.
    void recheck_leases();

    std::vector<lease> leases() const;

    /// False when the store could not be reached when last looked, or has not answered for the time
    /// of a lease.
    bool reachable() const noexcept { return reachable_; }

    /// The engines that are alive, in order of their names.
    boost::asio::awaitable<std::vector<core::engine_facts>> engines();

    const std::string& owner() const noexcept { return owner_; }

private:
    struct lapse;

    struct leaving_shard {
        std::uint32_t number = 0;
        lease held;
        time_point since;
    };

    core::engine_facts own_facts() const;
    boost::asio::awaitable<void> show_alive();
    boost::asio::awaitable<void> give_back_role(std::string name);
    boost::asio::awaitable<void> look_at_others(std::vector<core::engine_facts> alive);
    boost::asio::awaitable<void> keep();
    boost::asio::awaitable<void> look();
    boost::asio::awaitable<void> renew();
    boost::asio::awaitable<void> balance(std::vector<core::engine_facts> alive);
    void note_drivers(const std::vector<core::engine_facts>& alive);
    boost::asio::awaitable<void> give_back_left();
    boost::asio::awaitable<void> sleep(duration span);
    boost::asio::awaitable<void> take(std::vector<lease> claimed, const std::vector<lease>& before);
    bool was_left(const lease& before) const;
    void leave(std::vector<std::uint32_t> shards);
    void forget(std::uint32_t shard);
    std::shared_ptr<lapse> begin_lapse();
    void drop_lapsed();
    void drop(const std::vector<std::uint32_t>& lost);
    std::vector<std::uint32_t> held_shards() const;

    engine_parts& shared_;
    const std::string owner_;
    const duration lease_time_;
    const handlers told_;
    const boost::asio::any_io_executor strand_;
    const std::unique_ptr<timer> timer_;

    std::vector<std::string> roles_;     ///< by which it shows that it is alive
    std::vector<std::string> engines_;   ///< those that were alive when last looked
    std::optional<duration> changed_at_; ///< since when they are these; empty: that has been told
    mutable std::mutex mutex_;           ///< guards held_
    std::vector<lease> held_;
    std::vector<std::uint64_t> last_epochs_; ///< by shard: the last with which it was this one's
    std::vector<leaving_shard> leaving_;
    time_point renewed_at_;        ///< before the last renewal that succeeded
    std::shared_ptr<lapse> lapse_; ///< of that
    std::atomic<bool> reachable_{true};
    std::atomic<bool> stopping_{false};
    std::atomic<bool> ending_{false};
    std::atomic<bool> woken_{false};
};

} // namespace pawl::engine_detail
