#pragma once

#include "pawl/record_store.hpp"
#include "stores/postgres/batch_writer.hpp"
#include "stores/postgres/lock_queue.hpp"
#include "stores/postgres/trouble_log.hpp"

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <set>
#include <span>
#include <vector>

namespace pawl::postgres {

/// One call of record_store::apply_apart(): stores what no other session has locked, and leaves the
/// other changes to the queue.
class divided_batch {
public:
    struct parts {
        std::shared_ptr<batch_writer> writer;
        std::shared_ptr<lock_queue> queue;
        std::shared_ptr<pool> sessions;
        std::shared_ptr<trouble_log> troubles;
        duration lock_timeout;
    };

    explicit divided_batch(parts all);

    /// Of changes that fit into one statement. Throws only when nothing of the call has been
    /// decided yet.
    boost::asio::awaitable<void> apply(std::span<const change> part);

    applied_batch finish() &&;

private:
    /// Changes that are stored together: one, and the publications behind it.
    struct unit {
        std::vector<std::size_t> indexes; ///< in the part
        std::vector<lock_key> keys;
    };

    static std::vector<unit> divide(std::span<const change> part,
                                    const std::vector<std::vector<lock_key>>& keys);
    boost::asio::awaitable<void> apply_unlocked(std::span<const change> part,
                                                std::exception_ptr timeout);
    boost::asio::awaitable<void> apply_units(std::span<const change> part,
                                             const std::vector<unit>& units, duration patience);
    boost::asio::awaitable<std::set<lock_key>> find_locked(const std::vector<unit>& units);
    void leave_waiting(std::span<const change> part, std::vector<unit>& units,
                       const std::set<lock_key>& locked);
    void fail(const std::vector<unit>& units, const std::exception_ptr& failure);
    bool is_late() const { return std::chrono::steady_clock::now() >= until_; }

    const parts all_;
    const std::chrono::steady_clock::time_point until_;
    const duration patience_;
    std::size_t first_ = 0; ///< of the part
    applied_batch applied_;
    std::shared_ptr<waiting_batch> pending_;
};

} // namespace pawl::postgres
