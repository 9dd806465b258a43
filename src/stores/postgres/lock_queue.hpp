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

/// The results of those changes of one call that wait in a lock_queue. Thread-safe.
class waiting_batch final : public waiting_changes {
public:
    boost::asio::awaitable<std::vector<late_result>> next() override;

    void expect(std::size_t changes);
    void add(std::vector<late_result> known);

private:
    struct wait_for_results;

    std::mutex mutex_;
    std::vector<late_result> known_;
    std::size_t missing_ = 0; ///< number of changes without a result

    // Set while next() waits.
    boost::asio::any_io_executor executor_;
    std::optional<boost::asio::any_completion_handler<void()>> waiter_;
};

/// Changes that are stored together and wait for locks.
struct waiting_unit {
    std::vector<change> changes;
    std::vector<std::size_t> indexes; ///< of the changes in the batch of `owner`
    std::set<lock_key> keys;          ///< later changes with one of these keys come after it
    std::shared_ptr<waiting_batch> owner;
    std::chrono::steady_clock::time_point until; ///< deadline, at which the unit fails
    std::uint64_t last_turn = 0;                 ///< number of the last turn in which it was tried
    bool is_alone = false; ///< tried alone, after a statement of several units failed
};

/// Changes that wait for locks of other sessions. They have a connection of their own, so that
/// other changes do not wait. Each unit is retried; each attempt waits for a short while in the
/// server's lock queue, so that it gets its turn. Its coroutine keeps the object alive.
/// Thread-safe.
class lock_queue : public std::enable_shared_from_this<lock_queue> {
public:
    /// How long a statement may wait for one lock while other changes wait for the statement.
    static constexpr duration short_lock_timeout = std::chrono::milliseconds{200};

    lock_queue(boost::asio::any_io_executor executor, std::shared_ptr<batch_writer> writer,
               std::shared_ptr<pool> sessions);

    bool is_empty() const noexcept { return size_ == 0; }

    /// Whether a waiting unit has one of these keys.
    bool has(std::span<const lock_key> keys) const;

    void push(waiting_unit unit);

private:
    using unit_list = std::list<waiting_unit>;

    /// The changes of one statement. Its units stay in the list until it has ended.
    struct turn {
        std::vector<unit_list::iterator> units;
        std::vector<change> changes;
        duration lock_timeout{};
    };

    static boost::asio::awaitable<void> work(std::shared_ptr<lock_queue> self);
    turn next_turn();
    void add_units(turn& next, unit_list::iterator first);
    void move_unit(unit_list::iterator unit, unit_list& destination);
    void finish(const turn& done, std::vector<apply_result> results);
    void fail(const turn& tried, const std::exception_ptr& failure);

    const boost::asio::any_io_executor executor_;
    const std::shared_ptr<batch_writer> writer_;
    const std::shared_ptr<pool> sessions_;

    mutable std::mutex mutex_;
    unit_list units_; ///< in the order of arrival
    std::uint64_t turns_ = 0;
    std::atomic<std::size_t> size_{0};
    bool is_working_ = false;
};

} // namespace pawl::postgres
