#pragma once

#include "pawl/record_store.hpp"
#include "stores/sqlite/connection.hpp"
#include "stores/sqlite/database_file.hpp"
#include "stores/sqlite/known_runs.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <vector>

namespace pawl::sqlite {

/// The writing operations of a database. Used by one thread at a time. After another program has
/// written to the file, the next transaction reloads what is cached here.
class writer {
public:
    /// Ends the leases of the previous process. `file` is null for a database in memory.
    writer(connection& database, database_file* file);

    std::uint32_t shards() const noexcept { return static_cast<std::uint32_t>(shards_.size()); }

    std::vector<apply_result> apply(std::span<const change> batch);

    /// Runs the work of the application and `complete(change)`, then stores `next`, in one
    /// transaction.
    apply_result apply_in(const std::function<void(sqlite3*)>& work, transition& change,
                          const std::function<void(transition&)>& complete);

    /// Runs the work that the application does on its own tables when the database is opened.
    void prepare(const std::function<void(sqlite3*)>& work);
    std::vector<lease> claim(std::span<const std::uint32_t> wanted, std::string_view owner);
    void release(std::span<const lease> held);
    std::optional<role_lease> claim_role(std::string_view role, std::string_view owner,
                                         time_point now, time_point until);
    void release_role(const role_lease& held);
    std::vector<lease> leases();
    std::vector<role_lease> roles(std::string_view prefix, time_point now);
    void forget_roles(std::string_view prefix, time_point now);

private:
    /// Should hold all runs in flight: each run is then read only once, when it is loaded.
    static constexpr std::size_t max_known_runs = 32'768;

    /// A row of the table shards, including the changes of the open transaction.
    struct shard_row {
        std::uint64_t next_sequence = 1;
        std::string owner;
        std::uint64_t epoch = 0;
        bool lapsed = false;  ///< the owner is an earlier process
        bool changed = false; ///< next_sequence is not stored yet
    };

    void check_file();
    void load();
    void load_if_changed();
    template <typename Work>
    auto in_transaction(Work work);
    void write_changes();

    std::optional<apply_result> check_update(const transition& change, const stored_run* run);
    apply_result apply_one(const transition& change);
    apply_result apply_one(const delivery& change);
    apply_result apply_one(const cursor_move& change);
    apply_result apply_one(const removal& change);
    apply_result apply_one(const publication& change);
    apply_result apply_one(const topic_trim& change);
    apply_result apply_one(const attribute_update& change);
    apply_result create(const transition& change);
    apply_result update(const transition& change, stored_run& run);
    std::optional<apply_result> find_conflict(const transition& change, std::int64_t workflow);
    /// Null when there is no such run. Valid until the next find().
    stored_run* find(const run_id& id);

    void append_event(const transition& change, std::int64_t row, std::int64_t position,
                      std::int64_t before);
    /// Settles messages and returns the number of those still pending.
    std::uint32_t settle_messages(const transition& change, const stored_run& run);
    std::optional<apply_result> find_duplicate(const delivery& change, std::int64_t run);
    void remove_events(const stored_run& run);
    void erase_texts(const stored_run& run);
    void change_attributes(const attribute_changes& changes, std::int64_t run);
    void remove_other_attributes(const std::vector<stored_attribute>& kept, std::int64_t run);
    std::int64_t workflow_number(const std::string& name);
    std::uint64_t next_sequence(std::uint32_t shard);
    bool fenced(std::uint32_t shard, std::uint64_t epoch) const noexcept;
    void store_owner(std::uint32_t shard, std::uint64_t epoch);

    connection& database_;
    database_file* const file_;

    // The content of the file and the changes of the open transaction. It is reloaded before the
    // next change when a transaction has failed or another connection has written.
    bool stale_ = true;
    std::int64_t data_version_ = 0; ///< changes with each commit of another connection
    std::vector<shard_row> shards_;
    known_runs known_{max_known_runs};
    std::unordered_map<std::string, std::int64_t> workflows_;
    std::map<std::tuple<std::int64_t, int, run_state>, std::int64_t>
        counts_; ///< differences to the file
    std::map<std::pair<run_id, run_state>, std::int64_t>
        child_counts_; ///< by parent; differences to the file

    statement read_data_version_;
    statement find_run_;
    statement find_start_key_;
    statement find_unfinished_;
    statement find_latest_;
    statement insert_run_;
    statement update_run_;
    statement update_run_and_wake_;
    statement finish_run_;
    statement insert_event_;
    statement insert_mark_;
    statement insert_workflow_;
    statement update_count_;
    statement update_child_count_;
    statement remove_child_count_;
    statement update_sequence_;
    statement update_owner_;
    statement find_message_key_;
    statement insert_message_;
    statement deliver_;
    statement deliver_and_wake_;
    statement settle_one_;
    statement free_message_key_;
    statement settle_rest_;
    statement find_cursor_;
    statement move_cursor_;
    statement find_before_;
    statement remove_event_;
    statement erase_error_;
    statement erase_details_;
    statement remove_marks_;
    statement remove_messages_;
    statement remove_run_;
    statement find_topic_;
    statement insert_topic_;
    statement update_topic_;
    statement find_event_id_;
    statement insert_topic_event_;
    statement trim_topic_;
    statement find_role_;
    statement store_role_;
    statement list_roles_;
    statement forget_roles_;
    statement find_version_;
    statement store_attribute_;
    statement list_attributes_;
    statement remove_attribute_;
    statement remove_attributes_;
};

template <typename Work>
auto writer::in_transaction(Work work)
{
    check_file();
    transaction writing{database_};
    load_if_changed();
    stale_ = true;
    auto result = work();
    write_changes();
    writing.commit();
    stale_ = false;
    return result;
}

} // namespace pawl::sqlite
