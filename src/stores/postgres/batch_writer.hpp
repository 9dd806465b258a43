#pragma once

#include "pawl/record_store.hpp"
#include "stores/postgres/batch.hpp"
#include "stores/postgres/lost_commit_detector.hpp"
#include "stores/postgres/notifier.hpp"
#include "stores/postgres/pool.hpp"
#include "stores/postgres/queries.hpp"
#include "stores/postgres/schema_memory.hpp"
#include "stores/postgres/warning_log.hpp"

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

/// Whether the statement failed because of lock_timeout.
bool is_lock_timeout(const std::exception_ptr& failure);

class transaction_session;

/// Stores changes, and reads or adds the workflows that they need. Thread-safe.
class batch_writer {
public:
    struct parts {
        std::shared_ptr<const queries> statements;
        std::shared_ptr<schema_memory> schema;
        std::shared_ptr<lost_commit_detector> detector;
        std::shared_ptr<pool> writers; ///< for all statements that write, except apply()
        std::shared_ptr<pool> readers;
        std::shared_ptr<notifier> notifications;
    };

    explicit batch_writer(parts dependencies);

    /// Stores changes that fit into one statement, and deletes the rest of what they remove and
    /// trim in further statements. `lock_timeout` is the limit for each lock. A failure after the
    /// changes were stored is not a server_error.
    boost::asio::awaitable<std::vector<apply_result>>
    apply(std::shared_ptr<pool> sessions, std::span<const change> part, duration lock_timeout);

    /// Stores one transition in the session's open transaction and commits it. Rolls the
    /// transaction back if the transition is rejected.
    boost::asio::awaitable<apply_result> apply_in(transaction_session& session, const change& only,
                                                  duration lock_timeout);

    /// The key that each change locks: at most one, and none when its run does not exist.
    boost::asio::awaitable<std::vector<std::vector<lock_key>>>
    keys_of(std::span<const change> changes);

    /// The keys that another session has locked at the moment.
    boost::asio::awaitable<std::set<lock_key>> find_locked(std::set<lock_key> keys);

    /// Makes sure that the workflow has a number, and shards if wanted. This is a transaction of
    /// its own: a workflow without runs is harmless.
    boost::asio::awaitable<void> ensure_workflow(std::string_view name, bool with_shards);

    /// The first shard of a workflow for which ensure_workflow() made sure of shards.
    std::uint32_t first_shard(std::string_view workflow) const;

    /// The number of shards of all known workflows, at least.
    std::uint32_t all_shards() const noexcept { return all_shards_; }
    void add_shards(const workflow_location& location);

private:
    boost::asio::awaitable<std::vector<apply_result>>
    apply_statement(std::shared_ptr<pool> sessions, std::span<const change> part,
                    duration lock_timeout);
    boost::asio::awaitable<std::vector<apply_result>>
    apply_once(std::shared_ptr<pool> sessions, std::span<const change> part, duration lock_timeout);
    boost::asio::awaitable<void> delete_rest(std::shared_ptr<pool> sessions,
                                             std::span<const change> part, duration lock_timeout,
                                             std::vector<apply_result>& decided);
    boost::asio::awaitable<void> finish_commit(std::shared_ptr<pool> sessions,
                                               std::vector<seen_event> events,
                                               std::vector<stored_wake> wakes);
    request apply_request(std::span<const change> part, duration lock_timeout) const;
    boost::asio::awaitable<void> ensure_workflows(std::span<const change> batch);
    std::uint32_t shard_for(const record& run) const;

    const parts parts_;
    std::atomic<std::uint32_t> all_shards_;
};

} // namespace pawl::postgres
