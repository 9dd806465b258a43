#pragma once

#include "pawl/record_store.hpp"
#include "stores/postgres/batch_writer.hpp"
#include "stores/postgres/lock_queue.hpp"
#include "stores/postgres/warning_log.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <set>
#include <span>
#include <vector>

namespace pawl::postgres {

/// One call of record_store::apply_apart(): stores the changes whose rows no other session has
/// locked, and leaves the others to the queue.
class divided_batch {
public:
    struct parts {
        std::shared_ptr<batch_writer> writer;
        std::shared_ptr<lock_queue> queue;
        std::shared_ptr<pool> sessions;
        std::shared_ptr<warning_log> warnings;
        duration lock_timeout;
    };

    explicit divided_batch(parts dependencies);

    /// Applies changes that fit into one statement. Throws only when no change of the call has been
    /// decided yet.
    boost::asio::awaitable<void> apply(std::span<const change> part);

    applied_batch finish() &&;

private:
    /// Changes that are stored together: one change and the publications after it.
    struct unit {
        std::vector<std::size_t> indexes; ///< in the part
        std::vector<lock_key> keys;
    };

    static std::vector<unit> divide(std::span<const change> part,
                                    const std::vector<std::vector<lock_key>>& keys);
    boost::asio::awaitable<void> apply_unlocked(std::span<const change> part,
                                                std::exception_ptr timeout);
    boost::asio::awaitable<void> apply_units(std::span<const change> part,
                                             const std::vector<unit>& units, duration lock_timeout);
    boost::asio::awaitable<std::set<lock_key>> find_locked(const std::vector<unit>& units);
    void queue_locked(std::span<const change> part, std::vector<unit>& units,
                      const std::set<lock_key>& locked);
    void fail(const std::vector<unit>& units, const std::exception_ptr& failure);
    bool is_late() const { return std::chrono::steady_clock::now() >= until_; }

    const parts parts_;
    const std::chrono::steady_clock::time_point until_;
    const duration short_timeout_; ///< for locks that other changes wait behind
    std::size_t first_ = 0;        ///< index of the part in the call
    applied_batch applied_;
    std::shared_ptr<waiting_batch> pending_;
};

} // namespace pawl::postgres
