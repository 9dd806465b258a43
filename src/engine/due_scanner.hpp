#pragma once

#include "engine/context.hpp"

#include <boost/asio/awaitable.hpp>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace pawl::engine_detail {

/// Finds the runs that are due, when they are due.
///
/// Per shard it keeps one position in the store's order of due runs: everything before it is in
/// memory or has been looked at. It sleeps until the time of the earliest position; a commit that
/// makes a run due earlier moves the position back. So a million waiting runs take no memory here,
/// nothing polls, and a crash leaves nothing behind: a fresh scanner begins at the beginning.
///
/// @par Thread Safety
/// Distinct objects: Safe.@n Shared objects: Safe.
class due_scanner : public std::enable_shared_from_this<due_scanner> {
public:
    explicit due_scanner(context& shared);

    /// Starts to scan the owned shards from the beginning.
    void start();

    /// Ends the scan; the coroutine leaves the gate soon after.
    void stop();

    /// Starts to scan a shard that is the engine's from now on, from the beginning; or scans it
    /// again from there, as something in it may have been overlooked.
    void look_again(std::uint32_t shard);

    /// The shard is no longer the engine's.
    void forget(std::uint32_t shard);

    /// A run of the shard is due at `at`.
    void due_at(std::uint32_t shard, time_point at);

    /// The store failed, and it is not known what it holds: waits a little, then scans from the
    /// beginning.
    void start_over();

    /// There is room for more runs in memory.
    void room();

private:
    boost::asio::awaitable<void> scan();
    boost::asio::awaitable<void> scan_shard(std::uint32_t shard);
    boost::asio::awaitable<void> sleep();
    void begin_at_the_beginning();
    void wake();
    void remember(std::uint32_t shard, std::optional<due_position> next);

    context& shared_;
    const boost::asio::any_io_executor strand_;

    /// How far a shard has been scanned.
    struct place {
        std::optional<due_position> next;          ///< empty: nothing is due, ever
        time_point not_before = time_point::min(); ///< after a failure of the store

        std::optional<time_point> due_at(time_point now) const;
    };

    std::mutex mutex_;
    std::vector<place> places_; ///< by shard
    bool full_ = false;         ///< waits for room()
    bool woken_ = false;
    std::optional<time_point> sleeping_until_; ///< set while it sleeps; max without a limit
    std::unique_ptr<timer> timer_;
};

} // namespace pawl::engine_detail
