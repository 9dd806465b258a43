#pragma once

#include "pawl/record_store.hpp"
#include "pawl/request_queue.hpp"
#include "stores/postgres/connection.hpp"
#include "stores/postgres/log_positions.hpp"
#include "stores/postgres/schema.hpp"

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pawl::postgres {

struct encoded_batch;

/// A row that a change locks.
struct lock_key {
    std::uint32_t shard = 0;
    std::string topic; ///< empty: the row of the shard, which is 0 otherwise

    friend auto operator<=>(const lock_key&, const lock_key&) = default;
};

/// The statements of a store, and the readers of their rows; batch.hpp encodes apply()'s
/// parameters.
class queries {
public:
    queries(std::string_view schema, std::uint32_t shards);

    request find(const std::vector<run_id>& ids) const;
    request latest(std::string_view workflow, std::string_view foreign_id) const;
    request list(const record_query& query) const;
    request count(std::string_view workflow) const;
    request count_children(const run_id& parent) const;
    request finished_before(std::uint32_t shard, std::string_view workflow, time_point before,
                            std::size_t limit) const;
    request due(std::uint32_t shard, const due_position& from, time_point until,
                std::size_t limit) const;
    request events(std::uint32_t shard, std::uint64_t after, std::size_t limit) const;
    request history(const run_id& run, std::uint64_t after, std::size_t limit) const;
    request inbox(const run_id& run, std::uint64_t after, std::size_t limit) const;
    request outcome(const run_id& run, std::uint64_t sequence) const;
    request cursor(std::string_view name, std::uint32_t shard) const;
    request topic_events(std::string_view topic, std::uint64_t after, std::size_t limit) const;
    request finished_behind(std::uint32_t shard, std::string_view workflow,
                            const finished_position& after, time_point before,
                            std::size_t limit) const;
    request log_end(std::uint32_t shard) const;
    request topic_end(std::string_view topic) const;
    request claim(const std::vector<std::uint32_t>& shards, std::string_view owner,
                  duration lease_duration) const;
    request fence_lost(const std::vector<seen_event>& seen) const;
    /// Releases the shards whose rows no other session has locked. The first column is the number
    /// of these leases.
    request release_unlocked(const std::vector<lease>& held) const;
    request release(const std::vector<lease>& held, duration lock_timeout) const;
    request leases() const;
    request claim_role(std::string_view role, std::string_view owner, duration lease_duration,
                       duration lock_timeout) const;
    request release_role(const role_lease& held, duration lock_timeout) const;
    request roles(std::string_view prefix) const;
    request forget_roles(std::string_view prefix) const;
    request now() const;
    request sweep_removed() const;
    request find_workflow(std::string_view name) const;
    request add_workflow(std::string_view name, bool with_shards) const;
    /// @param lock_timeout the limit for each lock.
    request apply(encoded_batch batch, duration lock_timeout) const;
    request shards_of(const std::vector<run_id>& runs) const;
    request find_locked(const std::vector<lock_key>& keys) const;
    request take_requests(const std::vector<std::string>& workflows, std::size_t limit,
                          duration lease) const;
    request waiting_requests(std::size_t most) const;
    request settle_requests(const std::vector<std::uint64_t>& done,
                            const std::vector<std::uint64_t>& failed, duration delay) const;
    request notify(const std::vector<std::string>& payloads) const;
    request commits() const;

    /// Number of shards of each workflow.
    std::uint32_t shards() const noexcept { return shards_; }

    /// The channel of the schema's notifications.
    const std::string& channel() const noexcept { return channel_; }

    static std::optional<record> read_record_if_any(result rows);
    static std::vector<record> read_records(result rows);
    static record_page read_page(result rows, std::size_t limit);
    static std::vector<status_count> read_counts(result rows, bool unfinished_only);
    static child_counts read_child_counts(result rows);
    static due_page read_due(result rows, time_point until, std::size_t limit);
    static std::vector<event> read_events(result rows);
    static std::vector<message> read_messages(result rows, const run_id& run);
    static std::optional<settlement> read_settlement(result rows);
    static std::uint64_t read_position(result rows);
    static std::vector<stream_event> read_topic_events(result rows);
    static std::vector<lease> read_leases(result rows);
    static std::vector<role_lease> read_roles(result rows);
    static std::vector<stored_request> read_requests(result rows);
    /// Reads the columns workflow and first_shard.
    static workflow_location read_workflow(result& row);

private:
    /// Replaces "{0}" by the schema and "{1}" by the columns of a record.
    request make(const char* name, std::string_view doing, std::string_view sql,
                 parameters values) const;

    const std::string schema_; ///< quoted
    const std::string channel_;
    const std::uint32_t shards_;
};

} // namespace pawl::postgres
