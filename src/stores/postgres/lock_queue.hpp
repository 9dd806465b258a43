#pragma once

#include "pawl/record_store.hpp"
#include "stores/postgres/batch_writer.hpp"

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <vector>

namespace pawl::postgres {

/// The results of the changes of one call that wait in a lock_queue. Thread-safe.
class waiting_batch final : public waiting_changes {
public:
    boost::asio::awaitable<std::vector<late_result>> next() override;

    void expect(std::size_t changes);
    void add(std::vector<late_result> known);

private:
    struct wait_for_results;

    std::mutex mutex_;
    std::vector<late_result> known_;
    std::size_t unknown_ = 0; ///< changes without a result

    // While next() waits.
    boost::asio::any_io_executor executor_;
    std::optional<boost::asio::any_completion_handler<void()>> waiter_;
};

/// Changes that are stored together and wait for locks.
struct waiting_unit {
    std::vector<change> changes;
    std::vector<std::size_t> indexes; ///< of the changes in the batch of `owner`
    std::set<lock_key> keys;          ///< later changes with one of these keys come after it
    std::shared_ptr<waiting_batch> owner;
    std::chrono::steady_clock::time_point until; ///< it fails then
    std::uint64_t last_turn = 0;                 ///< in which it was tried
    bool is_alone = false;                       ///< a statement of several units was refused
};

/// Changes that wait for locks of other sessions, with a connection of their own: the others go on
/// meanwhile. Each unit is tried again and again, waiting for a short while in the server's queue
/// for the lock, so that it gets its turn. Its coroutine keeps it alive. Thread-safe.
class lock_queue : public std::enable_shared_from_this<lock_queue> {
public:
    /// How long a statement that other changes wait behind may wait for one lock.
    static constexpr duration patience = std::chrono::milliseconds{200};

    lock_queue(boost::asio::any_io_executor executor, std::shared_ptr<batch_writer> writer,
               std::shared_ptr<pool> sessions);

    bool is_empty() const noexcept { return size_ == 0; }

    /// Whether a unit waits that has one of these keys.
    bool has(std::span<const lock_key> keys) const;

    void push(waiting_unit unit);

private:
    using unit_list = std::list<waiting_unit>;

    /// What one statement tries to store. Its units stay in the list meanwhile.
    struct turn {
        std::vector<unit_list::iterator> units;
        std::vector<change> changes;
        duration patience{};
    };

    static boost::asio::awaitable<void> work(std::shared_ptr<lock_queue> self);
    turn next_turn();
    void add_followers(turn& to, unit_list::iterator first);
    void take_out(unit_list& to, unit_list::iterator unit);
    void finish(const turn& done, std::vector<apply_result> results);
    void fail(const turn& tried, const std::exception_ptr& failure);

    const boost::asio::any_io_executor executor_;
    const std::shared_ptr<batch_writer> writer_;
    const std::shared_ptr<pool> sessions_;

    mutable std::mutex mutex_;
    unit_list units_; ///< in the order in which they came
    std::uint64_t turns_ = 0;
    std::atomic<std::size_t> size_{0};
    bool is_working_ = false;
};

} // namespace pawl::postgres
