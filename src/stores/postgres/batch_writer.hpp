#pragma once

#include "pawl/record_store.hpp"
#include "stores/postgres/lost_commits.hpp"
#include "stores/postgres/news.hpp"
#include "stores/postgres/pool.hpp"
#include "stores/postgres/queries.hpp"
#include "stores/postgres/schema_memory.hpp"
#include "stores/postgres/trouble_log.hpp"

#include <boost/asio/awaitable.hpp>

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pawl::postgres {

std::string to_string(const lock_key& key);

/// Whether the statement waited for a lock as long as it may.
bool is_lock_timeout(const std::exception_ptr& failure);

class transaction_session;

/// Stores changes, and learns the workflows that they need. Thread-safe.
class batch_writer {
public:
    struct parts {
        std::shared_ptr<const queries> statements;
        std::shared_ptr<schema_memory> schema;
        std::shared_ptr<lost_commits> lost;
        std::shared_ptr<pool> writers; ///< for all statements that write, except apply()
        std::shared_ptr<pool> readers;
        std::shared_ptr<news> told;
    };

    explicit batch_writer(parts all);

    /// Stores changes that fit into one statement, and deletes what their removals and trims leave,
    /// in further statements. It waits for each lock as long as `patience` says.
    boost::asio::awaitable<std::vector<apply_result>>
    apply(std::shared_ptr<pool> sessions, std::span<const change> part, duration patience);

    /// Stores one transition in the transaction that is open in the session, and commits it; if the
    /// transition is refused, it rolls the transaction back.
    boost::asio::awaitable<apply_result> apply_in(transaction_session& session, const change& only,
                                                  duration patience);

    /// What each of the changes locks: one key at most, and none when there is no such run.
    boost::asio::awaitable<std::vector<std::vector<lock_key>>>
    keys_of(std::span<const change> changes);

    /// Those that another session has locked at the moment.
    boost::asio::awaitable<std::set<lock_key>> find_locked(std::set<lock_key> keys);

    /// Gives the workflow its number, and shards if it is to have them, unless it has both. A
    /// transaction of its own: a name without runs does no harm.
    boost::asio::awaitable<void> learn_workflow(std::string_view name, bool with_shards);

    /// The first shard of a workflow that has been learned with its shards.
    std::uint32_t first_shard(std::string_view workflow) const;

    /// Of the workflows that are known, at least.
    std::uint32_t all_shards() const noexcept { return all_shards_; }
    void know_shards(const workflow_place& of);

private:
    boost::asio::awaitable<std::vector<apply_result>>
    apply_statement(std::shared_ptr<pool> sessions, std::span<const change> part,
                    duration patience);
    boost::asio::awaitable<std::vector<apply_result>>
    apply_once(std::shared_ptr<pool> sessions, std::span<const change> part, duration patience);
    boost::asio::awaitable<void> delete_rest(std::shared_ptr<pool> sessions,
                                             std::span<const change> part, duration patience,
                                             std::vector<apply_result>& decided);
    request apply_request(std::span<const change> part, duration patience) const;
    boost::asio::awaitable<void> learn_workflows(std::span<const change> batch);
    std::uint32_t shard_for(const record& run) const;

    const parts all_;
    std::atomic<std::uint32_t> all_shards_;
};

} // namespace pawl::postgres
